// Package client administers a dqlite cluster, under the names of go-dqlite's package client: who leads, which nodes there
// are and in which roles, adding and removing them, passing the leadership on, copying databases.
//
//	store, err := client.DefaultNodeStore("/var/lib/app/cluster.yaml")
//	leader, err := client.FindLeader(ctx, store)
//	nodes, err := leader.Cluster(ctx)
//	err = leader.Transfer(ctx, nodes[1].ID)
//
// Every error is a *quorate.Error. A call whose context has no deadline has 30 seconds.
//
// What differs, on purpose: a client is not bound to the node that it began with. Whatever the leader has to do goes to the
// node that leads at the time, and is repeated there if it was refused because the leadership had moved; a change whose
// outcome is unknown is not repeated. Each call has a connection of its own, so the calls of several goroutines do not wait
// for each other.
package client

import (
	"context"
	"strconv"

	"github.com/quorate/quorate/bindings/go/dqlite"
	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/cluster"
)

// ErrNoAvailableLeader is what errors.Is finds in the error of a call for which no leader was found in time. The error has
// what each node answered.
var ErrNoAvailableLeader = dqlite.ErrNoAvailableLeader

// NodeInfo is a node of a cluster, as the leader lists it.
type NodeInfo = capi.Node

// NodeRole is what a node does in its cluster.
type NodeRole = capi.Role

// The roles of nodes.
const (
	// Voter replicates the data and takes part in elections.
	Voter = capi.Voter
	// StandBy replicates the data without a vote.
	StandBy = capi.StandBy
	// Spare neither replicates nor votes.
	Spare = capi.Spare
)

// NodeMetadata is what a node says of itself: the number of its failure domain, and its weight when roles are given.
type NodeMetadata = capi.Metadata

// File is a file of a database: its name and its content.
type File = capi.File

// Client administers a cluster. Any goroutine may use it.
type Client struct {
	cluster *capi.Cluster
	// address is that of the node that Describe and Weight ask.
	address string
	// dumpsLeader says that Dump asks whoever leads, and not the node at address.
	dumpsLeader bool
}

type options struct {
	dial   DialFunc
	log    LogFunc
	values [][2]string
}

// Option changes how a client works.
type Option func(*options)

// WithDialFunc has connections made by a function of the program's.
func WithDialFunc(dial DialFunc) Option {
	return func(o *options) { o.dial = dial }
}

// WithLogFunc has messages given to a function of the program's.
func WithLogFunc(log LogFunc) Option {
	return func(o *options) { o.log = log }
}

// WithConcurrentLeaderConns sets how many nodes are asked at once who leads. Unset, it is 10.
func WithConcurrentLeaderConns(count int64) Option {
	return func(o *options) {
		o.values = append(o.values, [2]string{"probe_limit", strconv.FormatInt(count, 10)})
	}
}

// WithMaxMessage sets how large an answer may be, in bytes, which limits what Dump can copy. Unset, it is 64 MiB.
func WithMaxMessage(size uint32) Option {
	return func(o *options) {
		o.values = append(o.values, [2]string{"max_message", strconv.FormatUint(uint64(size), 10)})
	}
}

// FindLeader looks for the leader among the nodes of store, until it is found or ctx ends. Its client asks whoever leads;
// Describe and Weight ask the node that was found to.
func FindLeader(ctx context.Context, store NodeStore, options ...Option) (*Client, error) {
	native, err := cluster.Native(store)
	if err != nil {
		return nil, err
	}
	c, err := newClient(native, options)
	if err != nil {
		return nil, err
	}
	c.dumpsLeader = true
	if c.address, err = c.cluster.Leader(ctx); err != nil {
		c.cluster.Close()
		return nil, err
	}
	return c, nil
}

// New makes a client of the node at address, which has to answer. Describe, Weight and Dump ask that node, whether it leads
// or not; the others ask the leader, whom it names.
func New(ctx context.Context, address string, options ...Option) (*Client, error) {
	native, err := capi.MemoryStore([]NodeInfo{{Address: address}})
	if err != nil {
		return nil, err
	}
	c, err := newClient(native, options)
	if err != nil {
		return nil, err
	}
	c.address = address
	if _, err := c.Describe(ctx); err != nil {
		c.cluster.Close()
		return nil, err
	}
	return c, nil
}

func newClient(store *capi.Store, list []Option) (*Client, error) {
	var o options
	for _, option := range list {
		option(&o)
	}
	native := cluster.Options{Dial: o.dial, Values: o.values}
	if o.log != nil {
		native.Log = cluster.LogTo(o.log)
	}
	c, err := cluster.NewClient(store, native)
	if err != nil {
		return nil, err
	}
	return &Client{cluster: c}, nil
}

// Leader tells which node leads. Its ID is 0 where the leader does not list itself.
func (c *Client) Leader(ctx context.Context) (*NodeInfo, error) {
	nodes, err := c.cluster.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	address, err := c.cluster.Leader(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		if node.Address == address {
			return &node, nil
		}
	}
	return &NodeInfo{Address: address}, nil
}

// Cluster lists the nodes, as the leader has them.
func (c *Client) Cluster(ctx context.Context) ([]NodeInfo, error) {
	return c.cluster.Nodes(ctx)
}

// Add adds a node and gives it the role that node.Role says. A node that is to be a voter has to run: it becomes one when it
// has caught up. Where the role cannot be given, the node stays in the cluster as a spare.
func (c *Client) Add(ctx context.Context, node NodeInfo) error {
	if err := c.cluster.Add(ctx, node.ID, node.Address); err != nil || node.Role == Spare {
		return err
	}
	return c.cluster.Assign(ctx, node.ID, node.Role)
}

// Assign gives a node a role; it is an error if the node has that role or is unknown. Making a node a voter waits until it
// has caught up.
func (c *Client) Assign(ctx context.Context, id uint64, role NodeRole) error {
	return c.cluster.Assign(ctx, id, role)
}

// Transfer passes the leadership to the voter id, or to any voter if it is 0.
func (c *Client) Transfer(ctx context.Context, id uint64) error {
	return c.cluster.Transfer(ctx, id)
}

// Remove removes a node from the cluster. The node itself is not told; it should be stopped.
func (c *Client) Remove(ctx context.Context, id uint64) error {
	return c.cluster.Remove(ctx, id)
}

// Dump copies the database called name: its file, and the write-ahead log in a file whose name has -wal behind it. A client
// of FindLeader copies it from the leader, one of New from its node: one that lags behind has an older state. All of it is
// held in memory.
func (c *Client) Dump(ctx context.Context, name string) ([]File, error) {
	if c.dumpsLeader {
		return c.cluster.Dump(ctx, name)
	}
	return c.cluster.DumpFrom(ctx, c.address, name)
}

// Describe returns what the client's node says of itself.
func (c *Client) Describe(ctx context.Context) (*NodeMetadata, error) {
	metadata, err := c.cluster.Describe(ctx, c.address)
	if err != nil {
		return nil, err
	}
	return &metadata, nil
}

// Weight sets the weight of the client's node; lower ones are preferred when roles are given.
func (c *Client) Weight(ctx context.Context, weight uint64) error {
	return c.cluster.SetWeight(ctx, c.address, weight)
}

// Close the client: calls that begin later fail, those under way go on. It may be called more than once.
func (c *Client) Close() error {
	c.cluster.Close()
	return nil
}
