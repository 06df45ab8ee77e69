package dqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net"
	"reflect"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite"
)

// Every exported name of go-dqlite's documentation is here, with its type: that this compiles is the test.
var (
	_ = []dqlite.LogLevel{dqlite.LogDebug, dqlite.LogInfo, dqlite.LogWarn, dqlite.LogError}
	_ = []dqlite.State{dqlite.Follower, dqlite.Candidate, dqlite.Leader}
	_ = []error{dqlite.ErrNoAvailableLeader, dqlite.ErrServerCantBootstrap}

	_ func() *dqlite.InmemServerStore                                          = dqlite.NewInmemServerStore
	_ func(context.Context, uint64, dqlite.ServerStore, dqlite.DialFunc) error = dqlite.Leave
	_ dqlite.DialFunc                                                          = func(context.Context, string) (net.Conn, error) { return nil, nil }
	_ dqlite.LogFunc                                                           = func(dqlite.LogLevel, string, ...interface{}) {}
	_ dqlite.WatchFunc                                                         = func(old, new dqlite.State) {}
	_ error                                                                    = dqlite.DriverError{Code: 1, Message: ""}
	_                                                                          = dqlite.ServerInfo{ID: 1, Address: "", Role: dqlite.Voter}

	_ func(string) (*dqlite.DatabaseServerStore, error)                                = dqlite.DefaultServerStore
	_ func(db *sql.DB, schema, table, column string) *dqlite.DatabaseServerStore       = dqlite.NewServerStore
	_ func(*dqlite.DatabaseServerStore, context.Context) ([]dqlite.ServerInfo, error)  = (*dqlite.DatabaseServerStore).Get
	_ func(*dqlite.DatabaseServerStore, context.Context, []dqlite.ServerInfo) error    = (*dqlite.DatabaseServerStore).Set
	_ func(dqlite.ServerStore, ...dqlite.DriverOption) (*dqlite.Driver, error)         = dqlite.NewDriver
	_ func(*dqlite.Driver, string) (driver.Conn, error)                                = (*dqlite.Driver).Open
	_ func(*dqlite.Driver, time.Duration)                                              = (*dqlite.Driver).SetContextTimeout
	_ func(dqlite.ServerInfo, string, ...dqlite.ServerOption) (*dqlite.Server, error)  = dqlite.NewServer
	_ func(*dqlite.Server, []dqlite.ServerInfo) error                                  = (*dqlite.Server).Bootstrap
	_ func(*dqlite.Server) error                                                       = (*dqlite.Server).Close
	_ func(*dqlite.Server) ([]dqlite.ServerInfo, error)                                = (*dqlite.Server).Cluster
	_ func(s *dqlite.Server, name string, dir string) error                            = (*dqlite.Server).Dump
	_ func(*dqlite.Server, context.Context, dqlite.ServerStore, dqlite.DialFunc) error = (*dqlite.Server).Join
	_ func(*dqlite.Server) *dqlite.ServerInfo                                          = (*dqlite.Server).Leader
	_ func(*dqlite.Server, net.Listener) error                                         = (*dqlite.Server).Start

	_ = []func(time.Duration) dqlite.DriverOption{dqlite.WithConnectionBackoffCap, dqlite.WithConnectionBackoffFactor,
		dqlite.WithConnectionTimeout, dqlite.WithContextTimeout}
	_ func(context.Context) dqlite.DriverOption  = dqlite.WithContext
	_ func(dqlite.DialFunc) dqlite.DriverOption  = dqlite.WithDialFunc
	_ func(dqlite.LogFunc) dqlite.DriverOption   = dqlite.WithLogFunc
	_ func(dqlite.DialFunc) dqlite.ServerOption  = dqlite.WithServerDialFunc
	_ func(dqlite.LogFunc) dqlite.ServerOption   = dqlite.WithServerLogFunc
	_ func(dqlite.WatchFunc) dqlite.ServerOption = dqlite.WithServerWatchFunc
)

var (
	_ dqlite.ServerStore = (*dqlite.InmemServerStore)(nil)
	_ interface {
		driver.Conn
		driver.ConnBeginTx
		driver.ConnPrepareContext
		driver.ExecerContext
		driver.QueryerContext
		Exec(query string, args []driver.Value) (driver.Result, error)
		Query(query string, args []driver.Value) (driver.Rows, error)
	} = (*dqlite.Conn)(nil)
	_ interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	} = (*dqlite.Stmt)(nil)
	_ interface {
		driver.Rows
		ColumnTypeDatabaseTypeName(int) string
		ColumnTypeScanType(int) reflect.Type
	} = (*dqlite.Rows)(nil)
	_ driver.Tx     = (*dqlite.Tx)(nil)
	_ driver.Result = (*dqlite.Result)(nil)
)
