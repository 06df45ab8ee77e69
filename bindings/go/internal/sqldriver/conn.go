// Package sqldriver is the driver of database/sql for both databases: the packages quorate and dqlite give it a name and
// a way to be opened.
package sqldriver

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/value"
)

// Conn is a connection of database/sql: one of the library's pool. It is not tied to one node for life: outside of a
// transaction the library repeats on the next leader what cannot have been applied.
type Conn struct {
	conn *capi.Conn
	// rowIDs says that rows have ids, which the server tells of those that are inserted.
	rowIDs bool
}

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
)

// NewConn is a connection that was taken out of a pool. rowIDs says that the database gives rows an id, as dqlite does.
func NewConn(conn *capi.Conn, rowIDs bool) *Conn { return &Conn{conn, rowIDs} }

// Exec runs statements that answer no rows.
//
// Deprecated: use ExecContext.
func (c *Conn) Exec(query string, args []driver.Value) (driver.Result, error) {
	return c.ExecContext(context.Background(), query, named(args))
}

// ExecContext runs statements that answer no rows. Several in one text run one after the other, without parameters.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	values, err := toValues(args)
	if err != nil {
		return nil, err
	}
	result, err := c.conn.Exec(ctx, query, values)
	if err != nil {
		return nil, err
	}
	return &Result{result, c.rowIDs}, nil
}

// Query runs one statement and gives its rows.
//
// Deprecated: use QueryContext.
func (c *Conn) Query(query string, args []driver.Value) (driver.Rows, error) {
	return c.QueryContext(context.Background(), query, named(args))
}

// QueryContext runs one statement and gives its rows. The context bounds the reading as well.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	values, err := toValues(args)
	if err != nil {
		return nil, err
	}
	rows, err := c.conn.Query(ctx, query, values)
	if err != nil {
		return nil, err
	}
	return &Rows{rows}, nil
}

// Prepare prepares a statement.
//
// Deprecated: use PrepareContext.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext has the server look at a statement, so that a fault in it shows now. The connection keeps what it has
// prepared by its text, so running the same text again costs no second preparation, with or without this.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	parameters, err := c.conn.Prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return &Stmt{conn: c, query: query, parameters: parameters}, nil
}

// Begin begins a transaction.
//
// Deprecated: use BeginTx.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// isolationSerializable is sql.LevelSerializable: the package database/sql itself is no business of a driver.
const isolationSerializable = 6

// isolationLevels are the levels of database/sql that PostgreSQL has (its manual, "SET TRANSACTION").
var isolationLevels = map[driver.IsolationLevel]string{
	1:                     "READ UNCOMMITTED",
	2:                     "READ COMMITTED",
	4:                     "REPEATABLE READ",
	isolationSerializable: "SERIALIZABLE",
}

// BeginTx begins a transaction. One of dqlite takes its locks with its first read or write, and is serializable; no other
// level can be had, and none that is held to read only. One of PostgreSQL has the server's own level unless another is asked
// for. Picodata has no transactions.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	level, offered := isolationLevels[opts.Isolation]
	if opts.Isolation != 0 && (!offered || c.rowIDs && opts.Isolation != isolationSerializable) {
		return nil, capi.Errorf(capi.KindUnsupported, "isolation level %d is not offered", int(opts.Isolation))
	}
	if opts.ReadOnly && c.rowIDs {
		return nil, capi.Errorf(capi.KindUnsupported, "a transaction cannot be held to read only")
	}
	tx, err := c.conn.Begin(ctx, capi.Deferred)
	if err != nil {
		return nil, err
	}
	if !c.rowIDs && (offered || opts.ReadOnly) {
		mode := "SET TRANSACTION"
		if offered {
			mode += " ISOLATION LEVEL " + level
		}
		if opts.ReadOnly {
			mode += " READ ONLY"
		}
		if _, err := c.conn.Exec(ctx, mode, nil); err != nil {
			_ = tx.Rollback(context.Background())
			return nil, err
		}
	}
	return &Tx{tx}, nil
}

// CheckNamedValue makes of an argument what a parameter can be.
func (c *Conn) CheckNamedValue(arg *driver.NamedValue) error {
	converted, err := driver.DefaultParameterConverter.ConvertValue(arg.Value)
	if err != nil {
		id, ok := uuid(arg.Value)
		if !ok {
			return err
		}
		converted = id
	}
	arg.Value = converted
	return nil
}

// Ping asks the server for an answer.
func (c *Conn) Ping(ctx context.Context) error {
	return c.conn.Ping(ctx)
}

// ResetSession says whether the connection may be used again. A transaction that was left open on it is rolled back by
// the library when it is given back, so that one with an open transaction is.
func (c *Conn) ResetSession(context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid says whether the connection is open and in no transaction.
func (c *Conn) IsValid() bool {
	return c.conn.IsOpen() && !c.conn.InTransaction()
}

// Close gives the connection back to the library's pool, which keeps it for others.
func (c *Conn) Close() error { return c.conn.Close() }

// Tx is a transaction.
type Tx struct{ tx *capi.Tx }

var _ driver.Tx = (*Tx)(nil)

// Commit commits the transaction.
func (t *Tx) Commit() error {
	return t.tx.Commit(context.Background())
}

// Rollback rolls the transaction back.
func (t *Tx) Rollback() error {
	return t.tx.Rollback(context.Background())
}

// Stmt is a prepared statement. One goroutine at a time uses it.
type Stmt struct {
	conn       *Conn
	query      string
	parameters int
}

var (
	_ driver.Stmt             = (*Stmt)(nil)
	_ driver.StmtExecContext  = (*Stmt)(nil)
	_ driver.StmtQueryContext = (*Stmt)(nil)
)

// NumInput is the number of parameters.
func (s *Stmt) NumInput() int { return s.parameters }

// Exec runs the statement.
//
// Deprecated: use ExecContext.
func (s *Stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

// ExecContext runs the statement.
func (s *Stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

// Query runs the statement and gives its rows.
//
// Deprecated: use QueryContext.
func (s *Stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

// QueryContext runs the statement and gives its rows.
func (s *Stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

// Close does nothing: what is prepared belongs to the connection, which drops what it has not used for long.
func (s *Stmt) Close() error { return nil }

// Result is what a statement has done.
type Result struct {
	result capi.Result
	rowIDs bool
}

var _ driver.Result = (*Result)(nil)

// LastInsertId is the row id of the last row that the connection inserted; 0 where there is none. Picodata has no row ids,
// and it is an error there.
func (r *Result) LastInsertId() (int64, error) {
	if !r.rowIDs {
		return 0, capi.Errorf(capi.KindUnsupported, "this database has no row ids; give rows a key of your own")
	}
	return r.result.LastInsertID, nil
}

// RowsAffected is how many rows the statement inserted, changed or deleted.
func (r *Result) RowsAffected() (int64, error) { return int64(r.result.RowsAffected), nil }

// Rows are the answer to a query, a message of the server at a time.
type Rows struct{ rows *capi.Rows }

var (
	_ driver.Rows                           = (*Rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*Rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*Rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*Rows)(nil)
)

// Columns are the names of the columns.
func (r *Rows) Columns() []string { return r.rows.Columns() }

// Next reads the next row into dest.
func (r *Rows) Next(dest []driver.Value) error {
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	values := r.rows.Values()
	for i := range dest {
		dest[i] = fromValue(&values[i])
	}
	return nil
}

// Close ends the reading, whether all rows were read or not.
func (r *Rows) Close() error { return r.rows.Close() }

// kind is the type of a column: that of its value in the row that is next, or was read last, or else that which the
// server declares; false where nothing is known.
func (r *Rows) kind(index int) (value.Kind, bool) {
	kinds, declared := r.rows.Kinds(), r.rows.Declared()
	if index < 0 || index >= len(declared) {
		return value.Null, false
	}
	if index < len(kinds) && kinds[index] != value.Null {
		return kinds[index], true
	}
	return declared[index], index < len(kinds) || declared[index] != value.Null
}

// ColumnTypeDatabaseTypeName is the type that the column has in the row that is next, or was read last; where it is NULL
// there, or no row has come, the type that PostgreSQL declares. SQLite gives each value a type of its own. Empty where
// nothing is known.
func (r *Rows) ColumnTypeDatabaseTypeName(index int) string {
	kind, known := r.kind(index)
	if !known {
		return ""
	}
	return kind.String()
}

// ColumnTypeScanType is the type that a value of the column is scanned into best; see ColumnTypeDatabaseTypeName.
func (r *Rows) ColumnTypeScanType(index int) reflect.Type {
	kind, _ := r.kind(index)
	switch kind {
	case value.Bool:
		return reflect.TypeOf(false)
	case value.Int:
		return reflect.TypeOf(int64(0))
	case value.Float:
		return reflect.TypeOf(float64(0))
	case value.Text, value.Decimal, value.UUID:
		return reflect.TypeOf("")
	case value.Blob, value.JSON:
		return reflect.TypeOf([]byte(nil))
	case value.Timestamp, value.Date:
		return reflect.TypeOf(time.Time{})
	}
	return reflect.TypeOf((*interface{})(nil)).Elem()
}

// ColumnTypeNullable says that nothing is known of it.
func (r *Rows) ColumnTypeNullable(int) (nullable, ok bool) { return false, false }
