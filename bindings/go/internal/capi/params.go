package capi

// #include "shim.h"
import "C"

import (
	"unsafe"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// param is a quorate_value whose pointers are offsets in an arena: Go's memory may hold no pointer to Go's memory
// while C runs.
type param struct {
	kind       int32
	nameLength uint32
	name       uintptr
	data       [2]uint64
}

// The layout is the library's.
var _ [unsafe.Sizeof(param{})]struct{} = [unsafe.Sizeof(C.quorate_value{})]struct{}{}

// params are values as the library takes them.
type params struct {
	values []param
	arena  []byte
}

func newParams(args []value.Value) params {
	if len(args) == 0 {
		return params{}
	}
	size := 0
	for i := range args {
		size += len(args[i].Name) + len(args[i].Bytes)
	}
	p := params{values: make([]param, len(args)), arena: make([]byte, 0, size)}
	for i := range args {
		arg, native := &args[i], &p.values[i]
		native.kind = int32(arg.Kind)
		native.nameLength = uint32(len(arg.Name))
		native.name = uintptr(len(p.arena))
		p.arena = append(p.arena, arg.Name...)
		switch arg.Kind {
		case value.Bool, value.Int, value.Date:
			native.data[0] = uint64(arg.Int)
		case value.Float:
			*(*float64)(unsafe.Pointer(&native.data)) = arg.Float
		case value.Text, value.Blob, value.Decimal, value.JSON:
			native.data[0] = uint64(len(p.arena))
			native.data[1] = uint64(len(arg.Bytes))
			p.arena = append(p.arena, arg.Bytes...)
		case value.Timestamp:
			_, offset := arg.Time.Zone()
			*(*C.quorate_timestamp)(unsafe.Pointer(&native.data)) = C.quorate_timestamp{
				seconds:     C.int64_t(arg.Time.Unix()),
				nanoseconds: C.uint32_t(arg.Time.Nanosecond()),
				utc_offset:  C.int32_t(offset),
			}
		case value.UUID:
			*(*[16]byte)(unsafe.Pointer(&native.data)) = arg.UUID
		}
	}
	return p
}

// place is what a statement runs on: a pool or a connection.
type place struct {
	where  C.int32_t
	object unsafe.Pointer
}

// statement is a call to be made. Its memory is Go's, and is kept alive by the caller until the call has returned.
func (p *params) statement(at place, sql string, b *bounds) C.qg_statement {
	statement := C.qg_statement{
		where:      at.where,
		object:     at.object,
		sql:        stringData(sql),
		sql_len:    C.size_t(len(sql)),
		params_len: C.size_t(len(p.values)),
		timeout_ms: b.timeout,
		cancel:     b.handle(),
	}
	if len(p.values) > 0 {
		statement.params = (*C.quorate_value)(unsafe.Pointer(&p.values[0]))
	}
	if len(p.arena) > 0 {
		statement.arena = (*C.char)(unsafe.Pointer(&p.arena[0]))
	}
	return statement
}

var empty = [1]byte{}

// stringData is where the bytes of a string lie; never nil, which the library would refuse.
func stringData(s string) *C.char {
	if len(s) == 0 {
		return (*C.char)(unsafe.Pointer(&empty[0]))
	}
	type header struct {
		data unsafe.Pointer
		len  int
	}
	return (*C.char)((*header)(unsafe.Pointer(&s)).data)
}
