package client

import "context"

// Connector makes clients, each with the same options. Any goroutine may use it.
type Connector struct {
	connect func(context.Context) (*Client, error)
}

// NewLeaderConnector makes a connector whose clients are those of FindLeader.
func NewLeaderConnector(store NodeStore, options ...Option) *Connector {
	return &Connector{func(ctx context.Context) (*Client, error) { return FindLeader(ctx, store, options...) }}
}

// NewDirectConnector makes a connector whose clients are those of New. The id of the node is not needed to reach it.
func NewDirectConnector(_ uint64, address string, options ...Option) *Connector {
	return &Connector{func(ctx context.Context) (*Client, error) { return New(ctx, address, options...) }}
}

// Connect makes a client.
func (c *Connector) Connect(ctx context.Context) (*Client, error) { return c.connect(ctx) }
