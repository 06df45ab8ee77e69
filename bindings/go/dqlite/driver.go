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
	"github.com/quorate/quorate/bindings/go/internal/sqldriver"
)

// Driver runs queries against a dqlite cluster. Any goroutine may use it.
type Driver struct {
	store   *capi.Store
	options driverOptions

	mu      sync.Mutex
	pools   map[string]*capi.Pool
	timeout time.Duration
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

// DriverOption can be used to tweak driver parameters.
type DriverOption func(*driverOptions)

func (o *driverOptions) set(option, value string) {
	o.values = append(o.values, [2]string{option, value})
}

// WithConnectionTimeout sets how long finding the leader and connecting to it may take. If not used, the default is 5
// seconds.
func WithConnectionTimeout(timeout time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("acquire_timeout", timeout.String()) }
}

// WithAttemptTimeout sets how long one server may take to say who leads. If not used, the default is 15 seconds.
func WithAttemptTimeout(timeout time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("attempt_timeout", timeout.String()) }
}

// WithConnectionBackoffFactor sets the first pause between two attempts to find the leader; it doubles from one to the
// next. If not used, the default is 50 milliseconds.
func WithConnectionBackoffFactor(factor time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("backoff_factor", factor.String()) }
}

// WithConnectionBackoffCap sets the longest pause between two attempts to find the leader. If not used, the default is
// 250 milliseconds: an election takes about a second, and longer pauses add to it.
func WithConnectionBackoffCap(cap time.Duration) DriverOption {
	return func(o *driverOptions) { o.set("backoff_cap", cap.String()) }
}

// WithRetryLimit sets how often an attempt to find the leader is repeated. If not used, or 0, it is until the connection
// timeout.
func WithRetryLimit(limit uint) DriverOption {
	return func(o *driverOptions) { o.set("retry_limit", strconv.FormatUint(uint64(limit), 10)) }
}

// WithConcurrentLeaderConns sets how many servers are asked at once who leads. If not used, the default is 10.
func WithConcurrentLeaderConns(count int64) DriverOption {
	return func(o *driverOptions) { o.set("probe_limit", strconv.FormatInt(count, 10)) }
}

// WithContext sets a context whose end cancels the opening of connections.
func WithContext(ctx context.Context) DriverOption {
	return func(o *driverOptions) { o.ctx = ctx }
}

// WithContextTimeout sets the timeout of calls whose context has no deadline. If not used, the default is 5 seconds.
func WithContextTimeout(timeout time.Duration) DriverOption {
	return func(o *driverOptions) { o.limit = timeout }
}

// WithDialFunc sets a custom dial function.
func WithDialFunc(dial DialFunc) DriverOption {
	return func(o *driverOptions) { o.dial = dial }
}

// WithLogFunc sets a custom logging function.
func WithLogFunc(log LogFunc) DriverOption {
	return func(o *driverOptions) { o.log = log }
}

// What go-dqlite documents for a driver without options.
const (
	defaultConnectionTimeout = 5 * time.Second
	defaultContextTimeout    = 5 * time.Second
)

// NewDriver creates a new dqlite driver. The servers of store are where the leader is looked for; the store is kept up
// to date with the servers of the cluster.
func NewDriver(store ServerStore, options ...DriverOption) (*Driver, error) {
	native, err := nativeStore(store)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		store:   native,
		options: driverOptions{ctx: context.Background(), limit: defaultContextTimeout},
		pools:   make(map[string]*capi.Pool),
	}
	d.options.set("acquire_timeout", defaultConnectionTimeout.String())
	d.options.set("pool_max_conns", sqldriver.MostConnections)
	for _, option := range options {
		option(&d.options)
	}
	d.timeout = d.options.limit
	// A wrong option shows now, and not with the first connection.
	if _, err := d.config("check"); err != nil {
		return nil, err
	}
	return d, nil
}

// config is the configuration of the pool of a database. The host of the URL stands for the store.
func (d *Driver) config(name string) (*capi.Config, error) {
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
	for _, option := range d.options.values {
		if sqldriver.Names(location, option[0]) {
			continue
		}
		if err := config.Set(option[0], option[1]); err != nil {
			return nil, err
		}
	}
	if d.options.log != nil {
		if err := config.SetLog(logTo(d.options.log)); err != nil {
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
	return d.connect(d.options.ctx, name)
}

// OpenConnector opens connections to the database called name.
func (d *Driver) OpenConnector(name string) (driver.Connector, error) {
	if _, err := d.config(name); err != nil {
		return nil, err
	}
	return connector{d, name}, nil
}

// SetContextTimeout sets the timeout of calls whose context has no deadline, on connections that are opened from now on.
func (d *Driver) SetContextTimeout(timeout time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timeout = timeout
}

// Close closes the connections of the driver to all databases, once those in use have come back. Calls on them fail
// from now on.
func (d *Driver) Close() error {
	d.mu.Lock()
	pools := d.pools
	d.pools = make(map[string]*capi.Pool)
	d.mu.Unlock()
	var failure error
	for name, pool := range pools {
		ctx, cancel := context.WithTimeout(context.Background(), defaultContextTimeout)
		if err := pool.Close(ctx); err != nil && failure == nil {
			failure = fmt.Errorf("closing the pool of %q: %w", name, err)
		}
		cancel()
	}
	return failure
}

func (d *Driver) pool(name string) (*capi.Pool, time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if pool := d.pools[name]; pool != nil {
		return pool, d.timeout, nil
	}
	config, err := d.config(name)
	if err != nil {
		return nil, 0, err
	}
	pool, err := capi.OpenPool(config)
	if err != nil {
		return nil, 0, err
	}
	d.pools[name] = pool
	return pool, d.timeout, nil
}

func (d *Driver) connect(ctx context.Context, name string) (driver.Conn, error) {
	if err := d.options.ctx.Err(); err != nil {
		return nil, err
	}
	pool, timeout, err := d.pool(name)
	if err != nil {
		return nil, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return sqldriver.NewConn(conn, timeout, nil), nil
}

// connector opens connections to one database.
type connector struct {
	driver *Driver
	name   string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return c.driver.connect(ctx, c.name)
}

func (c connector) Driver() driver.Driver { return c.driver }
