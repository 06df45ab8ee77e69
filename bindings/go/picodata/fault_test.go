package picodata_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
	"github.com/quorate/quorate/bindings/go/quorate"
)

// counts are what the callers of a pool have met.
type counts struct{ done, repeated, unknown int64 }

// One instance of three is killed in the middle of the work of many goroutines. Reads go on: every failure says whether the
// statement may be sent again, and what was sent again has not been applied twice.
func TestAnInstanceIsKilledInTheMiddleOfTheWork(t *testing.T) {
	cluster := testcluster.Picodata(t)
	everywhere(t, cluster.URL, "CREATE TABLE written (n bigint)")
	told := &recorder{}
	pool := open(t, cluster.URL, picodata.WithLogger(told), picodata.WithLogLevel(logger.LevelInfo))
	testcluster.Eventually(t, "all instances to be learned", func() bool { return len(ports(t, pool, 12)) == 3 })

	var met counts
	stop := make(chan struct{})
	var done sync.WaitGroup
	var next, inserted, maybe int64
	for i := 0; i < 16; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := atomic.AddInt64(&next, 1)
				applied, err := write(pool, &met, n)
				if err != nil {
					t.Error(err)
					return
				}
				if applied {
					atomic.AddInt64(&inserted, 1)
				} else {
					atomic.AddInt64(&maybe, 1)
				}
				if err := read(pool); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	testcluster.Eventually(t, "some writes", func() bool { return atomic.LoadInt64(&met.done) > 200 })
	cluster.Order(t, "kill 1")
	after := atomic.LoadInt64(&met.done)
	testcluster.Eventually(t, "writes behind the end of an instance", func() bool {
		return atomic.LoadInt64(&met.done) > after+500
	})
	testcluster.Eventually(t, "the instance to be left out", func() bool { return len(ports(t, pool, 12)) == 2 })
	testcluster.Eventually(t, "the logger to be told of the instance", func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		return strings.Contains(strings.Join(told.messages, "\n"), "default_2_1")
	})
	cluster.Order(t, "restart 1")
	testcluster.Eventually(t, "the instance to be used again", func() bool { return len(ports(t, pool, 12)) == 3 })
	close(stop)
	done.Wait()

	var rows, different int64
	for _, instance := range instances(cluster.URL) {
		alone := open(t, instance, picodata.WithDisableTopologyManaging())
		rows += one[int64](t, alone, "SELECT count(*) FROM written")
		different += one[int64](t, alone, "SELECT count(DISTINCT n) FROM written")
	}
	t.Logf("%+v; %d writes were confirmed, %d may have been applied, %d rows are there", met, inserted, maybe, rows)
	if rows != different {
		t.Errorf("%d writes were applied twice", rows-different)
	}
	if rows < inserted || rows > inserted+maybe {
		t.Errorf("%d rows of %d to %d", rows, inserted, inserted+maybe)
	}
}

// write writes n, again and again as long as that cannot apply it twice. It answers whether n was written, or only may have
// been.
func write(pool *picodata.Pool, met *counts, n int64) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		tag, err := pool.Exec(ctx, "INSERT INTO written VALUES ($1)", n)
		var failure *picodata.Error
		switch {
		case err == nil && tag.String() == "INSERT 0 1":
			atomic.AddInt64(&met.done, 1)
			return true, nil
		case err == nil:
			return false, fmt.Errorf("the tag is %q", tag)
		case !errors.As(err, &failure):
			return false, fmt.Errorf("an error of another type: %T %w", err, err)
		case failure.Outcome == quorate.Unknown:
			atomic.AddInt64(&met.unknown, 1)
			return false, nil
		case ctx.Err() != nil:
			return false, err
		}
		atomic.AddInt64(&met.repeated, 1)
	}
}

// read may be sent again whatever has become of it.
func read(pool *picodata.Pool) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		var sum int
		err := pool.QueryRow(ctx, "SELECT sum(n) FROM generate_series(1, 100) AS n").Scan(&sum)
		if err == nil && sum != 5050 {
			return fmt.Errorf("the sum is %d", sum)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
