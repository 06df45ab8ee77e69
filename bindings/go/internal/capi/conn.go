package capi

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"sync"
	"unsafe"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// Conn is a connection out of a pool. One goroutine at a time uses it; others wait for their turn.
type Conn struct {
	mu     sync.Mutex
	pool   *Pool
	handle *C.quorate_connection
}

func (c *Conn) leaked() {
	c.pool.warn("a connection was dropped without Close; it was in use until now")
	_ = c.Close()
}

func closedConn() *Error {
	return Errorf(KindClosed, "the connection was closed")
}

func (c *Conn) place() place {
	return place{C.QG_CONNECTION, unsafe.Pointer(c.handle)}
}

// lock waits for the connection's turn, and takes the bounds of ctx. The caller unlocks mu where there is no error.
func (c *Conn) lock(ctx context.Context) (bounds, error) {
	if !c.mu.TryLock() {
		if err := c.wait(ctx); err != nil {
			return bounds{}, err
		}
	}
	if c.handle == nil {
		c.mu.Unlock()
		return bounds{}, closedConn()
	}
	b, err := bound(ctx)
	if err != nil {
		c.mu.Unlock()
	}
	return b, err
}

// wait locks mu, which another goroutine holds for the length of its call, unless ctx ends first.
func (c *Conn) wait(ctx context.Context) error {
	if _, limited := ctx.Deadline(); !limited && c.pool.gate.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.pool.gate.timeout)
		defer cancel()
	}
	locked := make(chan struct{})
	go func() {
		c.mu.Lock()
		close(locked)
	}()
	select {
	case <-locked:
		return nil
	case <-ctx.Done():
		go func() {
			<-locked
			c.mu.Unlock()
		}()
		failure := notSent(ctx.Err())
		failure.Message = "the connection is in use by another call: " + failure.Message
		failure.text = failure.Message
		return failure
	}
}

// call runs f on the connection, within the bounds of ctx.
func (c *Conn) call(ctx context.Context, f func(b *bounds) error) error {
	b, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer c.mu.Unlock()
	defer b.release()
	return f(&b)
}

// Exec runs statements that answer no rows.
func (c *Conn) Exec(ctx context.Context, sql string, args []value.Value) (Result, error) {
	var result Result
	err := c.call(ctx, func(b *bounds) (err error) {
		result, err = exec(c.place(), sql, args, b)
		return err
	})
	return result, err
}

// Query runs one statement and gives its rows. They end when the connection is used for something else.
func (c *Conn) Query(ctx context.Context, sql string, args []value.Value) (*Rows, error) {
	b, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	return startRows(b, &c.mu, func() {}, c.pool.warn, query(c.place(), sql, args, &b))
}

// SendBatch sends all statements at once. The results end when the connection is used for something else.
func (c *Conn) SendBatch(ctx context.Context, statements []Statement) (*Results, error) {
	b, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	results, err := sendBatch(c.place(), statements, &b)
	if err != nil {
		b.release()
		return nil, err
	}
	results.init(b, &c.mu, func() {}, c.pool.warn)
	return results, nil
}

// Prepare has the server look at a statement, and answers how many parameters it has.
func (c *Conn) Prepare(ctx context.Context, sql string) (int, error) {
	parameters := 0
	err := c.call(ctx, func(b *bounds) error {
		var statement *C.quorate_statement
		var native *C.quorate_error
		status := C.qg_connection_prepare(c.handle, stringData(sql), C.size_t(len(sql)), b.timeout, b.handle(),
			&statement, &native)
		runtime.KeepAlive(sql)
		if err := failed(ctx, status, native); err != nil {
			return err
		}
		parameters = int(C.quorate_statement_parameters(statement))
		C.quorate_statement_free(statement)
		return nil
	})
	return parameters, err
}

// Ping asks the server for an answer.
func (c *Conn) Ping(ctx context.Context) error {
	return c.call(ctx, func(b *bounds) error {
		var native *C.quorate_error
		status := C.qg_connection_ping(c.handle, b.timeout, b.handle(), &native)
		return failed(ctx, status, native)
	})
}

// Node is the address of the node that the connection goes to; empty behind a failure, and where it was closed.
func (c *Conn) Node() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var buffer *C.quorate_buffer
	if c.handle == nil || C.quorate_connection_node(c.handle, &buffer, nil) != C.QUORATE_STATUS_OK {
		return ""
	}
	return takeBuffer(buffer)
}

// InTransaction says whether a transaction is open, or was lost and waits to be rolled back.
func (c *Conn) InTransaction() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle == nil {
		return false
	}
	var open C.bool
	C.quorate_connection_in_transaction(c.handle, &open, nil)
	return bool(open)
}

// IsOpen says whether the connection was not closed.
func (c *Conn) IsOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handle != nil
}

// Close gives the connection back. An open transaction is rolled back first. It may be called more than once.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle == nil {
		return nil
	}
	var native *C.quorate_error
	status := C.quorate_connection_close(c.handle, &native)
	C.quorate_connection_free(c.handle)
	c.handle = nil
	runtime.SetFinalizer(c, nil)
	c.pool.gate.leave()
	return failed(nil, status, native)
}

// TransactionMode says when a transaction takes its locks.
type TransactionMode int32

// The modes of transactions; see quorate_transaction_mode in quorate.h.
const (
	Deferred  TransactionMode = C.QUORATE_TRANSACTION_MODE_DEFERRED
	Immediate TransactionMode = C.QUORATE_TRANSACTION_MODE_IMMEDIATE
	Exclusive TransactionMode = C.QUORATE_TRANSACTION_MODE_EXCLUSIVE
)

// Tx is a transaction on a connection, whose functions run in it until it is committed or rolled back.
type Tx struct {
	conn   *Conn
	handle *C.quorate_transaction
}

// Begin begins a transaction.
func (c *Conn) Begin(ctx context.Context, mode TransactionMode) (*Tx, error) {
	tx := &Tx{conn: c}
	err := c.call(ctx, func(b *bounds) error {
		var native *C.quorate_error
		status := C.qg_connection_begin(c.handle, C.int32_t(mode), b.timeout, b.handle(), &tx.handle, &native)
		return failed(ctx, status, native)
	})
	if err != nil {
		return nil, err
	}
	return tx, nil
}

// Commit commits the transaction.
func (t *Tx) Commit(ctx context.Context) error {
	return t.end(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_transaction_commit(t.handle, b.timeout, b.handle(), native)
	})
}

// Rollback rolls the transaction back.
func (t *Tx) Rollback(ctx context.Context) error {
	return t.end(ctx, func(b *bounds, native **C.quorate_error) C.quorate_status {
		return C.quorate_transaction_rollback(t.handle, b.timeout, b.handle(), native)
	})
}

func (t *Tx) end(ctx context.Context, end func(b *bounds, native **C.quorate_error) C.quorate_status) error {
	return t.conn.call(ctx, func(b *bounds) error {
		if t.handle == nil {
			return Errorf(KindMisuse, "the transaction has ended: it was committed or rolled back")
		}
		var native *C.quorate_error
		status := end(b, &native)
		C.quorate_transaction_free(t.handle)
		t.handle = nil
		return failed(ctx, status, native)
	})
}
