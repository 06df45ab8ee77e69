package client_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"net"

	"github.com/quorate/quorate/bindings/go/dqlite"
	"github.com/quorate/quorate/bindings/go/dqlite/client"
)

// The exported names of go-dqlite's package client are here, with their types: that this compiles is the test.
var (
	_ = []client.LogLevel{client.LogDebug, client.LogInfo, client.LogWarn, client.LogError}
	_ = []client.NodeRole{client.Voter, client.StandBy, client.Spare}
	_ = client.NodeInfo{ID: 1, Address: "", Role: client.Voter}
	_ = client.NodeMetadata{FailureDomain: 1, Weight: 1}
	_ = client.File{Name: "", Data: []byte{}}

	_ error            = client.ErrNoAvailableLeader
	_ client.DialFunc  = client.DefaultDialFunc
	_ client.DialFunc  = func(context.Context, string) (net.Conn, error) { return nil, nil }
	_ client.LogFunc   = client.DefaultLogFunc
	_ client.NodeStore = (*client.InmemNodeStore)(nil)
	_ client.NodeStore = (*client.DatabaseNodeStore)(nil)
	_ client.NodeStore = (*client.YamlNodeStore)(nil)

	_ func(client.DialFunc, *tls.Config) client.DialFunc                                         = client.DialFuncWithTLS
	_ func(client.DialFunc) client.Option                                                        = client.WithDialFunc
	_ func(client.LogFunc) client.Option                                                         = client.WithLogFunc
	_ func(int64) client.Option                                                                  = client.WithConcurrentLeaderConns
	_ func() *client.InmemNodeStore                                                              = client.NewInmemNodeStore
	_ func(string) (client.NodeStore, error)                                                     = client.DefaultNodeStore
	_ func(string) (*client.YamlNodeStore, error)                                                = client.NewYamlNodeStore
	_ func(string) client.NodeStoreOption                                                        = client.WithNodeStoreWhereClause
	_ func(*sql.DB, string, string, string, ...client.NodeStoreOption) *client.DatabaseNodeStore = client.NewNodeStore

	_ func(context.Context, client.NodeStore, ...client.Option) (*client.Client, error) = client.FindLeader
	_ func(context.Context, string, ...client.Option) (*client.Client, error)           = client.New
	_ func(*client.Client, context.Context) (*client.NodeInfo, error)                   = (*client.Client).Leader
	_ func(*client.Client, context.Context) ([]client.NodeInfo, error)                  = (*client.Client).Cluster
	_ func(*client.Client, context.Context, client.NodeInfo) error                      = (*client.Client).Add
	_ func(*client.Client, context.Context, uint64, client.NodeRole) error              = (*client.Client).Assign
	_ func(*client.Client, context.Context, uint64) error                               = (*client.Client).Transfer
	_ func(*client.Client, context.Context, uint64) error                               = (*client.Client).Remove
	_ func(*client.Client, context.Context, string) ([]client.File, error)              = (*client.Client).Dump
	_ func(*client.Client, context.Context) (*client.NodeMetadata, error)               = (*client.Client).Describe
	_ func(*client.Client, context.Context, uint64) error                               = (*client.Client).Weight
	_ func(*client.Client) error                                                        = (*client.Client).Close
	_ func(client.NodeStore, ...client.Option) *client.Connector                        = client.NewLeaderConnector
	_ func(uint64, string, ...client.Option) *client.Connector                          = client.NewDirectConnector
	_ func(*client.Connector, context.Context) (*client.Client, error)                  = (*client.Connector).Connect
)

// A store or a function of either package is one of the other's.
var (
	_ dqlite.ServerStore = client.NodeStore(nil)
	_ dqlite.ServerInfo  = client.NodeInfo{}
	_ dqlite.LogFunc     = client.DefaultLogFunc
)
