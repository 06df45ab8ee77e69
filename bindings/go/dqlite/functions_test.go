package dqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite"
	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

// storeOf knows the first node of a cluster.
func storeOf(t *testing.T, cluster *testcluster.Cluster) *dqlite.InmemServerStore {
	t.Helper()
	store := dqlite.NewInmemServerStore()
	must(t, store.Set(context.Background(), []dqlite.ServerInfo{{Address: addresses(cluster.URL)[0]}}))
	return store
}

func tcp(ctx context.Context, address string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", address)
}

// rude panics the first times it is called.
type rude struct {
	dqlite.ServerStore
	calls int32
}

func (r *rude) Get(ctx context.Context) ([]dqlite.ServerInfo, error) {
	if atomic.AddInt32(&r.calls, 1) <= 2 {
		panic("no store today")
	}
	return r.ServerStore.Get(ctx)
}

func TestAFunctionThatDoesNotReturnStopsNobody(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	for name, leave := range map[string]func(context.Context){
		"panic":   func(context.Context) { panic("no dial today") },
		"goexit":  func(context.Context) { runtime.Goexit() },
		"no end":  func(context.Context) { select {} },
		"no conn": func(context.Context) {},
	} {
		leave := leave
		t.Run(name, func(t *testing.T) {
			var dials int32
			d, err := dqlite.NewDriver(&rude{ServerStore: storeOf(t, cluster)},
				dqlite.WithLogFunc(func(dqlite.LogLevel, string, ...interface{}) { panic("no log today") }),
				dqlite.WithDialFunc(func(ctx context.Context, address string) (net.Conn, error) {
					if atomic.AddInt32(&dials, 1) == 1 {
						leave(ctx)
						return nil, nil
					}
					return tcp(ctx, address)
				}))
			must(t, err)
			db := openDB(t, d, "app")
			// The first one may be what the fault ends, and then by its deadline; the next one is none the worse.
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_ = db.PingContext(ctx)
			must(t, db.Ping())
		})
	}
}

func TestADatabaseThatIsClosedLeavesNothing(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	use := func() {
		d, err := dqlite.NewDriver(storeOf(t, cluster))
		must(t, err)
		connector, err := d.OpenConnector("app")
		must(t, err)
		db := sql.OpenDB(connector)
		must(t, db.Ping())
		must(t, db.Close())
	}
	use()
	before := testcluster.Threads(t)
	for i := 0; i < 20; i++ {
		use()
	}
	testcluster.Eventually(t, "the end of the pools' threads", func() bool {
		return testcluster.Threads(t) < before+10
	})
}

func TestTheTimeoutIsThatOfEachReading(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	d, err := dqlite.NewDriver(storeOf(t, cluster), dqlite.WithContextTimeout(500*time.Millisecond))
	must(t, err)
	db := openDB(t, d, "app")
	rows, err := db.Query(
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000) SELECT x, 'some text' FROM c")
	must(t, err)
	defer rows.Close()
	count := 0
	for rows.Next() {
		if count++; count == 100_000 {
			time.Sleep(time.Second)
		}
	}
	must(t, rows.Err())
	if count != 500_000 {
		t.Errorf("%d rows", count)
	}

	// What the name of a database says comes first.
	d, err = dqlite.NewDriver(storeOf(t, cluster), dqlite.WithContextTimeout(500*time.Millisecond))
	must(t, err)
	patient := openDB(t, d, "app?timeout=60s")
	const slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 8000000) SELECT max(x) FROM c"
	must(t, patient.QueryRow(slow).Scan(&count))
}

func TestTheDriversContextEndsTheOpening(t *testing.T) {
	// Nobody listens there.
	store := dqlite.NewInmemServerStore()
	must(t, store.Set(context.Background(), []dqlite.ServerInfo{{Address: "127.0.0.1:1"}}))
	ctx, cancel := context.WithCancel(context.Background())
	d, err := dqlite.NewDriver(store, dqlite.WithContext(ctx), dqlite.WithConnectionTimeout(20*time.Second))
	must(t, err)
	db := openDB(t, d, "app")
	time.AfterFunc(100*time.Millisecond, cancel)
	begun := time.Now()
	err = db.Ping()
	var failure *quorate.Error
	if !errors.As(err, &failure) || failure.Kind != quorate.KindCancelled {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestADeadlineThatPassesWithoutALeaderIsFound(t *testing.T) {
	store := dqlite.NewInmemServerStore()
	must(t, store.Set(context.Background(), []dqlite.ServerInfo{{Address: "127.0.0.1:1"}}))
	d, err := dqlite.NewDriver(store)
	must(t, err)
	db := openDB(t, d, "app")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err = db.PingContext(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dqlite.ErrNoAvailableLeader) {
		t.Errorf("%v", err)
	}
}

func TestAServerThatDoesNotRunSaysSoAtOnce(t *testing.T) {
	own := dqlite.ServerInfo{ID: 1, Address: freeAddress(t)}
	server, err := dqlite.NewServer(own, t.TempDir())
	must(t, err)
	begun := time.Now()
	ask := func() {
		if leader := server.Leader(); leader != nil {
			t.Error(leader)
		}
		var failure *quorate.Error
		if _, err := server.Cluster(); !errors.As(err, &failure) || failure.Kind != quorate.KindMisuse {
			t.Error(err)
		}
	}
	ask()
	must(t, server.Start(nil))
	must(t, server.Close())
	ask()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestADialFunctionIsToldOfTheCallsEnd(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "of the call"))
	defer cancel()
	var ended time.Time
	d, err := dqlite.NewDriver(storeOf(t, cluster), dqlite.WithConnectionTimeout(20*time.Second),
		dqlite.WithDialFunc(func(ctx context.Context, address string) (net.Conn, error) {
			if ctx.Value(key{}) == nil {
				// The pool's own thread looks for the leader too, and the call may wait for what it finds.
				return tcp(ctx, address)
			}
			ended = time.Now()
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	must(t, err)
	db := openDB(t, d, "app")
	if err := db.PingContext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if took := time.Since(ended); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}
