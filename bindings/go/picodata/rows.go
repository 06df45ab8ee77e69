package picodata

import (
	"fmt"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/scan"
)

// Rows are the answer to a query. One goroutine at a time uses them.
type Rows interface {
	// Close ends the reading and gives the connection back. It may be called more than once.
	Close()
	// Err is what ended the rows before their end; it is to be looked at when Next has answered false.
	Err() error
	// CommandTag says what the statement has done, once the rows are closed.
	CommandTag() CommandTag
	// FieldDescriptions are the columns; none where the statement failed.
	FieldDescriptions() []FieldDescription
	// Next goes to the next row, and blocks until it is there. Where there is none, or Err says why, it answers false and
	// the rows are closed.
	Next() bool
	// Scan copies the current row into what dest point to, of which there are as many as columns; nil leaves a column out.
	// A single RowScanner is given the rows. After an error the rows are closed.
	Scan(dest ...any) error
	// Values are the values of the current row; see the package's comment for their types.
	Values() ([]any, error)
	// RawValues are the values of the current row in PostgreSQL's text format, whatever the protocol was, and nil for NULL;
	// nil where there is no current row. They belong to the caller.
	RawValues() [][]byte
	// Conn is the connection that the statement ran on; nil where it ran on a pool.
	Conn() *Conn
}

// Row is the answer to a query of which one row is wanted.
type Row interface {
	// Scan is Rows.Scan of the first row, and gives the connection back. It answers ErrNoRows where there is no row.
	Scan(dest ...any) error
}

// RowScanner reads a row by itself.
type RowScanner interface {
	ScanRow(rows Rows) error
}

// FieldDescription is a column of an answer.
type FieldDescription struct {
	Name string
}

type rows struct {
	native *capi.Rows
	conn   *Conn
	fields []FieldDescription
	sql    string
	count  int64
	err    error
	// current says that there is a row to be scanned.
	current bool
	closed  bool
}

func newRows(native *capi.Rows, sql string, conn *Conn) *rows {
	columns := native.Columns()
	fields := make([]FieldDescription, len(columns))
	for i, name := range columns {
		fields[i].Name = name
	}
	return &rows{native: native, conn: conn, fields: fields, sql: sql}
}

func failedRows(err error, conn *Conn) *rows { return &rows{err: err, conn: conn, closed: true} }

func (r *rows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.current = false
	r.fail(r.native.Err())
	r.fail(r.native.Close())
}

// fail keeps the first error.
func (r *rows) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *rows) Err() error { return r.err }

func (r *rows) CommandTag() CommandTag {
	if !r.closed || r.err != nil {
		return CommandTag{}
	}
	if len(r.fields) == 0 {
		return newTag(r.sql, int64(r.native.Result().RowsAffected))
	}
	return newTag(r.sql, r.count)
}

func (r *rows) FieldDescriptions() []FieldDescription { return r.fields }

func (r *rows) Next() bool {
	if r.closed {
		return false
	}
	r.current = r.native.Next()
	if r.current {
		r.count++
	} else {
		r.Close()
	}
	return r.current
}

func (r *rows) Scan(dest ...any) error {
	err := r.scan(dest)
	if err != nil {
		r.fail(err)
		r.Close()
	}
	return err
}

func (r *rows) scan(dest []any) error {
	if err := r.check(); err != nil {
		return err
	}
	values := r.native.Values()
	if len(dest) == 1 {
		if scanner, ok := dest[0].(RowScanner); ok {
			return scanner.ScanRow(r)
		}
	}
	if len(dest) != len(values) {
		return capi.Errorf(capi.KindMisuse, "there are %d columns and %d destinations", len(values), len(dest))
	}
	for i := range dest {
		if err := scan.Scan(dest[i], values[i]); err != nil {
			return ScanArgError{ColumnIndex: i, FieldName: r.fields[i].Name, Err: err}
		}
	}
	return nil
}

func (r *rows) Values() ([]any, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	values := r.native.Values()
	out := make([]any, len(values))
	for i := range values {
		natural, err := scan.Natural(values[i])
		if err != nil {
			err = fmt.Errorf("column %d (%s): %w", i, r.fields[i].Name, err)
			r.fail(err)
			r.Close()
			return nil, err
		}
		out[i] = natural
	}
	return out, nil
}

func (r *rows) RawValues() [][]byte {
	if r.check() != nil {
		return nil
	}
	values := r.native.Values()
	raw := make([][]byte, len(values))
	for i := range values {
		raw[i] = scan.Raw(values[i])
	}
	return raw
}

func (r *rows) Conn() *Conn { return r.conn }

func (r *rows) check() error {
	switch {
	case r.current:
		return nil
	case r.err != nil:
		return r.err
	case r.closed:
		return capi.Errorf(capi.KindMisuse, "the rows are closed")
	}
	return capi.Errorf(capi.KindMisuse, "there is no current row: call Next first")
}

// counted reads rows to their end, for their number.
func counted(r *rows) (CommandTag, error) {
	for r.Next() {
	}
	return r.CommandTag(), r.Err()
}

type row struct{ rows Rows }

func (r row) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	// What a statement that writes has to say comes behind its rows.
	r.rows.Close()
	return r.rows.Err()
}
