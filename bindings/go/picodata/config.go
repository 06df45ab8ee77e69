package picodata

import (
	"fmt"
	"strconv"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/capi"
)

// Config is what a pool is made with. It is made by ParseConfig, and can be changed until it is given to NewWithConfig.
type Config struct {
	// MaxConns is the most connections to one instance.
	MaxConns int32
	// MinConns is how many connections are kept open.
	MinConns int32
	// MaxConnLifetime is how old a connection grows before it is closed; 0 is no limit.
	MaxConnLifetime time.Duration
	// MaxConnLifetimeJitter is added to MaxConnLifetime in part, at random, so that not all connections end at once.
	MaxConnLifetimeJitter time.Duration
	// MaxConnIdleTime is how long a connection may be idle before it is closed; 0 is no limit.
	MaxConnIdleTime time.Duration
	// HealthCheckPeriod is how often the least number of connections is seen to.
	HealthCheckPeriod time.Duration

	connString string
	options    *capi.Config
}

// ParseConfig reads a connection string, a URL or pairs of keyword and value. Nothing is dialled.
//
//	postgres://app:secret@10.0.0.1:4327?sslmode=disable&pool_max_conns=10
//	host=10.0.0.1 port=4327 user=app password=secret
//
// picodata:// is the same as postgres://. What the string does not say is looked for in the environment (PGHOST, PGUSER,
// PGPASSWORD and so on), as libpq does. The options are those of the library (quorate.h, quorate_config_set); an unknown
// one is an error.
func ParseConfig(connString string) (*Config, error) {
	options, err := capi.NewConfig(connString)
	if err != nil {
		return nil, err
	}
	c := &Config{connString: connString, options: options}
	for name, field := range c.numbers() {
		text, _, err := options.Get(name)
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("picodata: the option %s: %w", name, err)
		}
		*field = int32(number)
	}
	for name, field := range c.durations() {
		text, _, err := options.Get(name)
		if err != nil {
			return nil, err
		}
		if *field, err = time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("picodata: the option %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Config) numbers() map[string]*int32 {
	return map[string]*int32{"pool_max_conns": &c.MaxConns, "pool_min_conns": &c.MinConns}
}

func (c *Config) durations() map[string]*time.Duration {
	return map[string]*time.Duration{
		"pool_max_conn_lifetime":        &c.MaxConnLifetime,
		"pool_max_conn_lifetime_jitter": &c.MaxConnLifetimeJitter,
		"pool_max_conn_idle_time":       &c.MaxConnIdleTime,
		"pool_health_check_period":      &c.HealthCheckPeriod,
	}
}

// ConnString is the connection string that was given to ParseConfig, with its password.
func (c *Config) ConnString() string { return c.connString }

// Copy is a copy that can be changed by itself.
func (c *Config) Copy() *Config {
	copied := *c
	return &copied
}

// native is a configuration of the library, which is the caller's to change.
func (c *Config) native() (*capi.Config, error) {
	if c.options == nil {
		return nil, capi.Errorf(capi.KindMisuse, "a Config has to be made by ParseConfig")
	}
	// The connection string's own options are never changed, so that copies may share them.
	options, err := c.options.Copy()
	if err != nil {
		return nil, err
	}
	for name, field := range c.numbers() {
		if err := options.Set(name, strconv.FormatInt(int64(*field), 10)); err != nil {
			return nil, err
		}
	}
	for name, field := range c.durations() {
		if err := options.Set(name, field.String()); err != nil {
			return nil, err
		}
	}
	return options, nil
}
