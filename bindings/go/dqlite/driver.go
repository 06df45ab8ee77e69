package dqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
	"github.com/quorate/quorate/bindings/go/internal/cluster"
	"github.com/quorate/quorate/bindings/go/internal/sqldriver"
)

// Driver runs queries against a dqlite cluster. Any goroutine may use it.
type Driver struct {
	store   *capi.Store
	options driverOptions

	mu sync.Mutex
	// connectors are those that have opened a pool.
	connectors map[*connector]struct{}
	timeout    time.Duration
}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.DriverContext = (*Driver)(nil)
)

type driverOptions struct {
	ctx    context.Context
	dial   DialFunc
	log    LogFunc
	limit  time.Duration
	values [][2]string
}

// DriverOption changes how a driver works.
type DriverOption func(*driverOptions)

func (o *driverOptions) set(option, value string) {
	o.values = append(o.values, [2]string{option, value})
}

// WithConnectionTimeout sets how long finding the leader and connecting to it may take. Unset, it is 5 s.
func WithConnectionTimeout(timeout time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("acquire_timeout", timeout.String()) }
}

// WithAttemptTimeout sets how long one server may take to say who leads. Unset, it is 15 seconds.
func WithAttemptTimeout(timeout time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("attempt_timeout", timeout.String()) }
}

// WithConnectionBackoffFactor sets the first pause between two attempts to find the leader; it doubles from one to the
// next. Unset, it is 50 milliseconds.
func WithConnectionBackoffFactor(factor time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("backoff_factor", factor.String()) }
}

// WithConnectionBackoffCap sets the longest pause between two attempts to find the leader. Unset, it is
// 250 ms: an election takes about a second, and longer pauses add to it.
func WithConnectionBackoffCap(cap time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("backoff_cap", cap.String()) }
}

// WithRetryLimit sets how often an attempt to find the leader is repeated. Unset, or 0, it is until the connection
// timeout.
func WithRetryLimit(limit uint) DriverOption {
	return func(o *driverOptions) { o.set("retry_limit", strconv.FormatUint(uint64(limit), 10)) }
}

// WithConcurrentLeaderConns sets how many servers are asked at once who leads. Unset, it is 10.
func WithConcurrentLeaderConns(count int64) DriverOption {
	return func(o *driverOptions) { o.set("probe_limit", strconv.FormatInt(count, 10)) }
}

// WithContext sets a context whose end cancels the opening of connections.
func WithContext(ctx context.Context) DriverOption {
	return func(o *driverOptions) { o.ctx = ctx }
}

// WithContextTimeout sets the timeout of calls whose context has no deadline. Unset, it is 5 seconds.
func WithContextTimeout(timeout time.Duration) DriverOption {
	return func(o *driverOptions) { o.limit = timeout }
}

// WithDialFunc has connections made by a function of the program's.
func WithDialFunc(dial DialFunc) DriverOption {
	return func(o *driverOptions) { o.dial = dial }
}

// WithLogFunc has messages given to a function of the program's.
func WithLogFunc(log LogFunc) DriverOption {
	return func(o *driverOptions) { o.log = log }
}

// What go-dqlite documents for a driver without options.
const (
	defaultConnectionTimeout = 5 * time.Second
	defaultContextTimeout    = 5 * time.Second
)

// NewDriver makes a driver for database/sql. The servers of store are where the leader is looked for; the store is kept up
// to date with the servers of the cluster.
func NewDriver(store ServerStore, options ...DriverOption) (*Driver, error) {
	native, err := cluster.Native(store)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		store:      native,
		options:    driverOptions{ctx: context.Background(), limit: defaultContextTimeout},
		connectors: make(map[*connector]struct{}),
	}
	d.options.set("acquire_timeout", defaultConnectionTimeout.String())
	d.options.set("pool_max_conns", sqldriver.MostConnections)
	for _, option := range options {
		option(&d.options)
	}
	d.timeout = d.options.limit
	// A wrong option shows now, and not with the first connection.
	if _, err := d.config("check", d.timeout); err != nil {
		return nil, err
	}
	return d, nil
}

// config is the configuration of the pool of a database, in which calls whose context has no deadline have a timeout. The
// host of the URL stands for the store.
func (d *Driver) config(name string, timeout time.Duration) (*capi.Config, error) {
	if timeout < 0 {
		timeout = 0
	}
	file, options, _ := strings.Cut(name, "?")
	if file == "" || strings.ContainsAny(file, "/\\") {
		return nil, capi.Errorf(capi.KindConfig,
			"the database name is %q; it has to be a file name without a directory", file)
	}
	location := "dqlite://store:1/" + url.PathEscape(file)
	if options != "" {
		location += "?" + options
	}
	config, err := capi.NewConfig(location)
	if err != nil {
		return nil, err
	}
	for _, option := range append([][2]string{{"timeout", timeout.String()}}, d.options.values...) {
		if sqldriver.Names(location, option[0]) {
			continue
		}
		if err := config.Set(option[0], option[1]); err != nil {
			return nil, err
		}
	}
	if d.options.log != nil {
		if err := config.SetLog(cluster.LogTo(d.options.log)); err != nil {
			return nil, err
		}
	}
	if d.options.dial != nil {
		if err := config.SetDial(d.options.dial); err != nil {
			return nil, err
		}
	}
	return config, config.SetStore(d.store)
}

// Open opens a connection to the database called name, a file name without a directory; options of the library may
// follow it behind a `?`. database/sql uses OpenConnector instead.
func (d *Driver) Open(name string) (driver.Conn, error) {
	c := &connector{driver: d, name: name}
	// The pool is closed behind the connection.
	defer c.Close()
	return c.Connect(context.Background())
}

// OpenConnector opens connections to the database called name.
func (d *Driver) OpenConnector(name string) (driver.Connector, error) {
	if _, err := d.config(name, 0); err != nil {
		return nil, err
	}
	return &connector{driver: d, name: name}, nil
}

// SetContextTimeout sets the timeout of calls whose context has no deadline, on connections that are opened from now on.
func (d *Driver) SetContextTimeout(timeout time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timeout = timeout
}

// Close closes the connections of the driver to all databases, once those in use have come back. Calls on them fail
// from now on. A program that closes each sql.DB needs no Close of the driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	pools := make(map[*capi.Pool]string)
	for c := range d.connectors {
		pools[c.pool] = c.name
		c.pool = nil
	}
	d.connectors = make(map[*connector]struct{})
	d.mu.Unlock()
	var failure error
	for pool, name := range pools {
		ctx, cancel := context.WithTimeout(context.Background(), defaultContextTimeout)
		if err := pool.Close(ctx); err != nil && failure == nil {
			failure = fmt.Errorf("closing the pool of %q: %w", name, err)
		}
		cancel()
	}
	return failure
}

// connector opens connections to one database, out of a pool of its own.
type connector struct {
	driver *Driver
	name   string

	// What follows is guarded by the driver's mu. pool has the timeout; it is nil where there is none yet.
	pool    *capi.Pool
	timeout time.Duration
	closed  bool
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	pool, err := c.open()
	if err != nil {
		return nil, err
	}
	if own := c.driver.options.ctx; own.Done() != nil {
		bounded, cancel := context.WithCancel(ctx)
		defer cancel()
		defer capi.AfterFunc(own, cancel)()
		ctx = bounded
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return sqldriver.NewConn(conn, true), nil
}

// open gives the pool, which it opens, and anew where the driver's timeout has changed.
func (c *connector) open() (*capi.Pool, error) {
	d := c.driver
	if err := d.options.ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.closed {
		return nil, capi.Errorf(capi.KindClosed, "the database was closed")
	}
	if c.pool != nil && c.timeout == d.timeout {
		return c.pool, nil
	}
	config, err := d.config(c.name, d.timeout)
	if err != nil {
		return nil, err
	}
	pool, err := capi.OpenPool(config)
	if err != nil {
		return nil, err
	}
	if c.pool != nil {
		_ = c.pool.CloseBehind()
	}
	c.pool, c.timeout = pool, d.timeout
	d.connectors[c] = struct{}{}
	return pool, nil
}

func (c *connector) Driver() driver.Driver { return c.driver }

// Close closes the pool; sql.DB.Close calls it. Connections that are in use then, such as those of transactions, go on, and
// the pool is closed behind the last of them.
func (c *connector) Close() error {
	c.driver.mu.Lock()
	pool := c.pool
	c.pool, c.closed = nil, true
	delete(c.driver.connectors, c)
	c.driver.mu.Unlock()
	if pool == nil {
		return nil
	}
	return pool.CloseBehind()
}
