package capi

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// Result is what a statement without rows has done.
type Result struct {
	LastInsertID int64
	RowsAffected uint64
}

// Statement is a text with its parameters.
type Statement struct {
	SQL  string
	Args []value.Value
}

// Pool is a pool of connections to a cluster. Any goroutine may use it.
type Pool struct {
	*poolHandle
	gate gate
	warn func(string)
}

// poolHandle is the handle of a pool. It knows nothing of the Pool, whose finalizer would never run if the gate, which asks
// the handle, led back to it.
type poolHandle struct {
	// mu keeps the handle from being freed while a call uses it.
	mu     sync.RWMutex
	handle *C.quorate_pool
}

// OpenPool opens a pool. It does not touch the network.
func OpenPool(config *Config) (*Pool, error) {
	limit, err := config.duration("acquire_timeout")
	if err != nil {
		return nil, err
	}
	timeout, err := config.duration("timeout")
	if err != nil {
		return nil, err
	}
	p := &Pool{poolHandle: &poolHandle{}, warn: config.warn}
	err = call(nil, config, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_pool_open_config(config.handle, &p.handle, native)
	})
	if err != nil {
		return nil, err
	}
	p.gate.limit, p.gate.timeout = limit, timeout
	p.gate.capacity = p.poolHandle.capacity
	runtime.SetFinalizer(p, (*Pool).leaked)
	return p, nil
}

// capacity is how many connections there can be, so that a goroutine that is let in does not wait in the library.
func (p *poolHandle) capacity() int {
	max, instances := p.Stat(StatMaxConns), p.Stat(StatUsableInstances)
	if instances == 0 {
		// The leader of a dqlite cluster, or an instance that tells of the others.
		instances = 1
	}
	if max == 0 {
		// Freed meanwhile: the call finds out.
		return 1
	}
	return int(max * instances)
}

func (p *Pool) leaked() {
	p.warn("a pool was dropped without Close")
	p.free()
}

func (p *Pool) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	C.quorate_pool_free(p.handle)
	p.handle = nil
	runtime.SetFinalizer(p, nil)
}

// begin waits for room and takes the bounds of ctx, for a call that ends with its answer. The caller ends what it answers,
// and leaves the gate.
func (p *Pool) begin(ctx context.Context) (bounds, error) {
	b, waited, err := p.beginReading(ctx)
	if err == nil && waited > 0 && p.gate.timeout > 0 && b.timeout == C.QUORATE_TIMEOUT_DEFAULT {
		// The waiting was part of the call.
		b.timeout = 0
		if left := p.gate.timeout - waited; left > 0 {
			b.timeout = milliseconds(left)
		}
	}
	return b, err
}

// beginReading is begin for a call whose answer is read by further calls, each of which has the configured timeout.
func (p *Pool) beginReading(ctx context.Context) (b bounds, waited time.Duration, err error) {
	waited, err = p.gate.enter(ctx)
	if err != nil {
		return b, waited, err
	}
	b, err = bound(ctx)
	if err != nil {
		p.gate.leave()
	}
	return b, waited, err
}

// use calls f with the handle, which stays valid meanwhile.
func (p *poolHandle) use(f func(handle *C.quorate_pool) error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.handle == nil {
		return closedPool()
	}
	return f(p.handle)
}

// call calls the library with the handle, within the bounds of ctx where it has any.
func (p *Pool) call(ctx context.Context, f func(*C.quorate_pool, **C.quorate_error) C.quorate_status) error {
	return p.use(func(handle *C.quorate_pool) error {
		return call(ctx, nil, func(native **C.quorate_error) C.quorate_status { return f(handle, native) })
	})
}

// Exec runs statements that answer no rows.
func (p *Pool) Exec(ctx context.Context, sql string, args []value.Value) (Result, error) {
	b, err := p.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer p.gate.leave()
	defer b.release()
	var result Result
	err = p.use(func(handle *C.quorate_pool) (err error) {
		result, err = exec(place{C.QG_POOL, unsafe.Pointer(handle)}, sql, args, &b)
		return err
	})
	return result, err
}

func exec(at place, sql string, args []value.Value, b *bounds) (Result, error) {
	params := newParams(args)
	answer := C.qg_exec(params.statement(at, sql, b))
	runtime.KeepAlive(params)
	runtime.KeepAlive(sql)
	return Result{int64(answer.result.last_insert_id), uint64(answer.result.rows_affected)},
		failed(b.ctx, answer.status, answer.error)
}

func query(at place, sql string, args []value.Value, b *bounds) func(*C.qg_rows_buffer) C.qg_answer {
	return func(memory *C.qg_rows_buffer) C.qg_answer {
		params := newParams(args)
		answer := C.qg_query(params.statement(at, sql, b), memory, firstRows)
		runtime.KeepAlive(params)
		runtime.KeepAlive(sql)
		return answer
	}
}

// Query runs one statement and gives its rows, which hold a connection until they have ended or are closed. The context
// bounds the reading too.
func (p *Pool) Query(ctx context.Context, sql string, args []value.Value) (*Rows, error) {
	b, _, err := p.beginReading(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.handle == nil {
		b.release()
		p.gate.leave()
		return nil, closedPool()
	}
	at := place{C.QG_POOL, unsafe.Pointer(p.handle)}
	return startRows(b, new(sync.Mutex), p.gate.leave, p.warn, query(at, sql, args, &b))
}

// SendBatch sends all statements at once. The results hold a connection until they are closed.
func (p *Pool) SendBatch(ctx context.Context, statements []Statement) (*Results, error) {
	b, _, err := p.beginReading(ctx)
	if err != nil {
		return nil, err
	}
	var results *Results
	err = p.use(func(handle *C.quorate_pool) (err error) {
		results, err = sendBatch(place{C.QG_POOL, unsafe.Pointer(handle)}, statements, &b)
		return err
	})
	if err != nil {
		b.release()
		p.gate.leave()
		return nil, err
	}
	results.init(b, new(sync.Mutex), p.gate.leave, p.warn)
	return results, nil
}

// Acquire takes a connection out, until it is closed.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	return p.acquire(ctx, func(b *bounds) (connection *C.quorate_connection, err error) {
		err = p.call(ctx, func(handle *C.quorate_pool, native **C.quorate_error) C.quorate_status {
			return C.qg_pool_acquire(handle, b.timeout, b.handle(), &connection, native)
		})
		return connection, err
	})
}

// acquire makes a connection of what take answers.
func (p *Pool) acquire(ctx context.Context, take func(b *bounds) (*C.quorate_connection, error)) (*Conn, error) {
	b, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.release()
	handle, err := take(&b)
	if err != nil {
		p.gate.leave()
		return nil, err
	}
	c := &Conn{pool: p, handle: handle}
	runtime.SetFinalizer(c, (*Conn).leaked)
	return c, nil
}

// Ping asks for an answer: with dqlite the leader, with Picodata every instance.
func (p *Pool) Ping(ctx context.Context) error {
	b, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer p.gate.leave()
	defer b.release()
	return p.call(ctx, func(handle *C.quorate_pool, native **C.quorate_error) C.quorate_status {
		return C.qg_pool_ping(handle, b.timeout, b.handle(), native)
	})
}

// Reset closes idle connections at once and those in use when they come back.
func (p *Pool) Reset() error {
	return p.call(nil, func(handle *C.quorate_pool, native **C.quorate_error) C.quorate_status {
		return C.quorate_pool_reset(handle, native)
	})
}

// Close sends away everybody who waits, and waits until the connections in use have come back, or ctx ends. It may be
// called more than once.
func (p *Pool) Close(ctx context.Context) error {
	p.gate.close(nil)
	timeout := C.int64_t(C.QUORATE_TIMEOUT_NONE)
	if deadline, ok := ctx.Deadline(); ok {
		timeout = milliseconds(time.Until(deadline))
		if timeout < 0 {
			timeout = 0
		}
	}
	err := p.call(ctx, func(handle *C.quorate_pool, native **C.quorate_error) C.quorate_status {
		return C.quorate_pool_close(handle, timeout, native)
	})
	if e, ok := err.(*Error); ok && e.Kind == KindClosed {
		return nil
	}
	if err == nil {
		p.free()
	}
	return err
}

// CloseBehind sends away everybody who waits, and who comes later, and closes the pool when the connections in use have come
// back. They go on until then. It does not wait for them.
func (p *Pool) CloseBehind() error {
	last := func() { _ = p.Close(context.Background()) }
	if p.gate.close(last) {
		return nil
	}
	return p.Close(context.Background())
}
