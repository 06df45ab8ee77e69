package dqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite"
	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addresses are those of the nodes in a connection string.
func addresses(url string) []string {
	hosts, _, _ := strings.Cut(strings.TrimPrefix(url, "dqlite://"), "/")
	return strings.Split(hosts, ",")
}

func openDB(t *testing.T, d *dqlite.Driver, name string) *sql.DB {
	t.Helper()
	connector, err := d.OpenConnector(name)
	must(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() {
		must(t, db.Close())
		must(t, d.Close())
	})
	return db
}

func TestADriverOverEachKindOfStore(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := context.Background()
	one := []dqlite.ServerInfo{{Address: addresses(cluster.URL)[0]}}

	inMemory := dqlite.NewInmemServerStore()
	must(t, inMemory.Set(ctx, one))
	file, err := dqlite.DefaultServerStore(filepath.Join(t.TempDir(), "servers.db"))
	must(t, err)
	must(t, file.Set(ctx, one))
	yaml, err := dqlite.NewYamlServerStore(filepath.Join(t.TempDir(), "cluster.yaml"))
	must(t, err)
	must(t, yaml.Set(ctx, one))
	// The table of a database of one's own, here the cluster's.
	own, err := sql.Open("quorate", cluster.URL)
	must(t, err)
	defer own.Close()
	_, err = own.Exec("CREATE TABLE servers (address TEXT)")
	must(t, err)
	table := dqlite.NewServerStore(own, "main", "servers", "address")
	must(t, table.Set(ctx, one))

	stores := map[string]dqlite.ServerStore{"memory": inMemory, "sqlite": file, "yaml": yaml, "table": table}
	for name, store := range stores {
		var dials, messages int64
		d, err := dqlite.NewDriver(store,
			dqlite.WithDialFunc(func(ctx context.Context, address string) (net.Conn, error) {
				atomic.AddInt64(&dials, 1)
				var dialer net.Dialer
				return dialer.DialContext(ctx, "tcp", address)
			}),
			dqlite.WithLogFunc(func(dqlite.LogLevel, string, ...interface{}) { atomic.AddInt64(&messages, 1) }),
			dqlite.WithConnectionTimeout(10*time.Second))
		must(t, err)
		db := openDB(t, d, "app")
		_, err = db.Exec(fmt.Sprintf("CREATE TABLE in_%s (id INTEGER PRIMARY KEY)", name))
		must(t, err)
		result, err := db.Exec(fmt.Sprintf("INSERT INTO in_%s VALUES (7)", name))
		must(t, err)
		if id, _ := result.LastInsertId(); id != 7 {
			t.Fatal(name, id)
		}
		testcluster.Eventually(t, "the store of "+name+" to have all servers", func() bool {
			servers, err := store.Get(ctx)
			must(t, err)
			return len(servers) == 3
		})
		if atomic.LoadInt64(&dials) == 0 || atomic.LoadInt64(&messages) == 0 {
			t.Fatal(name, dials, messages)
		}
	}
}

func TestErrorsAreFoundAsTheOriginalsAre(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	store := dqlite.NewInmemServerStore()
	must(t, store.Set(context.Background(), []dqlite.ServerInfo{{Address: addresses(cluster.URL)[0]}}))
	d, err := dqlite.NewDriver(store)
	must(t, err)
	db := openDB(t, d, "app")
	_, err = db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	must(t, err)
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	must(t, err)
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	var code dqlite.DriverError
	if !errors.As(err, &code) || code.Code != 1555 {
		t.Fatal(err, code)
	}
	for _, name := range []string{"", "a/b", "../x"} {
		if _, err := d.OpenConnector(name); err == nil {
			t.Fatal(name)
		}
	}
	if _, err := dqlite.NewDriver(nil); err == nil {
		t.Fatal("a driver without a store")
	}

	nobody := dqlite.NewInmemServerStore()
	must(t, nobody.Set(context.Background(), []dqlite.ServerInfo{{Address: "127.0.0.1:1"}}))
	alone, err := dqlite.NewDriver(nobody, dqlite.WithConnectionTimeout(300*time.Millisecond))
	must(t, err)
	lost := openDB(t, alone, "app")
	start := time.Now()
	err = lost.Ping()
	if !errors.Is(err, dqlite.ErrNoAvailableLeader) || time.Since(start) > 5*time.Second {
		t.Fatal(err, time.Since(start))
	}
	var failure *quorate.Error
	if !errors.As(err, &failure) || len(failure.Causes) != 1 || failure.Outcome != quorate.NotSent {
		t.Fatalf("%+v", failure)
	}
}

// A port that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func TestServersOfOnesOwn(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	states := make(chan dqlite.State, 16)
	first := dqlite.ServerInfo{ID: dqlite.BootstrapID, Address: freeAddress(t)}
	one, err := dqlite.NewServer(first, t.TempDir(),
		dqlite.WithServerWatchFunc(func(_, state dqlite.State) { states <- state }))
	must(t, err)
	must(t, one.Bootstrap([]dqlite.ServerInfo{first}))
	must(t, one.Start(nil))
	defer one.Close()
	if err := one.Bootstrap([]dqlite.ServerInfo{first}); !errors.Is(err, dqlite.ErrServerCantBootstrap) {
		t.Fatal(err)
	}
	for state := range states {
		if state == dqlite.Leader {
			break
		}
	}

	second := dqlite.ServerInfo{ID: 2, Address: freeAddress(t)}
	two, err := dqlite.NewServer(second, t.TempDir())
	must(t, err)
	listener, err := net.Listen("tcp", second.Address)
	must(t, err)
	must(t, two.Start(listener))
	defer two.Close()
	store := dqlite.NewInmemServerStore()
	must(t, store.Set(ctx, []dqlite.ServerInfo{first}))
	must(t, two.Join(ctx, store, nil))
	servers, err := one.Cluster()
	must(t, err)
	if len(servers) != 2 || servers[1].Role != dqlite.Voter {
		t.Fatal(servers)
	}
	if leader := two.Leader(); leader == nil || leader.ID != first.ID {
		t.Fatal(leader)
	}

	d, err := dqlite.NewDriver(store)
	must(t, err)
	db := openDB(t, d, "app")
	_, err = db.Exec("CREATE TABLE t (id INTEGER)")
	must(t, err)
	dir := t.TempDir()
	must(t, one.Dump("app", dir))
	if _, err := os.Stat(filepath.Join(dir, "app")); err != nil {
		t.Fatal(err)
	}
	must(t, dqlite.Leave(ctx, second.ID, store, nil))
	servers, err = one.Cluster()
	must(t, err)
	if len(servers) != 1 {
		t.Fatal(servers)
	}
}
