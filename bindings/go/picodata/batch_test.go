package picodata_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorate/quorate/bindings/go/picodata"
)

func TestABatchAnswersItsStatementsInTurn(t *testing.T) {
	pool := single(t)
	mustExec(t, pool, "CREATE TABLE batched (n bigint PRIMARY KEY, name text)")
	batch := &picodata.Batch{}
	batch.Queue("INSERT INTO batched VALUES ($1, $2)", 1, "alice")
	batch.Queue("SELECT n, name FROM batched")
	batch.Queue("INSERT INTO batched VALUES ($1, $2)", 1, "again")
	batch.Queue("SELECT count(*) FROM batched")
	batch.Queue("SELECT 1")
	if batch.Len() != 5 {
		t.Error(batch.Len())
	}
	results := pool.SendBatch(soon(t), batch)
	tag, err := results.Exec()
	if err != nil || tag.String() != "INSERT 0 1" {
		t.Error(tag, err)
	}
	rows, err := results.Query()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var name string
	if !rows.Next() || rows.Scan(&n, &name) != nil || n != 1 || name != "alice" {
		t.Error(n, name, rows.Err())
	}
	// The rows are not closed: the next result closes them. Its error is its own.
	_, err = results.Exec()
	var failure *picodata.Error
	if !errors.As(err, &failure) || failure.SQLState != "23505" {
		t.Error(err)
	}
	if rows.Next() {
		t.Error("rows go on behind the next result")
	}
	if err := results.QueryRow().Scan(&n); err != nil || n != 1 {
		t.Error(n, err)
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
	if _, err := results.Exec(); err == nil {
		t.Error("closed results go on")
	}
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

func TestTheFunctionsOfABatchAreCalledByClose(t *testing.T) {
	batch := &picodata.Batch{}
	var said []string
	batch.Queue("SELECT 1").Exec(func(tag picodata.CommandTag) error {
		said = append(said, tag.String())
		return nil
	})
	batch.Queue("SELECT generate_series(1, 3)").Query(func(rows picodata.Rows) error {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				return err
			}
			said = append(said, fmt.Sprint(n))
		}
		return nil
	})
	batch.Queue("SELECT 2")
	batch.Queue("SELECT $1::text", "x").QueryRow(func(row picodata.Row) error {
		var text string
		err := row.Scan(&text)
		said = append(said, text)
		return err
	})
	stop := errors.New("stop")
	batch.Queue("SELECT 1").Exec(func(picodata.CommandTag) error { return stop })
	batch.Queue("SELECT 1").Exec(func(picodata.CommandTag) error {
		t.Error("a function is called behind one that has failed")
		return nil
	})
	pool := single(t)
	results := pool.SendBatch(soon(t), batch)
	for i := 0; i < 2; i++ {
		if err := results.Close(); err != stop {
			t.Error(err)
		}
	}
	if fmt.Sprint(said) != "[SELECT 1 1 2 3 x]" {
		t.Error(said)
	}
	one[int](t, pool, "SELECT 1")
}

func TestCloseOfABatchAnswersTheFirstErrorThatNobodyAskedFor(t *testing.T) {
	batch := &picodata.Batch{}
	batch.Queue("SELECT 1")
	batch.Queue("SELECT 1/0")
	batch.Queue("SELECT * FROM nowhere")
	results := single(t).SendBatch(soon(t), batch)
	var failure *picodata.Error
	if err := results.Close(); !errors.As(err, &failure) || failure.SQLState != "22012" {
		t.Error(err)
	}
}

func TestABatchThatCannotBeSentAnswersWhyEverywhere(t *testing.T) {
	batch := &picodata.Batch{}
	batch.Queue("SELECT $1::text", make(chan int))
	results := single(t).SendBatch(soon(t), batch)
	_, execErr := results.Exec()
	_, queryErr := results.Query()
	for _, err := range []error{execErr, queryErr, results.QueryRow().Scan(new(int)), results.Close()} {
		var wrong *picodata.ParameterError
		if !errors.As(err, &wrong) {
			t.Error(err)
		}
	}
}

func TestAskingForMoreResultsThanThereAreIsAnError(t *testing.T) {
	batch := &picodata.Batch{}
	batch.Queue("SELECT 1")
	results := single(t).SendBatch(soon(t), batch)
	if _, err := results.Exec(); err != nil {
		t.Error(err)
	}
	if _, err := results.Exec(); err == nil {
		t.Error("there is a second result of one statement")
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
	if err := single(t).SendBatch(soon(t), &picodata.Batch{}).Close(); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
}
