package picodata

import (
	"context"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Pool keeps connections to the instances of a cluster. Any goroutine may use it.
type Pool struct {
	native *capi.Pool
	config *Config
}

// New makes a pool of a connection string; see ParseConfig. Nothing is dialled before the first call; Ping tells whether
// there is anybody.
func New(ctx context.Context, connString string, opts ...PoolOption) (*Pool, error) {
	config, err := ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	return NewWithConfig(ctx, config, opts...)
}

// NewWithConfig makes a pool of a configuration, which has been made by ParseConfig and may be changed or used again
// afterwards.
func NewWithConfig(_ context.Context, config *Config, opts ...PoolOption) (*Pool, error) {
	options, err := config.native()
	if err != nil {
		return nil, err
	}
	if err := apply(opts, options); err != nil {
		return nil, err
	}
	native, err := capi.OpenPool(options)
	if err != nil {
		return nil, err
	}
	return &Pool{native: native, config: config.Copy()}, nil
}

// Config is a copy of the configuration that the pool was made with.
func (p *Pool) Config() *Config { return p.config.Copy() }

// Exec runs a statement and answers what it has done. Parameters are referred to as $1, $2 and so on.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (CommandTag, error) {
	return execOn(ctx, place{on: p.native}, sql, args)
}

// Query runs a statement and answers its rows, which hold a connection until they are closed or have been read to their
// end. The context bounds the reading, too. After an error the rows answer the same error, so that it may be looked at
// there.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (Rows, error) {
	return queryOn(ctx, place{on: p.native}, sql, args)
}

// QueryRow runs a statement of which one row is wanted. Errors are answered by the row's Scan, which has to be called:
// until then a connection is in use.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) Row {
	return queryRowOn(ctx, place{on: p.native}, sql, args)
}

// SendBatch sends all statements of a batch at once, on one connection, which is in use until the results are closed. If
// they could not be sent, each result is that error.
func (p *Pool) SendBatch(ctx context.Context, b *Batch) BatchResults {
	return sendBatchOn(ctx, place{on: p.native}, b)
}

// Acquire takes a connection out of the pool, until it is released. The pool chooses the instance, as for a statement.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	native, err := p.native.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{native}, nil
}

// Ping asks each instance for an answer, and tells the first failure.
func (p *Pool) Ping(ctx context.Context) error { return p.native.Ping(ctx) }

// Reset closes idle connections at once, and those in use when they come back. The pool stays open.
func (p *Pool) Reset() {
	// It fails only where the pool is closed, and then there is nothing to reset.
	_ = p.native.Reset()
}

// Close closes the pool: who waits for a connection is sent away, and it blocks until those in use have come back. It may
// be called more than once.
func (p *Pool) Close() {
	// Without a deadline it fails only where the process was forked, and then nothing is the child's to close.
	_ = p.native.Close(context.Background())
}
