package capi

// #include "shim.h"
import "C"

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// bounds are what ends a call early: the deadline of a context, as a timeout, and its cancellation, as a handle.
type bounds struct {
	ctx     context.Context
	timeout C.int64_t
	cancel  *canceller
	stop    func() bool
}

// bound takes the bounds of ctx. A context without a deadline leaves the configured timeout in force.
func bound(ctx context.Context) (bounds, error) {
	b := bounds{ctx: ctx, timeout: C.QUORATE_TIMEOUT_DEFAULT}
	if err := ctx.Err(); err != nil {
		return b, notSent(err)
	}
	deadline, limited := ctx.Deadline()
	if limited {
		left := time.Until(deadline)
		if left <= 0 {
			return b, notSent(context.DeadlineExceeded)
		}
		b.timeout = milliseconds(left)
	}
	if ctx.Done() != nil {
		cancel, err := newCanceller()
		if err != nil {
			return b, err
		}
		b.cancel = cancel
		cancel.ctx = ctx
		b.stop = AfterFunc(ctx, func() {
			// The timeout says by itself that the deadline has passed, and says so in its error.
			if limited && ctx.Err() == context.DeadlineExceeded {
				cancel.drop()
			} else {
				cancel.fire()
			}
		})
	}
	return b, nil
}

// milliseconds is a time as the library takes it, rounded up. No time is too long for it.
func milliseconds(d time.Duration) C.int64_t {
	whole := d / time.Millisecond
	if d%time.Millisecond > 0 {
		whole++
	}
	return C.int64_t(whole)
}

// handle is what the library takes.
func (b *bounds) handle() *C.quorate_cancel {
	if b.cancel == nil {
		return nil
	}
	return b.cancel.native
}

// release ends the bounds. It may be called more than once.
func (b *bounds) release() {
	cancel := b.cancel
	if cancel == nil {
		return
	}
	b.cancel = nil
	if b.stop() {
		cancel.reuse()
		return
	}
	// The context has ended, or is about to.
	cancel.drop()
}

// ended is why ctx has ended; nil while it goes on.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The library's clock may be ahead of the context's timer.
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func notSent(cause error) *Error {
	kind, text := KindCancelled, "cancelled before it began"
	if cause == context.DeadlineExceeded {
		kind, text = KindTimeout, "the deadline passed before it began"
	}
	return &Error{Kind: kind, Message: text, text: text, cause: cause}
}

// endedReading is the error of rows that are left because their context has ended.
func endedReading(cause error) *Error {
	kind, text := KindCancelled, "cancelled before all rows were read"
	if cause == context.DeadlineExceeded {
		kind, text = KindTimeout, "the deadline passed before all rows were read"
	}
	return &Error{Kind: kind, Outcome: Unknown, Message: text, text: text, cause: cause}
}

// canceller is a cancel handle of the library, held by a call and, until it is stopped, by what watches its context.
type canceller struct {
	native *C.quorate_cancel
	held   int32
	// ctx is that of the call which holds it.
	ctx context.Context
}

// cancellers are all there are, by their handles.
var cancellers sync.Map

// contextOf is the context of the call that a cancel handle belongs to, while that goes on; one without bounds where there is
// no handle.
func contextOf(native *C.quorate_cancel) context.Context {
	if native != nil {
		if c, ok := cancellers.Load(native); ok {
			return c.(*canceller).ctx
		}
	}
	return context.Background()
}

// idle keeps handles that were never fired.
var idle = make(chan *canceller, 64)

func newCanceller() (*canceller, error) {
	select {
	case cancel := <-idle:
		cancel.held = 2
		return cancel, nil
	default:
	}
	cancel := &canceller{held: 2}
	var native *C.quorate_error
	status := C.quorate_cancel_new(&cancel.native, &native)
	if err := failed(nil, status, native); err != nil {
		return nil, err
	}
	cancellers.Store(cancel.native, cancel)
	return cancel, nil
}

func (c *canceller) fire() {
	C.quorate_cancel_fire(c.native, nil)
	c.drop()
}

func (c *canceller) drop() {
	if atomic.AddInt32(&c.held, -1) == 0 {
		c.free()
	}
}

func (c *canceller) free() {
	cancellers.Delete(c.native)
	C.quorate_cancel_free(c.native)
}

// reuse takes back a handle that nobody watches any more and that was not fired.
func (c *canceller) reuse() {
	c.ctx = nil
	select {
	case idle <- c:
	default:
		c.free()
	}
}
