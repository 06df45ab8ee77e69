package picodata

import (
	"context"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// ShardingKey is the columns of a table by which its rows are spread over the instances: it tells the bucket of a row, and
// gives a connection to the instance that has it.
//
//	key, err := pool.ShardingKey(ctx, "orders")
//	conn, err := key.Acquire(ctx, 42)
//	defer conn.Release()
//	tag, err := conn.Exec(ctx, "UPDATE orders SET paid = true WHERE id = $1", 42)
//
// A statement that runs there needs no hop inside of the cluster; any other instance runs it as well. So a key that is
// older than the table, or a map of the buckets that is older than their last move, costs time and is never an error. A
// key describes the table as it was when the key was asked for; asking again costs no round trip as long as the schema is
// the same. Any goroutine may use it, and it needs no Close.
//
// The values of the key's columns are given by position, in the order of Columns, or by name, as sql.Named. A value has to
// be of the column's type, except that an integer may stand for a double or a decimal.
type ShardingKey struct{ native *capi.ShardingKey }

// ShardingKey gives the sharding key of a table, whose name is as the table _pico_table has it. What is known of the table
// is given at once; otherwise it is read, over a connection of the pool.
//
// The error is of the kind quorate.KindUnsupported where the table is global, the server is plain PostgreSQL, or it is
// older than 25.5.1 and the user may not read _pico_tier either; of the kind quorate.KindDatabase where there is no such
// table.
func (p *Pool) ShardingKey(ctx context.Context, table string) (*ShardingKey, error) {
	native, err := p.native.ShardingKey(ctx, table)
	if err != nil {
		return nil, err
	}
	return &ShardingKey{native}, nil
}

// Table is the name of the table.
func (k *ShardingKey) Table() string { return k.native.Table }

// Tier is the tier that the table's buckets are in.
func (k *ShardingKey) Tier() string { return k.native.Tier }

// Columns are the names of the columns, in the order in which values are given by position.
func (k *ShardingKey) Columns() []string { return append([]string(nil), k.native.Columns...) }

// Bucket is the bucket, from 1 to the number of buckets of the tier, of a row with these values in the columns of the key.
// It never blocks.
//
// The error is of the kind quorate.KindMisuse where a column was given no value, or two, or there is no such column; of
// the kind quorate.KindConversion where a value is of another type than its column, or a decimal that the server would
// round. Both name the column. It is a ParameterError where a value cannot be sent at all.
func (k *ShardingKey) Bucket(values ...any) (uint64, error) {
	params, err := toNamedValues(values)
	if err != nil {
		return 0, err
	}
	return k.native.Bucket(params)
}

// Acquire takes a connection out of the pool, until it is released: to the master of the bucket of a row with these values
// in the columns of the key. Where it is not known which instance that is, or it cannot be reached, is not admitted by the
// pool's role and tier, or has no connection to spare, to any instance.
//
// Errors are those of Bucket and of Pool.Acquire.
func (k *ShardingKey) Acquire(ctx context.Context, values ...any) (*Conn, error) {
	params, err := toNamedValues(values)
	if err != nil {
		return nil, err
	}
	native, err := k.native.Acquire(ctx, params)
	if err != nil {
		return nil, err
	}
	return &Conn{native}, nil
}
