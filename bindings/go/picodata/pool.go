package picodata

import (
	"context"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/scan"
	"github.com/quorate/quorate/bindings/go/internal/value"
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
	params, err := toValues(args)
	if err != nil {
		return CommandTag{}, err
	}
	if readsRows(sql) {
		native, err := p.native.Query(ctx, sql, params)
		if err != nil {
			return CommandTag{}, err
		}
		return counted(newRows(native, sql))
	}
	result, err := p.native.Exec(ctx, sql, params)
	if err != nil {
		return CommandTag{}, err
	}
	return newTag(sql, int64(result.RowsAffected)), nil
}

// Query runs a statement and answers its rows, which hold a connection until they are closed or have been read to their
// end. The context bounds the reading, too. After an error the rows answer the same error, so that it may be looked at
// there.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (Rows, error) {
	params, err := toValues(args)
	if err != nil {
		return failedRows(err), err
	}
	native, err := p.native.Query(ctx, sql, params)
	if err != nil {
		return failedRows(err), err
	}
	return newRows(native, sql), nil
}

// QueryRow runs a statement of which one row is wanted. Errors are answered by the row's Scan, which has to be called:
// until then a connection is in use.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) Row {
	rows, _ := p.Query(ctx, sql, args...)
	return row{rows}
}

// SendBatch sends all statements of a batch at once, on one connection, which is in use until the results are closed. If
// they could not be sent, each result is that error.
func (p *Pool) SendBatch(ctx context.Context, b *Batch) BatchResults {
	statements := make([]capi.Statement, len(b.QueuedQueries))
	for i, query := range b.QueuedQueries {
		params, err := toValues(query.Arguments)
		if err != nil {
			return &batchResults{batch: b, err: err, closed: true}
		}
		statements[i] = capi.Statement{SQL: query.SQL, Args: params}
	}
	native, err := p.native.SendBatch(ctx, statements)
	if err != nil {
		return &batchResults{batch: b, err: err, closed: true}
	}
	return &batchResults{batch: b, native: native}
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

// Stat is what a pool does at the moment, and has done.
type Stat struct{ pool *capi.Pool }

// Stat tells figures of the pool, which go on counting.
func (p *Pool) Stat() *Stat { return &Stat{p.native} }

func (s *Stat) number(stat capi.Stat) int64 { return int64(s.pool.Stat(stat)) }

// MaxConns is the most connections there may be to one instance.
func (s *Stat) MaxConns() int32 { return int32(s.number(capi.StatMaxConns)) }

// TotalConns is how many connections are open.
func (s *Stat) TotalConns() int32 { return int32(s.number(capi.StatConnections)) }

// IdleConns is how many of them nobody uses.
func (s *Stat) IdleConns() int32 { return int32(s.number(capi.StatIdle)) }

// AcquiredConns is how many of them are in use.
func (s *Stat) AcquiredConns() int32 { return int32(s.number(capi.StatInUse)) }

// AcquireCount is how often a connection was taken out.
func (s *Stat) AcquireCount() int64 { return s.number(capi.StatAcquires) }

// NewConnsCount is how many connections have been opened.
func (s *Stat) NewConnsCount() int64 { return s.number(capi.StatConnects) }

// AcquireDuration is how long callers have waited inside of the library for a connection, all in all.
func (s *Stat) AcquireDuration() time.Duration {
	return time.Duration(s.number(capi.StatWaitNanoseconds))
}

func toValues(args []any) ([]value.Value, error) {
	if len(args) == 0 {
		return nil, nil
	}
	values := make([]value.Value, len(args))
	for i, arg := range args {
		v, err := scan.FromGo(arg)
		if err != nil {
			return nil, &ParameterError{Number: i + 1, Err: err}
		}
		values[i] = v
	}
	return values, nil
}
