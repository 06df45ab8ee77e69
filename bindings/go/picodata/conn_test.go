package picodata_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func TestAConnectionRunsStatementsUntilItIsReleased(t *testing.T) {
	pool := single(t)
	conn, err := pool.Acquire(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	// One session runs them all.
	if tag, err := conn.Exec(soon(t), "CREATE TEMPORARY TABLE kept (n bigint)"); err != nil || tag.String() != "CREATE TABLE" {
		t.Error(tag, err)
	}
	if tag, err := conn.Exec(soon(t), "INSERT INTO kept VALUES ($1), ($2)", 1, 2); err != nil || tag.RowsAffected() != 2 {
		t.Error(tag, err)
	}
	rows, err := conn.Query(soon(t), "SELECT n FROM kept ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	if rows.Conn() != conn {
		t.Error("the rows are another connection's")
	}
	found, err := picodata.CollectRows(rows, picodata.RowTo[int])
	if err != nil || len(found) != 2 {
		t.Error(found, err)
	}
	batch := &picodata.Batch{}
	batch.Queue("SELECT count(*) FROM kept")
	results := conn.SendBatch(soon(t), batch)
	rows, err = results.Query()
	if err != nil || rows.Conn() != conn {
		t.Error(err)
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
	var n int
	if err := conn.QueryRow(soon(t), "SELECT max(n) FROM kept").Scan(&n); err != nil || n != 2 {
		t.Error(n, err)
	}
	if err := conn.Ping(soon(t)); err != nil || conn.Node() == "" {
		t.Error(conn.Node(), err)
	}
	if used := pool.Stat().AcquiredConns(); used != 1 {
		t.Errorf("%d connections are in use", used)
	}
	conn.Release()
	conn.Release()
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
	_, err = conn.Exec(soon(t), "SELECT 1")
	var failure *picodata.Error
	if !errors.As(err, &failure) || failure.Kind != quorate.KindClosed || conn.Node() != "" {
		t.Error(err)
	}
	failed, _ := conn.Query(soon(t), "SELECT 1")
	if failed.Conn() != conn || failed.RawValues() != nil {
		t.Error("rows that failed are no connection's")
	}
}

func TestRowsOfAPoolHaveNoConnection(t *testing.T) {
	rows, err := single(t).Query(soon(t), "SELECT 1")
	if err != nil || rows.Conn() != nil {
		t.Error(err)
	}
	rows.Close()
}

// The text format is PostgreSQL's, which is asked for it.
func TestRawValuesAreWrittenAsPostgreSQLDoes(t *testing.T) {
	pool := single(t)
	for _, expression := range []string{
		"7::bigint", "'é'::text", "''::text", "1.5::float8", "0::float8", "-2e-5::float8", "1e15::float8", "123456789012345::float8",
		"0.0001::float8", "'NaN'::float8", "'-Infinity'::float8", "'Infinity'::float8", "12.50::numeric", "'{\"a\": [1]}'::json",
		"'00000000-0000-0000-0000-00000000002a'::uuid", "'2024-05-06 07:08:09.123456+00'::timestamptz", "NULL::text",
		"'2024-05-06 07:08:09+00'::timestamptz", "'2024-05-06'::date", "'\\x00ff'::bytea",
	} {
		rows, err := pool.Query(soon(t), "SELECT "+expression+", ("+expression+")::text")
		if err != nil {
			t.Fatal(expression, err)
		}
		if rows.RawValues() != nil {
			t.Errorf("%s: there is no row yet", expression)
		}
		var text *string
		if !rows.Next() {
			t.Fatal(expression, rows.Err())
		}
		raw := rows.RawValues()
		if err := rows.Scan(nil, &text); err != nil {
			t.Fatal(expression, err)
		}
		if (raw[0] == nil) != (text == nil) || text != nil && string(raw[0]) != *text {
			t.Errorf("%s: %q in place of %q", expression, raw[0], raw[1])
		}
		rows.Close()
	}
	rows, err := pool.Query(soon(t), "SELECT true, false")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	defer rows.Close()
	if raw := rows.RawValues(); string(raw[0]) != "t" || string(raw[1]) != "f" {
		t.Errorf("%q", raw)
	}
}
