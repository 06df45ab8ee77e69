package picodata_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
)

const (
	waiting     = 1000
	connections = 2
	// What a process has beside one thread for each connection in use: those of the runtime, of other pools, and of calls
	// that have just returned.
	moreThreads = 20
)

// Goroutines that wait for a connection hold no thread of the operating system.
func TestAThousandWaitingGoroutinesHoldNoThreads(t *testing.T) {
	pool := open(t, instances(shared.URL)[0]+"?acquire_timeout=60s", picodata.WithDisableTopologyManaging(),
		picodata.WithMaxConnPerInstance(connections))
	mustExec(t, pool, "SELECT 1")
	before := testcluster.Threads(t)

	var held []picodata.Rows
	for i := 0; i < connections; i++ {
		rows, err := pool.Query(context.Background(), "SELECT n FROM generate_series(1, 1000000) AS n")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, rows)
	}
	var done sync.WaitGroup
	release := func() {
		for _, rows := range held {
			rows.Close()
		}
		done.Wait()
	}
	defer release()
	done.Add(waiting)
	answers := make(chan error, waiting)
	for i := 0; i < waiting; i++ {
		go func() {
			defer done.Done()
			var n int
			answers <- pool.QueryRow(context.Background(), "SELECT 1").Scan(&n)
		}()
	}
	testcluster.Eventually(t, "all to wait", func() bool { return testcluster.Waiting(testcluster.Gate) == waiting })
	// Go keeps the threads that it has made.
	meanwhile := testcluster.Threads(t)
	t.Logf("%d goroutines wait: %d threads before, %d meanwhile", waiting, before, meanwhile)
	if meanwhile > before+connections+moreThreads {
		t.Errorf("%d goroutines wait, and there are %d threads, %d before", waiting, meanwhile, before)
	}
	release()
	close(answers)
	for err := range answers {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A goroutine whose context ends while it waits goes away, and was not sent.
func TestAContextEndsTheWaitForAConnection(t *testing.T) {
	pool := open(t, instances(shared.URL)[0], picodata.WithDisableTopologyManaging(), picodata.WithMaxConnPerInstance(1))
	rows, err := pool.Query(context.Background(), "SELECT n FROM generate_series(1, 1000000) AS n")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err = pool.Ping(ctx)
	if err == nil || time.Since(begin) > promptly {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	rows.Close()
	one[int](t, pool, "SELECT 1")
}

// All instances are used at once, not as many connections as one of them may have.
func TestAllConnectionsToAllInstancesAreUsedAtOnce(t *testing.T) {
	pool := open(t, shared.URL, picodata.WithMaxConnPerInstance(connections))
	testcluster.Eventually(t, "all instances to be learned", func() bool { return len(ports(t, pool, 12)) == 3 })
	var done sync.WaitGroup
	defer done.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := 0; i < 3*connections; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			_, _ = pool.Exec(ctx, sleeps)
		}()
	}
	testcluster.Eventually(t, "all connections to be in use", func() bool {
		return pool.Stat().AcquiredConns() == 3*connections
	})
}
