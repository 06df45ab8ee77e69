package capi

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"unsafe"

	"github.com/quorate/quorate/bindings/go/internal/value"
)

// ShardingKey is the columns of a table by which its rows are spread over the instances. Any goroutine may use it. It needs
// no Close: all that it holds is memory.
type ShardingKey struct {
	Table   string
	Tier    string
	Columns []string

	pool   *Pool
	handle *C.quorate_sharding_key
}

// ShardingKey gives the sharding key of a table.
func (p *Pool) ShardingKey(ctx context.Context, table string) (*ShardingKey, error) {
	b, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer p.gate.leave()
	defer b.release()
	k := &ShardingKey{pool: p}
	err = p.call(ctx, func(handle *C.quorate_pool, native **C.quorate_error) C.quorate_status {
		return C.quorate_pool_sharding_key(handle, stringData(table), C.size_t(len(table)), b.timeout, b.handle(),
			&k.handle, native)
	})
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(k, (*ShardingKey).free)
	var length C.size_t
	k.Table = goString(C.quorate_sharding_key_table(k.handle, &length), length)
	k.Tier = goString(C.quorate_sharding_key_tier(k.handle, &length), length)
	k.Columns = make([]string, C.quorate_sharding_key_columns(k.handle))
	for i := range k.Columns {
		k.Columns[i] = goString(C.quorate_sharding_key_column_name(k.handle, C.size_t(i), &length), length)
	}
	return k, nil
}

func (k *ShardingKey) free() { C.quorate_sharding_key_free(k.handle) }

func (k *ShardingKey) place() place {
	return place{C.QG_SHARDING_KEY, unsafe.Pointer(k.handle)}
}

// Bucket is the bucket of a row with these values in the columns of the key. It never blocks.
func (k *ShardingKey) Bucket(values []value.Value) (uint64, error) {
	params := newParams(values)
	var bucket C.uint64_t
	answer := C.qg_bucket(params.statement(k.place(), "", &bounds{}), &bucket)
	runtime.KeepAlive(params)
	runtime.KeepAlive(k)
	return uint64(bucket), failed(nil, answer.status, answer.error)
}

// Acquire takes a connection out, until it is closed: to the master of the bucket of a row with these values, or to any
// instance where that is not known or cannot be had.
func (k *ShardingKey) Acquire(ctx context.Context, values []value.Value) (*Conn, error) {
	return k.pool.acquire(ctx, func(b *bounds) (*C.quorate_connection, error) {
		params := newParams(values)
		answer := C.qg_acquire_by_key(params.statement(k.place(), "", b))
		runtime.KeepAlive(params)
		runtime.KeepAlive(k)
		return (*C.quorate_connection)(answer.handle), failed(ctx, answer.status, answer.error)
	})
}
