package picodata_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/quorate"
)

// sleeps takes a minute, much longer than its context allows.
const sleeps = "SELECT pg_sleep(60)"

// promptly is how soon a call has to be back whose context has ended.
const promptly = 10 * time.Second

func TestAContextEndsACallThatIsUnderWay(t *testing.T) {
	pool := single(t)
	calls := map[string]func(ctx context.Context) error{
		"Exec": func(ctx context.Context) error {
			_, err := pool.Exec(ctx, sleeps)
			return err
		},
		"Query": func(ctx context.Context) error {
			rows, err := pool.Query(ctx, sleeps)
			if err == nil {
				rows.Next()
				err = rows.Err()
			}
			return err
		},
		"QueryRow": func(ctx context.Context) error {
			var nothing string
			return pool.QueryRow(ctx, sleeps).Scan(&nothing)
		},
		"SendBatch": func(ctx context.Context) error {
			batch := &picodata.Batch{}
			batch.Queue(sleeps)
			return pool.SendBatch(ctx, batch).Close()
		},
	}
	for name, call := range calls {
		begin := time.Now()
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(100*time.Millisecond, cancel)
		err := call(ctx)
		var failure *picodata.Error
		if !errors.Is(err, context.Canceled) || !errors.As(err, &failure) || failure.Kind != quorate.KindCancelled ||
			failure.Outcome == quorate.NotSent || time.Since(begin) > promptly {
			t.Errorf("%s, cancelled: %v after %v", name, err, time.Since(begin))
		}

		begin = time.Now()
		ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
		err = call(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failure) || failure.Kind != quorate.KindTimeout ||
			time.Since(begin) > promptly {
			t.Errorf("%s, at its deadline: %v after %v", name, err, time.Since(begin))
		}

		ctx, cancel = context.WithCancel(context.Background())
		cancel()
		err = call(ctx)
		if !errors.Is(err, context.Canceled) || !errors.As(err, &failure) || failure.Outcome != quorate.NotSent {
			t.Errorf("%s, cancelled before: %v", name, err)
		}
	}
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
	one[int](t, pool, "SELECT 1")
}

func TestAContextEndsTheReadingOfRows(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	rows, err := single(t).Query(ctx, "SELECT n, pg_sleep(0.01) FROM generate_series(1, 100000) AS n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	cancel()
	begin := time.Now()
	for rows.Next() {
	}
	if !errors.Is(rows.Err(), context.Canceled) || time.Since(begin) > promptly {
		t.Errorf("%v after %v", rows.Err(), time.Since(begin))
	}
}

func TestAClosedPoolAnswersThatItIsClosed(t *testing.T) {
	pool := single(t)
	one[int](t, pool, "SELECT 1")
	pool.Reset()
	one[int](t, pool, "SELECT 1")
	pool.Close()
	pool.Close()
	pool.Reset()
	_, err := pool.Exec(context.Background(), "SELECT 1")
	var failure *picodata.Error
	if !errors.As(err, &failure) || failure.Kind != quorate.KindClosed {
		t.Error(err)
	}
	if err := pool.Ping(context.Background()); err == nil {
		t.Error("a closed pool answers Ping")
	}
}

func TestCloseWaitsForConnectionsInUse(t *testing.T) {
	pool := single(t)
	rows, err := pool.Query(soon(t), "SELECT n FROM generate_series(1, 100000) AS n")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	testcluster.Eventually(t, "the pool to take no more calls", func() bool {
		var failure *picodata.Error
		return errors.As(pool.Ping(soon(t)), &failure) && failure.Kind == quorate.KindClosed
	})
	for i := 0; rows.Next(); i++ {
		if i != 50000 {
			continue
		}
		select {
		case <-closed:
			t.Error("the pool was closed under its rows")
		default:
		}
	}
	if rows.Err() != nil {
		t.Error(rows.Err())
	}
	select {
	case <-closed:
	case <-time.After(promptly):
		t.Error("the pool is not closed behind its rows")
	}
}

func TestAContextBoundsTheWaitingForAConnectionThatIsInUse(t *testing.T) {
	pool := single(t)
	conn, err := pool.Acquire(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	const other = "SELECT pg_sleep(61)"
	sleeping, wake := context.WithCancel(context.Background())
	woken := make(chan struct{})
	go func() {
		_, _ = conn.Exec(sleeping, other)
		close(woken)
	}()
	testcluster.Eventually(t, "the statement of the other goroutine", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM pg_stat_activity WHERE query = $1", other) == 1
	})

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err = conn.Exec(ctx, "SELECT 1")
	var failure *picodata.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failure) || failure.Outcome != quorate.NotSent ||
		time.Since(begin) > promptly {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	wake()
	<-woken
	// Whoever gave up has left the connection to others.
	if _, err := conn.Exec(soon(t), "SELECT 1"); err != nil {
		t.Error(err)
	}
}

func TestAContextEndsRowsThatHaveAllArrived(t *testing.T) {
	pool := single(t)
	const all = 100_000
	for name, end := range map[string]struct {
		kind quorate.Kind
		of   error
	}{"cancel": {quorate.KindCancelled, context.Canceled}, "deadline": {quorate.KindTimeout, context.DeadlineExceeded}} {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		rows, err := pool.Query(ctx, "SELECT generate_series(1, $1::int)", all)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for rows.Next() {
			if count++; count == 1 {
				if name == "cancel" {
					cancel()
				}
				<-ctx.Done()
			}
		}
		var failure *picodata.Error
		if err := rows.Err(); !errors.Is(err, end.of) || !errors.As(err, &failure) || failure.Kind != end.kind || count == all {
			t.Errorf("%s: %d rows, %v", name, count, err)
		}
	}
	if in := pool.Stat().AcquiredConns(); in != 0 {
		t.Errorf("%d connections are in use", in)
	}
}
