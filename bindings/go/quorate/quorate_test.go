package quorate_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func open(t *testing.T, options string) *sql.DB {
	t.Helper()
	cluster := testcluster.Dqlite(t)
	return openAt(t, cluster, options)
}

func openAt(t *testing.T, cluster *testcluster.Cluster, options string) *sql.DB {
	t.Helper()
	db, err := sql.Open("quorate", cluster.URL+options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	db := open(t, "")
	ctx := context.Background()
	_, err := db.Exec("CREATE TABLE v (id INTEGER PRIMARY KEY, x, at TIMESTAMP, yes BOOLEAN)")
	must(t, err)
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)
	big := make([]byte, 300_000)
	for i := range big {
		big[i] = byte(i * 7)
	}
	for id, x := range []interface{}{int64(-1 << 63), int64(1<<63 - 1), 1.5, "text", "", []byte{0, 1}, []byte{}, nil,
		"ü€", big, strings.Repeat("x", 200_000)} {
		_, err := db.ExecContext(ctx, "INSERT INTO v VALUES (?, ?, ?, ?)", id, x, at, true)
		must(t, err)
		var back interface{}
		var when time.Time
		var yes bool
		row := db.QueryRowContext(ctx, "SELECT x, at, yes FROM v WHERE id = ?", id)
		must(t, row.Scan(&back, &when, &yes))
		if fmt.Sprintf("%T %v", x, x) != fmt.Sprintf("%T %v", back, back) {
			t.Fatalf("%T %.40v came back as %T %.40v", x, x, back, back)
		}
		if !when.Equal(at) || !yes {
			t.Fatalf("%v, %v", when, yes)
		}
	}
	named, err := db.QueryContext(ctx, "SELECT count(*) FROM v WHERE id < :limit", sql.Named("limit", 3))
	must(t, err)
	defer named.Close()
	var count int
	if !named.Next() {
		t.Fatal(named.Err())
	}
	must(t, named.Scan(&count))
	if count != 3 {
		t.Fatal(count)
	}
}

func TestAResultOfManyRowsIsStreamed(t *testing.T) {
	db := open(t, "")
	rows, err := db.Query(`WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 300000)
		SELECT v, v / 2.0, 'row ' || v FROM n`)
	must(t, err)
	defer rows.Close()
	types, err := rows.ColumnTypes()
	must(t, err)
	if types[0].DatabaseTypeName() != "INTEGER" || types[2].DatabaseTypeName() != "TEXT" {
		t.Fatal(types[0].DatabaseTypeName(), types[2].DatabaseTypeName())
	}
	var sum, v int64
	var half float64
	var text string
	for rows.Next() {
		must(t, rows.Scan(&v, &half, &text))
		if half*2 != float64(v) || text != fmt.Sprintf("row %d", v) {
			t.Fatal(v, half, text)
		}
		sum += v
	}
	must(t, rows.Err())
	if sum != 300000*300001/2 {
		t.Fatal(sum)
	}
}

func TestErrorsSayWhatBecameOfTheStatement(t *testing.T) {
	db := open(t, "")
	_, err := db.Exec("CREATE TABLE e (id INTEGER PRIMARY KEY)")
	must(t, err)
	_, err = db.Exec("INSERT INTO e VALUES (1)")
	must(t, err)
	_, err = db.Exec("INSERT INTO e VALUES (1)")
	var failure *quorate.Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	if failure.Kind != quorate.KindConstraint || failure.Outcome != quorate.Rejected || failure.Code != 1555 {
		t.Fatalf("%+v", failure)
	}
	if errors.Is(err, driver.ErrBadConn) {
		t.Fatal("a statement that was rejected must not be run again")
	}
	if _, err = db.Exec("INSERT INTO e VALUES (?)"); err == nil || !errors.As(err, &failure) ||
		failure.Outcome != quorate.NotSent {
		t.Fatal(err)
	}
	if _, err := sql.Open("quorate", "dqlite://a:1/b?timeuot=1"); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Fatal(err)
	}
}

func TestContextsReachTheSocket(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	db := openAt(t, cluster, "")
	_, err := db.Exec("CREATE TABLE c (id INTEGER PRIMARY KEY)")
	must(t, err)
	slow := `WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 1000000000) SELECT count(*) FROM n`
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	var count int64
	err = db.QueryRowContext(ctx, slow).Scan(&count)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Fatal(err, time.Since(start))
	}
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	start = time.Now()
	err = db.QueryRowContext(ctx, slow).Scan(&count)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
		t.Fatal(err, time.Since(start))
	}
	// A stopped leader answers nothing.
	leader := cluster.Order(t, "leader")
	cluster.Order(t, "freeze "+leader)
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start = time.Now()
	_, err = db.ExecContext(ctx, "INSERT INTO c VALUES (1)")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Fatal(err, time.Since(start))
	}
	cluster.Order(t, "thaw "+leader)
	if _, err = db.ExecContext(canceled(), "INSERT INTO c VALUES (2)"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestTransactions(t *testing.T) {
	db := open(t, "")
	ctx := context.Background()
	_, err := db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	must(t, err)
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	_, err = tx.Exec("INSERT INTO t VALUES (1)")
	must(t, err)
	must(t, tx.Rollback())
	tx, err = db.Begin()
	must(t, err)
	_, err = tx.Exec("INSERT INTO t VALUES (2)")
	must(t, err)
	must(t, tx.Commit())
	var ids string
	must(t, db.QueryRow("SELECT group_concat(id) FROM t").Scan(&ids))
	if ids != "2" {
		t.Fatal(ids)
	}
	if _, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err == nil {
		t.Fatal("a transaction that is read only cannot be had")
	}
	if _, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}); err == nil {
		t.Fatal("another isolation level cannot be had")
	}
	// A connection that is dropped in the middle goes back without its transaction.
	conn, err := db.Conn(ctx)
	must(t, err)
	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	must(t, err)
	must(t, conn.Close())
	_, err = db.Exec("INSERT INTO t VALUES (3)")
	must(t, err)
	statement, err := db.Prepare("SELECT id FROM t WHERE id = ?")
	must(t, err)
	defer statement.Close()
	var id int
	must(t, statement.QueryRow(3).Scan(&id))
	if id != 3 {
		t.Fatal(id)
	}
}

// PostgreSQL has the levels that are asked for, and refuses to write where a transaction is to read only.
func TestTransactionsOfPostgreSQLHaveTheLevelThatIsAskedFor(t *testing.T) {
	db := openAt(t, testcluster.Picodata(t), "?topology=off")
	ctx := context.Background()
	levels := map[sql.IsolationLevel]string{
		sql.LevelDefault:        "read committed",
		sql.LevelReadCommitted:  "read committed",
		sql.LevelRepeatableRead: "repeatable read",
		sql.LevelSerializable:   "serializable",
	}
	for level, want := range levels {
		for _, readOnly := range []bool{false, true} {
			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: readOnly})
			must(t, err)
			var got, held string
			must(t, tx.QueryRow("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&got, &held))
			must(t, tx.Rollback())
			if got != want || (held == "on") != readOnly {
				t.Errorf("%v, read only %v: %q, %q", level, readOnly, got, held)
			}
		}
	}
	var failure *quorate.Error
	_, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelLinearizable})
	if !errors.As(err, &failure) || failure.Kind != quorate.KindUnsupported {
		t.Fatal(err)
	}
}

// Eight goroutines write while the leader is killed: every acknowledged write is there, once.
func TestNothingAcknowledgedIsLostWhenTheLeaderIsKilled(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	db := openAt(t, cluster, "")
	_, err := db.Exec("CREATE TABLE w (id INTEGER PRIMARY KEY)")
	must(t, err)
	var next, unknown int64
	var acknowledged sync.Map
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i := 0; i < 8; i++ {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := atomic.AddInt64(&next, 1)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				_, err := db.ExecContext(ctx, "INSERT INTO w VALUES (?)", id)
				cancel()
				var failure *quorate.Error
				switch {
				case err == nil:
					acknowledged.Store(id, true)
				case errors.As(err, &failure) && failure.Outcome == quorate.Unknown:
					atomic.AddInt64(&unknown, 1)
				case errors.As(err, &failure):
				default:
					t.Errorf("%T %v", err, err)
				}
			}
		}()
	}
	count := func() (n int) {
		acknowledged.Range(func(_, _ interface{}) bool { n++; return true })
		return n
	}
	testcluster.Eventually(t, "writes before", func() bool { return count() > 50 })
	leader := cluster.Order(t, "leader")
	cluster.Order(t, "kill "+leader)
	before := count()
	testcluster.Eventually(t, "writes after", func() bool { return count() > before+50 })
	close(stop)
	writers.Wait()
	found := make(map[int64]bool)
	rows, err := db.Query("SELECT id FROM w")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		must(t, rows.Scan(&id))
		found[id] = true
	}
	must(t, rows.Err())
	lost := 0
	acknowledged.Range(func(id, _ interface{}) bool {
		if !found[id.(int64)] {
			lost++
		}
		return true
	})
	t.Logf("acknowledged=%d unknown=%d found=%d lost=%d", count(), unknown, len(found), lost)
	if lost > 0 || len(found) > count()+int(unknown) {
		t.Fail()
	}
}

// A thousand goroutines that wait for a connection hold no thread each.
func TestWaitingGoroutinesHoldNoThread(t *testing.T) {
	db := open(t, "?pool_max_conns=4&acquire_timeout=60s")
	ctx := context.Background()
	var held []*sql.Conn
	for i := 0; i < 4; i++ {
		conn, err := db.Conn(ctx)
		must(t, err)
		held = append(held, conn)
	}
	var done int64
	var group sync.WaitGroup
	defer func() {
		for _, conn := range held {
			must(t, conn.Close())
		}
		group.Wait()
	}()
	for i := 0; i < 1000; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if _, err := db.ExecContext(ctx, "SELECT 1"); err != nil {
				t.Error(err)
			}
			atomic.AddInt64(&done, 1)
		}()
	}
	testcluster.Eventually(t, "a thousand waiting", func() bool { return testcluster.Waiting(testcluster.Gate) == 1000 })
	// Go keeps the threads that it has made.
	threads := testcluster.Threads(t)
	t.Logf("%d threads with %d goroutines waiting on %d processors", threads, runtime.NumGoroutine(), runtime.NumCPU())
	if threads > 4+24+runtime.NumCPU() {
		t.Errorf("%d threads", threads)
	}
	if atomic.LoadInt64(&done) != 0 {
		t.Error("nobody can have been let in")
	}
}
