package picodata

import (
	"errors"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Batch is statements that are sent at once. One goroutine at a time uses it, and it is sent once.
type Batch struct {
	QueuedQueries []*QueuedQuery
}

// QueuedQuery is a statement of a batch. Its functions say what is done with the answer when the results are closed.
type QueuedQuery struct {
	SQL       string
	Arguments []any
	// Fn is given the results when it is this statement's turn; Exec, Query and QueryRow set it.
	Fn func(br BatchResults) error
}

// Queue adds a statement.
func (b *Batch) Queue(query string, arguments ...any) *QueuedQuery {
	queued := &QueuedQuery{SQL: query, Arguments: arguments}
	b.QueuedQueries = append(b.QueuedQueries, queued)
	return queued
}

// Len is how many statements there are.
func (b *Batch) Len() int { return len(b.QueuedQueries) }

// Exec has fn called with what the statement has done.
func (q *QueuedQuery) Exec(fn func(tag CommandTag) error) {
	q.Fn = func(br BatchResults) error {
		tag, err := br.Exec()
		if err != nil {
			return err
		}
		return fn(tag)
	}
}

// Query has fn called with the rows, which are closed behind it.
func (q *QueuedQuery) Query(fn func(rows Rows) error) {
	q.Fn = func(br BatchResults) error {
		rows, err := br.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := fn(rows); err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
}

// QueryRow has fn called with the first row.
func (q *QueuedQuery) QueryRow(fn func(row Row) error) {
	q.Fn = func(br BatchResults) error { return fn(br.QueryRow()) }
}

// BatchResults are the answers to a batch, in the order of its statements. One goroutine at a time uses them. An error is
// that of its own statement: the next result is that of the next statement.
type BatchResults interface {
	// Exec says what the next statement has done.
	Exec() (CommandTag, error)
	// Query answers the rows of the next statement, which end when the next result is asked for.
	Query() (Rows, error)
	// QueryRow answers the first row of the next statement.
	QueryRow() Row
	// Close reads what was not asked for, calls the functions of those statements until one fails, and gives the
	// connection back. It answers the first error that it met, and when it is called again, the same.
	Close() error
}

type batchResults struct {
	batch  *Batch
	conn   *Conn
	native *capi.Results
	next   int
	rows   Rows
	err    error
	closed bool
}

// take gives the text of the statement whose turn it is.
func (b *batchResults) take() (string, error) {
	if b.rows != nil {
		b.rows.Close()
		b.rows = nil
	}
	switch {
	case b.closed && b.err != nil:
		return "", b.err
	case b.closed:
		return "", capi.Errorf(capi.KindClosed, "the results are closed")
	case b.next == b.batch.Len():
		return "", capi.Errorf(capi.KindMisuse, "all %d results of the batch were read", b.batch.Len())
	}
	b.next++
	return b.batch.QueuedQueries[b.next-1].SQL, nil
}

func (b *batchResults) Exec() (CommandTag, error) {
	sql, err := b.take()
	if err != nil {
		return CommandTag{}, err
	}
	if readsRows(sql) {
		native, err := b.native.Query()
		if err != nil {
			return CommandTag{}, err
		}
		return counted(newRows(native, sql, b.conn))
	}
	result, err := b.native.Exec()
	if err != nil {
		return CommandTag{}, err
	}
	return newTag(sql, int64(result.RowsAffected)), nil
}

func (b *batchResults) Query() (Rows, error) {
	sql, err := b.take()
	if err != nil {
		return failedRows(err, b.conn), err
	}
	native, err := b.native.Query()
	if err != nil {
		return failedRows(err, b.conn), err
	}
	b.rows = newRows(native, sql, b.conn)
	return b.rows, nil
}

func (b *batchResults) QueryRow() Row {
	rows, _ := b.Query()
	return row{rows}
}

func (b *batchResults) Close() error {
	if b.closed {
		return b.err
	}
	for b.err == nil && b.next < b.batch.Len() {
		turn := b.next
		if fn := b.batch.QueuedQueries[turn].Fn; fn != nil {
			b.err = fn(b)
		} else {
			_, b.err = b.Exec()
		}
		if b.err == nil && b.next == turn {
			b.err = errors.New("picodata: the function of a queued query has not asked for its result")
		}
	}
	if b.rows != nil {
		b.rows.Close()
	}
	b.closed = true
	if err := b.native.Close(); b.err == nil {
		b.err = err
	}
	return b.err
}
