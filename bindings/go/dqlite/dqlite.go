// Package dqlite is a driver of database/sql for dqlite, SQLite replicated by raft: a program that was written for
// go-dqlite moves over by changing the path of its import.
//
//	store := dqlite.NewInmemServerStore()
//	store.Set(ctx, []dqlite.ServerInfo{{Address: "10.0.0.1:9001"}})
//	d, err := dqlite.NewDriver(store)
//	sql.Register("dqlite", d)
//	db, err := sql.Open("dqlite", "app")
//
// (A program of its own opens a URL instead: package quorate, sql.Open("quorate", "dqlite://10.0.0.1:9001/app").)
//
// What differs, on purpose: driver.ErrBadConn, which makes database/sql run a statement again, is claimed only where the
// statement was not sent; every error of a statement is a *quorate.Error that says what became of it; a wrong number of
// parameters is refused; a statement that meets another one's lock is repeated for `busy_timeout` (5 s).
package dqlite

import (
	"context"
	"net"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/cluster"
	"github.com/quorate/quorate/bindings/go/internal/sqldriver"
)

// The types of database/sql's driver interface.
type (
	// Conn is a connection to the leader.
	Conn = sqldriver.Conn
	// Stmt is a prepared statement of one Conn. One goroutine at a time uses it.
	Stmt = sqldriver.Stmt
	// Tx is a transaction.
	Tx = sqldriver.Tx
	// Rows are the answer to a query.
	Rows = sqldriver.Rows
	// Result is what a statement has done.
	Result = sqldriver.Result
)

// DriverError is SQLite's extended result code for an error, and what the server says; errors.As finds it in an error.
type DriverError = capi.DriverError

// ErrNoAvailableLeader is what errors.Is finds in the error of a call for which no leader was found in time.
var ErrNoAvailableLeader = capi.ErrNoLeader

// ServerInfo is a server of a cluster, as the leader lists it.
type ServerInfo = capi.Node

// Role is what a server does in its cluster.
type Role = capi.Role

// The roles of servers.
const (
	// Voter replicates the data and takes part in elections.
	Voter = capi.Voter
	// StandBy replicates the data without a vote.
	StandBy = capi.StandBy
	// Spare neither replicates nor votes.
	Spare = capi.Spare
)

// DialFunc makes a connection to the server at address. Several goroutines call it at once. The context is that of the call,
// and ends sooner where the options say so; a dial that several calls share has a context of its own.
type DialFunc = func(ctx context.Context, address string) (net.Conn, error)

// LogLevel says how much a message matters.
type LogLevel = cluster.LogLevel

// The levels of messages.
const (
	LogDebug = cluster.LogDebug
	LogInfo  = cluster.LogInfo
	LogWarn  = cluster.LogWarn
	LogError = cluster.LogError
)

// LogFunc is told what the driver does. Several goroutines call it at once.
type LogFunc = cluster.LogFunc
