package driver_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite/client"
	"github.com/quorate/quorate/bindings/go/dqlite/driver"
	"github.com/quorate/quorate/bindings/go/internal/testcluster"
)

// The exported names of go-dqlite's package driver, but for WithTracing, are here, with their types.
var (
	_ sqldriver.DriverContext = (*driver.Driver)(nil)
	_ sqldriver.ConnBeginTx   = (*driver.Conn)(nil)
	_ sqldriver.Stmt          = (*driver.Stmt)(nil)
	_ sqldriver.Tx            = (*driver.Tx)(nil)
	_ sqldriver.Rows          = (*driver.Rows)(nil)
	_ sqldriver.Result        = (*driver.Result)(nil)
	_ error                   = driver.Error{Code: driver.ErrBusyRecovery, Message: ""}
	_                         = []int{driver.ErrIoErrNotLeader, driver.ErrIoErrLeadershipLost, driver.ErrBusySnapshot}
	_                         = driver.NodeInfo{ID: 1, Address: ""}

	_ = []func(time.Duration) driver.Option{driver.WithConnectionBackoffCap, driver.WithConnectionBackoffFactor,
		driver.WithConnectionTimeout, driver.WithAttemptTimeout, driver.WithContextTimeout}
	_ func(*int64) driver.Option                                       = driver.WithConcurrentLeaderConns
	_ func(uint) driver.Option                                         = driver.WithRetryLimit
	_ func(context.Context) driver.Option                              = driver.WithContext
	_ func(driver.DialFunc) driver.Option                              = driver.WithDialFunc
	_ func(client.LogFunc) driver.Option                               = driver.WithLogFunc
	_ func(string) (driver.NodeStore, error)                           = driver.DefaultNodeStore
	_ func(client.NodeStore, ...driver.Option) (*driver.Driver, error) = driver.New
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProgramOfGoDqlite(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := context.Background()
	hosts, _, _ := strings.Cut(strings.TrimPrefix(cluster.URL, "dqlite://"), "/")
	first, _, _ := strings.Cut(hosts, ",")
	store, err := driver.DefaultNodeStore(filepath.Join(t.TempDir(), "cluster.yaml"))
	must(t, err)
	must(t, store.Set(ctx, []client.NodeInfo{{ID: 1, Address: first}}))
	var messages, conns int64 = 0, 3
	d, err := driver.New(store,
		driver.WithLogFunc(func(client.LogLevel, string, ...interface{}) { atomic.AddInt64(&messages, 1) }),
		driver.WithDialFunc(client.DefaultDialFunc),
		driver.WithConcurrentLeaderConns(&conns),
		driver.WithConnectionTimeout(10*time.Second),
		driver.WithConnectionBackoffFactor(20*time.Millisecond),
		driver.WithConnectionBackoffCap(100*time.Millisecond),
		driver.WithAttemptTimeout(5*time.Second),
		driver.WithRetryLimit(20),
		driver.WithContext(ctx),
		driver.WithContextTimeout(10*time.Second))
	must(t, err)
	// The tests may run more than once.
	name := fmt.Sprintf("dqlite at %p", d)
	sql.Register(name, d)
	db, err := sql.Open(name, "app")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	_, err = db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	must(t, err)
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	must(t, err)
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	var code driver.Error
	if !errors.As(err, &code) || code.Code != 1555 {
		t.Error(err, code)
	}
	if atomic.LoadInt64(&messages) == 0 {
		t.Error("nothing was logged")
	}
	testcluster.Eventually(t, "the store to have all nodes", func() bool {
		nodes, err := store.Get(ctx)
		must(t, err)
		return len(nodes) == 3
	})
}
