package picodata_test

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func TestRowsAreReadToTheirEnd(t *testing.T) {
	pool := single(t)
	rows, err := pool.Query(soon(t), "SELECT n, 'row ' || n AS name FROM generate_series(1, $1::int) AS n", 10000)
	if err != nil {
		t.Fatal(err)
	}
	if fields := rows.FieldDescriptions(); len(fields) != 2 || fields[0].Name != "n" || fields[1].Name != "name" {
		t.Errorf("%v", fields)
	}
	count := 0
	for rows.Next() {
		var n int
		var name string
		if err := rows.Scan(&n, &name); err != nil {
			t.Fatal(err)
		}
		if count++; n != count || name != fmt.Sprint("row ", n) {
			t.Fatalf("%d, %q in place of %d", n, name, count)
		}
	}
	if rows.Err() != nil || count != 10000 {
		t.Errorf("%d rows, %v", count, rows.Err())
	}
	if tag := rows.CommandTag(); tag.String() != "SELECT 10000" || !tag.Select() || tag.RowsAffected() != 10000 {
		t.Errorf("%q", tag)
	}
	// Next has closed the rows.
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

func TestRowsThatAreClosedEarlyGiveTheirConnectionBack(t *testing.T) {
	pool := single(t)
	for i := 0; i < 30; i++ {
		rows, err := pool.Query(soon(t), "SELECT n FROM generate_series(1, 100000) AS n")
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		rows.Close()
		rows.Close()
		if rows.Err() != nil || rows.Next() {
			t.Fatalf("closed rows go on, or have failed: %v", rows.Err())
		}
		if err := rows.Scan(new(int)); err == nil {
			t.Fatal("closed rows were scanned")
		}
	}
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

func TestAnErrorHasTheFieldsOfTheServer(t *testing.T) {
	pool := single(t)
	ctx := soon(t)
	for _, sql := range []string{
		"CREATE TABLE fields_of_errors (id int CONSTRAINT one_of_each PRIMARY KEY, name text NOT NULL)",
		"INSERT INTO fields_of_errors VALUES (1, 'brick')",
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	defer pool.Exec(ctx, "DROP TABLE fields_of_errors")
	failure := func(sql string, args ...interface{}) picodata.Error {
		_, err := pool.Exec(ctx, sql, args...)
		var failure *picodata.Error
		if !errors.As(err, &failure) {
			t.Fatalf("%s: %v", sql, err)
		}
		return *failure
	}
	taken := failure("INSERT INTO fields_of_errors VALUES ($1, 'panel')", 1)
	if taken.ConstraintName != "one_of_each" || taken.TableName != "fields_of_errors" || taken.SchemaName != "public" ||
		taken.Severity != "ERROR" || taken.Detail != "Key (id)=(1) already exists." || taken.Routine == "" ||
		taken.File == "" || taken.Line == 0 || taken.ColumnName != "" || taken.Position != 0 {
		t.Errorf("%+v", taken)
	}
	if null := failure("INSERT INTO fields_of_errors VALUES (2, $1)", nil); null.ColumnName != "name" {
		t.Errorf("%+v", null)
	}
	missing := failure("SELECT 'я', $1::int, lenth('x')", 1)
	if missing.Position != 22 || !strings.HasPrefix(missing.Hint, "No function matches") || strings.Contains(missing.Error(), missing.Hint) {
		t.Errorf("%+v", missing)
	}
	inner := failure("DO $$ BEGIN PERFORM 1 + nothing.at_all; END $$")
	if inner.InternalQuery != "SELECT 1 + nothing.at_all" || inner.InternalPosition != 12 || inner.Position != 0 ||
		!strings.HasPrefix(inner.Where, "PL/pgSQL function") {
		t.Errorf("%+v", inner)
	}
}

func TestRowsOfAStatementThatFailedAnswerItsError(t *testing.T) {
	rows, err := single(t).Query(soon(t), "SELECT * FROM nowhere")
	var failure *picodata.Error
	if !errors.As(err, &failure) || failure.SQLState != "42P01" || failure.Outcome != quorate.Rejected ||
		failure.Node != strings.Split(strings.SplitN(instances(shared.URL)[0], "@", 2)[1], "/")[0] {
		t.Fatalf("%+v", err)
	}
	if rows.Next() || rows.Err() != err || rows.FieldDescriptions() != nil || rows.CommandTag().String() != "" {
		t.Errorf("%v", rows.Err())
	}
	if _, valuesErr := rows.Values(); valuesErr != err {
		t.Error(valuesErr)
	}
	if scanErr := rows.Scan(new(int)); scanErr != err {
		t.Error(scanErr)
	}
	rows.Close()
}

func TestAnErrorBehindTheFirstRowsIsAnsweredByErr(t *testing.T) {
	pool := single(t)
	rows, err := pool.Query(soon(t), "SELECT 1000 / (500 - n) FROM generate_series(1, 1000) AS n")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for ; rows.Next(); count++ {
	}
	var failure *picodata.Error
	if !errors.As(rows.Err(), &failure) || failure.SQLState != "22012" || count != 499 {
		t.Errorf("%d rows, %v", count, rows.Err())
	}
	// A program that stops at the first row of a row-by-row query is told by Scan, or by nobody.
	one[int](t, pool, "SELECT 1")
}

func TestARowThatIsNotThereIsErrNoRows(t *testing.T) {
	err := single(t).QueryRow(soon(t), "SELECT 1 WHERE false").Scan(new(int))
	if !errors.Is(err, picodata.ErrNoRows) || !errors.Is(err, sql.ErrNoRows) || err.Error() != "no rows in result set" {
		t.Error(err)
	}
}

func TestARowGivesItsConnectionBackWhateverHappens(t *testing.T) {
	pool := single(t)
	for _, query := range []string{"SELECT 1", "SELECT n FROM generate_series(1, 1000) AS n", "SELECT 1 WHERE false",
		"SELECT 'x'", "SELECT 1, 2", "SELECT 1/0", "nonsense"} {
		for i := 0; i < 15; i++ {
			_ = pool.QueryRow(soon(t), query).Scan(new(int))
		}
	}
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

type readerOfRows struct{ values []any }

func (r *readerOfRows) ScanRow(rows picodata.Rows) (err error) {
	r.values, err = rows.Values()
	return err
}

func TestARowScannerReadsTheRowItself(t *testing.T) {
	var reader readerOfRows
	if err := single(t).QueryRow(soon(t), "SELECT 1, 'x'").Scan(&reader); err != nil ||
		!reflect.DeepEqual(reader.values, []any{int64(1), "x"}) {
		t.Errorf("%v, %v", reader.values, err)
	}
}

func TestATagSaysWhatAStatementHasDone(t *testing.T) {
	pool := single(t)
	for _, c := range []struct {
		sql  string
		tag  string
		rows int64
	}{
		{"CREATE TABLE tagged (n bigint PRIMARY KEY)", "CREATE TABLE", 0},
		{"CREATE UNIQUE INDEX tagged_index ON tagged (n)", "CREATE INDEX", 0},
		{"INSERT INTO tagged SELECT generate_series(1, 5)", "INSERT 0 5", 5},
		{"-- a comment\n/* another */ insert into tagged values (6)", "INSERT 0 1", 1},
		{"UPDATE tagged SET n = n + 10 WHERE n > 3", "UPDATE 3", 3},
		{"WITH \"select\" AS (SELECT 1 AS n) DELETE FROM tagged WHERE n IN (SELECT n FROM \"select\")", "DELETE 1", 1},
		{"SELECT * FROM tagged", "SELECT 5", 5},
		{"DELETE FROM tagged", "DELETE 5", 5},
		{"DROP TABLE tagged", "DROP TABLE", 0},
		{"SET application_name = 'x'", "SET", 0},
	} {
		tag := mustExec(t, pool, c.sql)
		if tag.String() != c.tag || tag.RowsAffected() != c.rows || tag.Insert() != strings.HasPrefix(c.tag, "INSERT") ||
			tag.Update() != strings.HasPrefix(c.tag, "UPDATE") || tag.Delete() != strings.HasPrefix(c.tag, "DELETE") ||
			tag.Select() != strings.HasPrefix(c.tag, "SELECT") {
			t.Errorf("%s: %q, %d rows", c.sql, tag, tag.RowsAffected())
		}
	}
}

func TestRowsOfAStatementThatAnswersNoneSayWhatItHasDone(t *testing.T) {
	pool := single(t)
	mustExec(t, pool, "CREATE TABLE noted (n bigint)")
	for sql, want := range map[string]string{
		"INSERT INTO noted SELECT generate_series(1, 3)":             "INSERT 0 3",
		"INSERT INTO noted SELECT generate_series(1, 2) RETURNING n": "INSERT 0 2",
	} {
		rows, err := pool.Query(soon(t), sql)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
		}
		if rows.Err() != nil || rows.CommandTag().String() != want {
			t.Errorf("%s: %q, %v", sql, rows.CommandTag(), rows.Err())
		}
	}
}

type panicking struct{}

func (panicking) Scan(any) error { panic("a scanner of the program") }

func TestAScannerThatPanicsDoesNotKeepTheConnection(t *testing.T) {
	pool := single(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		_ = pool.QueryRow(soon(t), "SELECT n FROM generate_series(1, 100000) AS n").Scan(panicking{})
	}()
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

func TestSeveralStatementsInOneTextAreExecuted(t *testing.T) {
	pool := single(t)
	mustExec(t, pool, "CREATE TABLE several (n bigint); INSERT INTO several VALUES (1); INSERT INTO several VALUES (2), (3)")
	if n := one[int](t, pool, "SELECT count(*) FROM several"); n != 3 {
		t.Errorf("%d rows", n)
	}
}
