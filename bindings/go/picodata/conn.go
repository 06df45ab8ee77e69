package picodata

import (
	"context"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Conn is a connection that was taken out of a pool, until it is released. One goroutine at a time uses it; others wait for
// their turn.
//
// It is not tied to one instance for life: behind a failure it goes on with another.
type Conn struct{ native *capi.Conn }

func (c *Conn) place() place { return place{on: c.native, conn: c} }

// Exec runs a statement and answers what it has done. Parameters are referred to as $1, $2 and so on.
func (c *Conn) Exec(ctx context.Context, sql string, args ...any) (CommandTag, error) {
	return execOn(ctx, c.place(), sql, args)
}

// Query runs a statement and answers its rows, which end when the connection is used for something else. The context bounds
// the reading, too. After an error the rows answer the same error.
func (c *Conn) Query(ctx context.Context, sql string, args ...any) (Rows, error) {
	return queryOn(ctx, c.place(), sql, args)
}

// QueryRow runs a statement of which one row is wanted. Errors are answered by the row's Scan.
func (c *Conn) QueryRow(ctx context.Context, sql string, args ...any) Row {
	return queryRowOn(ctx, c.place(), sql, args)
}

// SendBatch sends all statements of a batch at once. The results end when the connection is used for something else. If
// they could not be sent, each result is that error.
func (c *Conn) SendBatch(ctx context.Context, b *Batch) BatchResults {
	return sendBatchOn(ctx, c.place(), b)
}

// Ping asks the instance for an answer.
func (c *Conn) Ping(ctx context.Context) error { return c.native.Ping(ctx) }

// Node is the address of the instance that the connection goes to; empty behind a failure, and where it was released.
func (c *Conn) Node() string { return c.native.Node() }

// Release gives the connection back to its pool. It may be called more than once.
func (c *Conn) Release() {
	// It fails where a transaction that a text began on PostgreSQL could not be rolled back; the connection is closed then.
	_ = c.native.Close()
}
