package capi

// #include "shim.h"
import "C"

import (
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// How many rows are asked for at first, how quickly the number grows and how far, and what there is room for before it
// is made: a few rows come back at once, many in few calls.
const (
	firstRows     = 16
	growth        = 4
	mostRows      = 4096
	valuesAtFirst = 1024
	bytesAtFirst  = 64 * 1024
)

// Memory that is larger than this, in bytes, is not kept for later rows.
const bytesKept = 1024 * 1024

// native is a value as the library gives it.
type native struct {
	kind       int32
	nameLength uint32
	name       uintptr
	data       [2]uint64
}

// Rows are the answer to a query. One goroutine at a time uses them.
type Rows struct {
	// mu is that of the connection, where the rows are a connection's.
	mu      *sync.Mutex
	handle  *C.quorate_rows
	memory  *C.qg_rows_buffer
	columns []string
	// declared are the types of the columns, where the server says them before there are rows.
	declared []value.Kind
	values   []value.Value
	row      int
	wanted   int
	done     bool
	result   Result
	err      error
	bounds   bounds
	// left is called once, when the rows have let go of their connection.
	left   func()
	warn   func(string)
	closed bool
}

var spare = make(chan *C.qg_rows_buffer, 64)

func takeMemory() (*C.qg_rows_buffer, error) {
	select {
	case memory := <-spare:
		return memory, nil
	default:
	}
	memory := C.qg_rows_buffer_new(valuesAtFirst, bytesAtFirst)
	if memory == nil {
		return nil, Errorf(KindInternal, "there is no memory for rows")
	}
	return memory, nil
}

func giveMemory(memory *C.qg_rows_buffer) {
	if memory.buffer.bytes_capacity <= bytesKept && memory.values_capacity <= 16*valuesAtFirst {
		select {
		case spare <- memory:
			return
		default:
		}
	}
	C.qg_rows_buffer_free(memory)
}

// startRows makes rows of what `begin` answers, which has read the first of them.
func startRows(b bounds, mu *sync.Mutex, left func(), warn func(string),
	begin func(memory *C.qg_rows_buffer) C.qg_answer) (*Rows, error) {
	memory, err := takeMemory()
	if err != nil {
		b.release()
		left()
		return nil, err
	}
	answer := begin(memory)
	r := &Rows{mu: mu, memory: memory, bounds: b, left: left, warn: warn, row: -1, wanted: firstRows}
	r.handle = (*C.quorate_rows)(answer.handle)
	if answer.status != C.QUORATE_STATUS_OK && r.handle == nil {
		err := failed(b.ctx, answer.status, answer.error)
		r.finish()
		r.giveBack()
		return nil, err
	}
	r.readNames()
	r.result = Result{int64(answer.result.last_insert_id), uint64(answer.result.rows_affected)}
	r.values = make([]value.Value, len(r.columns))
	r.take(answer)
	if r.handle != nil {
		runtime.SetFinalizer(r, (*Rows).leaked)
	}
	return r, nil
}

func (r *Rows) readNames() {
	names := goBytes(unsafe.Pointer(r.memory.names), r.memory.names_len)
	r.columns = make([]string, 0, int(r.memory.columns))
	r.declared = make([]value.Kind, 0, int(r.memory.columns))
	for len(names) >= 8 {
		head := *(*[2]uint32)(unsafe.Pointer(&names[0]))
		r.declared = append(r.declared, value.Kind(head[1]))
		r.columns = append(r.columns, string(names[8:8+head[0]]))
		names = names[8+head[0]:]
	}
}

// take notes what a reading call has answered.
func (r *Rows) take(answer C.qg_answer) {
	r.handle = (*C.quorate_rows)(answer.handle)
	for answer.status == C.QUORATE_STATUS_BUFFER_TOO_SMALL {
		C.quorate_error_free(answer.error)
		if !C.qg_make_room(r.memory, r.memory.columns, r.memory.buffer.bytes_needed) {
			r.err = Errorf(KindInternal, "there is no memory for a row of %d bytes", int64(r.memory.buffer.bytes_needed))
			r.closeHandle()
			break
		}
		answer = C.qg_fetch(r.handle, r.memory, 1)
		r.handle = (*C.quorate_rows)(answer.handle)
	}
	if answer.status != C.QUORATE_STATUS_OK && r.err == nil {
		r.err = failed(r.bounds.ctx, answer.status, answer.error)
	}
	if r.handle == nil {
		r.done = true
		r.finish()
	}
}

// Columns are the names of the columns. They belong to the rows and must not be changed.
func (r *Rows) Columns() []string { return r.columns }

// Result is what a statement that answers no rows has done; zeros for one that answers rows.
func (r *Rows) Result() Result { return r.result }

// Next goes to the next row, and blocks until it is there. False where there are no more, or Err says why.
func (r *Rows) Next() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.memory == nil {
		return false
	}
	r.row++
	for r.row >= int(r.memory.rows) {
		r.row = 0
		r.memory.rows = 0
		if r.done {
			return false
		}
		// The library looks at its bounds where it has to wait, which it need not where the rows come faster than they are
		// read.
		if err := r.bounds.ctx.Err(); err != nil {
			r.err = endedReading(err)
			r.closeHandle()
			r.done = true
			r.finish()
			return false
		}
		if r.wanted < mostRows {
			r.wanted *= growth
		}
		r.take(C.qg_fetch(r.handle, r.memory, C.size_t(r.wanted)))
	}
	r.decode()
	return true
}

// decode reads the current row out of the memory that the library has filled.
func (r *Rows) decode() {
	count := len(r.columns)
	all := unsafe.Slice((*native)(unsafe.Pointer(r.memory.values)), int(r.memory.rows)*count)
	row := all[r.row*count : (r.row+1)*count]
	for i := range row {
		in, out := &row[i], &r.values[i]
		out.Kind = value.Kind(in.kind)
		switch out.Kind {
		case value.Bool, value.Int, value.Date:
			out.Int = int64(in.data[0])
		case value.Float:
			out.Float = *(*float64)(unsafe.Pointer(&in.data))
		case value.Text, value.Blob, value.Decimal, value.JSON:
			bytes := (*C.quorate_bytes)(unsafe.Pointer(&in.data))
			out.Bytes = goBytes(unsafe.Pointer(bytes.pointer), bytes.length)
			if out.Bytes == nil {
				out.Bytes = []byte{}
			}
		case value.Timestamp:
			out.Time = goTime((*C.quorate_timestamp)(unsafe.Pointer(&in.data)))
		case value.UUID:
			out.UUID = *(*[16]byte)(unsafe.Pointer(&in.data))
		}
	}
}

func goTime(timestamp *C.quorate_timestamp) time.Time {
	t := time.Unix(int64(timestamp.seconds), int64(timestamp.nanoseconds))
	if timestamp.utc_offset == 0 {
		return t.UTC()
	}
	return t.In(time.FixedZone("", int(timestamp.utc_offset)))
}

// Values are the current row. They, and the bytes in them, are valid until the next call of Next or Close.
func (r *Rows) Values() []value.Value { return r.values }

// Declared are the types of the columns, where the server says them before there are rows, and else Null.
func (r *Rows) Declared() []value.Kind { return r.declared }

// Kinds are the types of the row that is next, or of the current one; nil where neither has been received.
func (r *Rows) Kinds() []value.Kind {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.row
	if row < 0 {
		row = 0
	}
	if r.memory == nil || row >= int(r.memory.rows) {
		return nil
	}
	count := len(r.columns)
	all := unsafe.Slice((*native)(unsafe.Pointer(r.memory.values)), int(r.memory.rows)*count)
	kinds := make([]value.Kind, count)
	for i := range kinds {
		kinds[i] = value.Kind(all[row*count+i].kind)
	}
	return kinds
}

// Err is what ended the rows before their end.
func (r *Rows) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close ends the reading, whether all rows were read or not, and lets go of the connection. What the server says then
// is answered, which matters for a statement that writes. It may be called more than once.
func (r *Rows) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	var err error
	if r.handle != nil {
		var native *C.quorate_error
		status := C.quorate_rows_close(r.handle, &native)
		err = failed(r.bounds.ctx, status, native)
	}
	r.closeHandle()
	r.finish()
	r.giveBack()
	return err
}

func (r *Rows) closeHandle() {
	if r.handle != nil {
		C.quorate_rows_free(r.handle)
		r.handle = nil
	}
}

// finish lets go of the connection and of the context.
func (r *Rows) finish() {
	if left := r.left; left != nil {
		r.left = nil
		r.bounds.release()
		runtime.SetFinalizer(r, nil)
		left()
	}
}

func (r *Rows) giveBack() {
	if r.memory != nil {
		giveMemory(r.memory)
		r.memory = nil
	}
	r.done = true
}

// leaked is the safety net under rows that nobody closed.
func (r *Rows) leaked() {
	r.warn("rows were dropped without Close; their connection was in use until now")
	_ = r.Close()
}
