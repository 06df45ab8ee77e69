// Package picodata is a driver for Picodata with the interface of picodata-go, and so of pgx's pool: a program moves over
// by changing its imports.
//
//	pool, err := picodata.New(ctx, "postgres://app:secret@10.0.0.1:4327")
//	err = pool.QueryRow(ctx, "SELECT name, stock FROM items WHERE id = $1", 2).Scan(&name, &stock)
//
// Any one instance in the connection string is enough: the others are learned from the cluster, and calls are spread over
// all that are online. A connection that cannot be had from one instance is taken from the next.
//
// # Errors
//
// What goes wrong in a call is an *Error, found with errors.As. Its Outcome says what became of the statement: only what
// is Unknown may have been applied (the constants are in package quorate). errors.Is finds context.Canceled and
// context.DeadlineExceeded where the context ended the call, ErrNoRows where a row was asked for and there was none. A
// value that does not fit what it is scanned into is a ScanArgError.
//
// Contexts bound every call, and the reading of its rows. A call whose context has no deadline has the timeout of the
// option `timeout`, 30 seconds unless the connection string sets it. A goroutine that waits for a free connection holds no
// thread of the operating system.
//
// # Where a row lies
//
// A table is spread over the instances by the hash of its sharding key. Pool.ShardingKey tells the bucket of a row, and gives
// a connection to the instance that has it; Pool.Acquire gives one to any. Pool.EndpointStats tells how each instance does.
//
// # Types
//
// Scan takes pointers to: integers of all sizes (out of range is an error), floats, string, []byte, bool, time.Time,
// [16]byte for a uuid, *big.Int and others with UnmarshalText, any, types made of these, sql.Scanner, and pointers to
// pointers, which take NULL as nil. JSON goes into maps, structs and slices, by encoding/json. A decimal number is read
// exactly into a string. Values answers bool, int64, float64, string (also for decimals), []byte, time.Time, [16]byte, and
// decoded JSON.
//
// Parameters are the same types, driver.Valuer, json.RawMessage, and pointers, of which nil is NULL. Maps, structs and
// slices are sent as JSON, or as an array where the parameter is one; an array is read as JSON.
//
// # What differs from pgx
//
//   - Rows.RawValues writes the values anew, in PostgreSQL's text format: the library has decoded them. Rows.Conn is nil where
//     the statement ran on the pool. FieldDescription has the name alone: types are each value's own.
//   - pgx's first arguments that choose the protocol (QuerySimpleProtocol and others) have no counterpart: statements are
//     prepared, and the option `statement_cache=0` prepares none.
//   - A CommandTag is made of the statement's first words and the number of rows, which is what the library hands over.
//   - The statements of a batch stand by themselves: one that fails does not undo those before it. Picodata has no
//     transactions, so this is what happens there with pgx, too.
//   - A pool has no Begin and no CopyFrom, as in picodata-go: Picodata has neither transactions nor COPY.
//   - Config has no hooks (BeforeConnect, AfterConnect and the like), which are handed a connection of pgx.
package picodata
