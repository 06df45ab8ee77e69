package quorate_test

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func TestADeadlineMayBeFarOff(t *testing.T) {
	db := open(t, "")
	longest, cancel := context.WithTimeout(context.Background(), math.MaxInt64)
	defer cancel()
	never, cancel := context.WithDeadline(context.Background(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	defer cancel()
	for _, ctx := range []context.Context{longest, never} {
		var n int
		must(t, db.QueryRowContext(ctx, "SELECT 1").Scan(&n))
	}
}

func TestTheTimeoutCoversTheWaitingForAConnection(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	db := openAt(t, cluster, "?timeout=300ms&pool_max_conns=1")
	held, err := db.Conn(context.Background())
	must(t, err)
	defer held.Close()
	begun := time.Now()
	_, err = db.Exec("CREATE TABLE never (a)")
	var failure *quorate.Error
	if !errors.As(err, &failure) || failure.Kind != quorate.KindPoolTimeout || failure.Outcome != quorate.NotSent {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("waited %v", took)
	}
}

func TestCloseLeavesATransactionToItsEnd(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	connector, err := quorate.NewConnector(cluster.URL)
	must(t, err)
	db := sql.OpenDB(connector)
	_, err = db.Exec("CREATE TABLE kept (a)")
	must(t, err)
	tx, err := db.Begin()
	must(t, err)

	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for the transaction")
	}
	_, err = tx.Exec("INSERT INTO kept VALUES (1)")
	must(t, err)
	must(t, tx.Commit())
	testcluster.Eventually(t, "the end of the pool", func() bool { return connector.EndpointStats() == nil })
	if err := db.Ping(); err == nil {
		t.Error("a closed database answers")
	}

	again := openAt(t, cluster, "")
	var count int
	must(t, again.QueryRow("SELECT count(*) FROM kept").Scan(&count))
	if count != 1 {
		t.Errorf("%d rows", count)
	}
}

func TestAPoolThatIsDroppedIsClosed(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	var told int32
	drop := func() {
		connector, err := quorate.NewConnector(cluster.URL)
		must(t, err)
		must(t, connector.SetLog(func(_ int, message string) {
			if strings.Contains(message, "a pool was dropped without Close") {
				atomic.AddInt32(&told, 1)
			}
		}))
		conn, err := connector.Connect(context.Background())
		must(t, err)
		must(t, conn.Close())
	}
	drop()
	testcluster.Eventually(t, "the closing of the pool", func() bool {
		runtime.GC()
		return atomic.LoadInt32(&told) == 1
	})
}

type id [16]byte

func TestATypeOf16BytesIsAUUID(t *testing.T) {
	db := open(t, "")
	_, err := db.Exec("CREATE TABLE ids (a)")
	must(t, err)
	_, err = db.Exec("INSERT INTO ids VALUES (?), (?)", id{15: 1}, [16]byte{15: 1})
	must(t, err)
	var kinds int
	must(t, db.QueryRow("SELECT count(DISTINCT a) FROM ids").Scan(&kinds))
	if kinds != 1 {
		t.Errorf("%d different values", kinds)
	}
	if _, err := db.Exec("INSERT INTO ids VALUES (?)", [3]byte{}); err == nil {
		t.Error("three bytes were taken")
	}
}

func TestPicodataHasNoRowIDs(t *testing.T) {
	cluster := testcluster.Picodata(t)
	db := openAt(t, cluster, "?topology=off")
	conn, err := db.Conn(context.Background())
	must(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(context.Background(), "CREATE TEMPORARY TABLE plain (a int)")
	must(t, err)
	result, err := conn.ExecContext(context.Background(), "INSERT INTO plain VALUES (1)")
	must(t, err)
	var failure *quorate.Error
	if _, err := result.LastInsertId(); !errors.As(err, &failure) || failure.Kind != quorate.KindUnsupported {
		t.Errorf("%v", err)
	}
	if count, err := result.RowsAffected(); err != nil || count != 1 {
		t.Errorf("%d, %v", count, err)
	}
}
