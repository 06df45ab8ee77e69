package capi

// #include "shim.h"
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// Results are the answers to a batch, in the order of its statements. One goroutine at a time uses them.
//
// An error is that statement's own, and the next result is the next statement's.
type Results struct {
	mu     *sync.Mutex
	handle *C.quorate_results
	bounds bounds
	left   func()
	warn   func(string)
	rows   *Rows
}

func sendBatch(at place, statements []Statement, b *bounds) (*Results, error) {
	var batch *C.quorate_batch
	err := call(nil, nil, func(native **C.quorate_error) C.quorate_status {
		return C.quorate_batch_new(&batch, native)
	})
	if err != nil {
		return nil, err
	}
	defer C.quorate_batch_free(batch)
	for i := range statements {
		statement := &statements[i]
		params := newParams(statement.Args)
		queued := params.statement(place{}, statement.SQL, b)
		answer := C.qg_queue(batch, queued.sql, queued.sql_len, queued.params, queued.params_len, queued.arena)
		runtime.KeepAlive(params)
		runtime.KeepAlive(statement)
		if err := failed(nil, answer.status, answer.error); err != nil {
			return nil, err
		}
	}
	answer := C.qg_send_batch(at.where, at.object, batch, b.timeout, b.handle())
	if err := failed(b.ctx, answer.status, answer.error); err != nil {
		return nil, err
	}
	return &Results{handle: (*C.quorate_results)(unsafe.Pointer(answer.handle))}, nil
}

func (r *Results) init(b bounds, mu *sync.Mutex, left func(), warn func(string)) {
	r.bounds, r.mu, r.left, r.warn = b, mu, left, warn
	runtime.SetFinalizer(r, (*Results).leaked)
}

func (r *Results) leaked() {
	r.warn("the results of a batch were dropped without Close; their connection was in use until now")
	_ = r.Close()
}

func closedResults() *Error {
	return Errorf(KindClosed, "the results were closed")
}

// Left is how many results have not been asked for.
func (r *Results) Left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(C.quorate_results_left(r.handle))
}

// Exec gives the counts of the next statement. Its rows, if it has any, are dropped.
func (r *Results) Exec() (Result, error) {
	r.endRows()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handle == nil {
		return Result{}, closedResults()
	}
	var result C.quorate_result
	var native *C.quorate_error
	status := C.quorate_results_exec(r.handle, &result, &native)
	return Result{int64(result.last_insert_id), uint64(result.rows_affected)}, failed(r.bounds.ctx, status, native)
}

// Query gives the rows of the next statement. They end when the next result is asked for.
func (r *Results) Query() (*Rows, error) {
	r.endRows()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handle == nil {
		return nil, closedResults()
	}
	// The bounds stay the batch's.
	rows, err := startRows(bounds{ctx: r.bounds.ctx}, r.mu, func() {}, r.warn,
		func(memory *C.qg_rows_buffer) C.qg_answer {
			return C.qg_results_query(r.handle, memory, firstRows)
		})
	r.rows = rows
	return rows, err
}

func (r *Results) endRows() {
	if rows := r.rows; rows != nil {
		r.rows = nil
		_ = rows.Close()
	}
}

// Close reads the results that are left, answers the first error among them, and lets go of the connection. It may be
// called more than once.
func (r *Results) Close() error {
	r.endRows()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handle == nil {
		return nil
	}
	var native *C.quorate_error
	status := C.quorate_results_close(r.handle, &native)
	err := failed(r.bounds.ctx, status, native)
	C.quorate_results_free(r.handle)
	r.handle = nil
	r.bounds.release()
	runtime.SetFinalizer(r, nil)
	r.left()
	return err
}
