// Package quorate is a driver of database/sql for dqlite and Picodata, the SQL databases that keep their data with raft:
//
//	db, err := sql.Open("quorate", "dqlite://10.0.0.1:9001,10.0.0.2:9001/app")
//	db, err := sql.Open("quorate", "picodata://app:secret@10.0.0.1:4327/app")
//
// A connection string of dqlite has the addresses of one node or more and the name of the database; the others are
// learned, and the leader is found, and found again when it changes. With Picodata the statements are spread over the
// instances of the cluster. The options of a connection string are those of the library (quorate.h,
// quorate_config_set).
//
// Every error of a statement is an *Error, whose Outcome says what became of it: only what is Unknown may have been
// applied. driver.ErrBadConn, which makes database/sql run a statement again, is claimed only of those that were not
// sent.
//
// Contexts bound every call, whatever the server does. A call whose context has no deadline has the timeout of the
// option `timeout`, 30 seconds unless set.
package quorate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/sqldriver"
)

// Error is what went wrong, what became of the statement, and who said so.
type Error = capi.Error

// Cause is the answer of one node, where several were asked.
type Cause = capi.Cause

// Kind says what sort of failure an error is.
type Kind = capi.Kind

// The kinds of errors.
const (
	KindConfig         = capi.KindConfig
	KindMisuse         = capi.KindMisuse
	KindConversion     = capi.KindConversion
	KindNoRows         = capi.KindNoRows
	KindClosed         = capi.KindClosed
	KindTimeout        = capi.KindTimeout
	KindPoolTimeout    = capi.KindPoolTimeout
	KindCancelled      = capi.KindCancelled
	KindConnect        = capi.KindConnect
	KindTLS            = capi.KindTLS
	KindAuthentication = capi.KindAuthentication
	KindNoLeader       = capi.KindNoLeader
	KindNotLeader      = capi.KindNotLeader
	KindDisconnected   = capi.KindDisconnected
	KindProtocol       = capi.KindProtocol
	KindBusy           = capi.KindBusy
	KindConstraint     = capi.KindConstraint
	KindDatabase       = capi.KindDatabase
	KindUnsupported    = capi.KindUnsupported
	KindStore          = capi.KindStore
	KindNode           = capi.KindNode
	KindForked         = capi.KindForked
	KindInternal       = capi.KindInternal
)

// Outcome says what became of the statement that failed.
type Outcome = capi.Outcome

const (
	// NotSent: the statement never left this process whole, so no server can have run it.
	NotSent = capi.NotSent
	// Rejected: a server answered that it did not apply the statement.
	Rejected = capi.Rejected
	// Unknown: the statement may have been applied. Running it again may apply it twice.
	Unknown = capi.Unknown
)

func init() {
	sql.Register("quorate", Driver{})
}

// Driver opens connectors; it is registered with database/sql as "quorate".
type Driver struct{}

var (
	_ driver.Driver        = Driver{}
	_ driver.DriverContext = Driver{}
	_ driver.Connector     = (*Connector)(nil)
)

// Open opens a connection by itself. database/sql uses OpenConnector instead.
func (d Driver) Open(url string) (driver.Conn, error) {
	connector, err := NewConnector(url)
	if err != nil {
		return nil, err
	}
	// The pool is closed behind the connection.
	defer connector.Close()
	return connector.Connect(context.Background())
}

// OpenConnector reads a connection string. Nothing is dialled.
func (d Driver) OpenConnector(url string) (driver.Connector, error) {
	return NewConnector(url)
}

// Connector opens connections of one pool of the library. The limits of sql.DB are in front of the pool's own, so that
// pool_max_conns is best left out of the connection string.
type Connector struct {
	rowIDs bool

	mu     sync.Mutex
	config *capi.Config
	pool   *capi.Pool
}

// NewConnector reads a connection string, for sql.OpenDB. Nothing is dialled.
func NewConnector(url string) (*Connector, error) {
	config, err := capi.NewConfig(url)
	if err != nil {
		return nil, err
	}
	if !sqldriver.Names(url, "pool_max_conns") {
		if err := config.Set("pool_max_conns", sqldriver.MostConnections); err != nil {
			return nil, err
		}
	}
	return &Connector{rowIDs: sqldriver.IsDqlite(url), config: config}, nil
}

// SetLog sets the function that is told what the pool does, before the first connection is made. level is 1 for errors to
// 4 for what helps to find a fault. Several goroutines call it at once, and it must not use the database.
func (c *Connector) SetLog(f func(level int, message string)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config.SetLog(f)
}

// Connect takes a connection out of the pool.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	pool, err := c.open()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return sqldriver.NewConn(conn, c.rowIDs), nil
}

func (c *Connector) open() (*capi.Pool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool == nil {
		pool, err := capi.OpenPool(c.config)
		if err != nil {
			return nil, err
		}
		c.pool = pool
	}
	return c.pool, nil
}

// EndpointStats is how the pool does with one node or instance.
type EndpointStats = capi.EndpointStats

// EndpointStats are the figures, at the moment, of each node or instance that the pool beneath sql.DB has had connections
// to, in the order of the addresses; none before the first connection, and once the pool was closed.
func (c *Connector) EndpointStats() []EndpointStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool == nil {
		return nil
	}
	return c.pool.Endpoints()
}

// Driver is the connector's driver.
func (c *Connector) Driver() driver.Driver { return Driver{} }

// Close closes the pool; sql.DB.Close calls it. Connections that are in use then, such as those of transactions, go on, and
// the pool is closed behind the last of them.
func (c *Connector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool == nil {
		return nil
	}
	return c.pool.CloseBehind()
}
