// Package driver is a driver of database/sql for dqlite, under the names of go-dqlite's package driver. All of it is that of
// package dqlite, whose documentation says what differs from go-dqlite.
//
//	store, err := client.DefaultNodeStore("/var/lib/app/cluster.yaml")
//	d, err := driver.New(store)
//	sql.Register("dqlite", d)
//	db, err := sql.Open("dqlite", "app")
package driver

import (
	"context"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite"
	"github.com/quorate/quorate/bindings/go/dqlite/client"
)

// Driver runs queries against a dqlite cluster. Any goroutine may use it.
type Driver = dqlite.Driver

// The types of database/sql's driver interface.
type (
	// Conn is a connection to the leader.
	Conn = dqlite.Conn
	// Stmt is a prepared statement of one Conn. One goroutine at a time uses it.
	Stmt = dqlite.Stmt
	// Tx is a transaction.
	Tx = dqlite.Tx
	// Rows are the answer to a query.
	Rows = dqlite.Rows
	// Result is what a statement has done.
	Result = dqlite.Result
)

// Error is SQLite's extended result code for an error, and what the server says; errors.As finds it in an error.
type Error = dqlite.DriverError

// Codes that an Error may have, as SQLite and dqlite number them.
const (
	ErrBusy                = 5
	ErrBusyRecovery        = ErrBusy | 1<<8
	ErrBusySnapshot        = ErrBusy | 2<<8
	ErrIoErrNotLeader      = 10 | 40<<8
	ErrIoErrLeadershipLost = 10 | 41<<8
)

// ErrNoAvailableLeader is what errors.Is finds in the error of a call for which no leader was found in time.
var ErrNoAvailableLeader = dqlite.ErrNoAvailableLeader

// NodeStore is where the driver finds the nodes among which it looks for the leader, and what it keeps up to date with them.
type NodeStore = client.NodeStore

// NodeInfo is a node of a cluster, as the leader lists it.
type NodeInfo = client.NodeInfo

// DialFunc makes a connection to the node at address. Several goroutines call it at once.
type DialFunc = client.DialFunc

// DefaultNodeStore opens the store in a file; see package client.
func DefaultNodeStore(filename string) (NodeStore, error) { return client.DefaultNodeStore(filename) }

// Option changes how a driver works.
type Option = dqlite.DriverOption

// WithLogFunc has messages given to a function of the program's.
func WithLogFunc(log client.LogFunc) Option { return dqlite.WithLogFunc(log) }

// WithDialFunc has connections made by a function of the program's.
func WithDialFunc(dial DialFunc) Option { return dqlite.WithDialFunc(dial) }

// WithConnectionTimeout sets how long finding the leader and connecting to it may take. Unset, it is 5 s.
func WithConnectionTimeout(timeout time.Duration) Option {
	return dqlite.WithConnectionTimeout(timeout)
}

// WithConnectionBackoffFactor sets the first pause between two attempts to find the leader; it doubles from one to the
// next. Unset, it is 50 milliseconds.
func WithConnectionBackoffFactor(factor time.Duration) Option {
	return dqlite.WithConnectionBackoffFactor(factor)
}

// WithConnectionBackoffCap sets the longest pause between two attempts to find the leader. Unset, it is 250 ms.
func WithConnectionBackoffCap(cap time.Duration) Option { return dqlite.WithConnectionBackoffCap(cap) }

// WithAttemptTimeout sets how long one node may take to say who leads. Unset, it is 15 seconds.
func WithAttemptTimeout(timeout time.Duration) Option { return dqlite.WithAttemptTimeout(timeout) }

// WithRetryLimit sets how often an attempt to find the leader is repeated. Unset, or 0, it is until the connection
// timeout.
func WithRetryLimit(limit uint) Option { return dqlite.WithRetryLimit(limit) }

// WithConcurrentLeaderConns sets how many nodes are asked at once who leads. The number is read now: later changes of it have
// no effect. Unset, it is 10.
func WithConcurrentLeaderConns(count *int64) Option { return dqlite.WithConcurrentLeaderConns(*count) }

// WithContext sets a context whose end cancels the opening of connections.
func WithContext(ctx context.Context) Option { return dqlite.WithContext(ctx) }

// WithContextTimeout sets the timeout of calls whose context has no deadline. Unset, it is 5 seconds.
func WithContextTimeout(timeout time.Duration) Option { return dqlite.WithContextTimeout(timeout) }

// New makes a driver for database/sql. The nodes of store are where the leader is looked for; the store is kept up to date with
// the nodes of the cluster.
func New(store NodeStore, options ...Option) (*Driver, error) {
	return dqlite.NewDriver(store, options...)
}
