package picodata_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func TestAConnectionStringBecomesAConfiguration(t *testing.T) {
	const url = "postgres://admin:s3cret@localhost:5432?sslmode=disable&pool_max_conns=7&pool_min_conns=2" +
		"&pool_max_conn_lifetime=1h30m&pool_max_conn_lifetime_jitter=10s&pool_max_conn_idle_time=5m&pool_health_check_period=30s"
	config, err := picodata.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if config.ConnString() != url || config.MaxConns != 7 || config.MinConns != 2 ||
		config.MaxConnLifetime != 90*time.Minute || config.MaxConnLifetimeJitter != 10*time.Second ||
		config.MaxConnIdleTime != 5*time.Minute || config.HealthCheckPeriod != 30*time.Second {
		t.Errorf("%+v", config)
	}
	config, err = picodata.ParseConfig("host=localhost user=admin")
	if err != nil || config.MaxConns != 10 || config.MaxConnLifetime != time.Hour || config.HealthCheckPeriod != time.Minute {
		t.Errorf("the defaults are %+v, %v", config, err)
	}
	copied := config.Copy()
	copied.MaxConns = 1
	if config.MaxConns != 10 {
		t.Error("a copy is the original")
	}
}

func TestWhatTheConfigurationSaysIsWhatThePoolDoes(t *testing.T) {
	config, err := picodata.ParseConfig(shared.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 3
	config.MaxConnLifetime = 0
	pool, err := picodata.NewWithConfig(context.Background(), config, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got := pool.Stat().MaxConns(); got != 3 {
		t.Errorf("there may be %d connections", got)
	}
	config.MaxConns = 4
	if got := pool.Config(); got.MaxConns != 3 || got.MaxConnLifetime != 0 || got.ConnString() != shared.URL {
		t.Errorf("%+v", got)
	}
	second, err := picodata.NewWithConfig(context.Background(), config, quiet(), picodata.WithMaxConnPerInstance(5))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if got := second.Stat().MaxConns(); got != 5 {
		t.Errorf("there may be %d connections", got)
	}
}

func TestConfigurationsThatAreWrongAreRefused(t *testing.T) {
	_, err := picodata.ParseConfig("postgres://localhost?pool_max_cons=10")
	var failure *picodata.Error
	if !errors.As(err, &failure) || failure.Kind != quorate.KindConfig || !strings.Contains(err.Error(), "pool_max_conns") {
		t.Error(err)
	}
	if _, err := picodata.New(context.Background(), "ftp://localhost"); err == nil {
		t.Error("a pool of another scheme was opened")
	}
	if _, err := picodata.NewWithConfig(context.Background(), &picodata.Config{}); err == nil {
		t.Error("a Config that nobody has parsed was taken")
	}
	config, err := picodata.ParseConfig("postgres://user:secret@localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*picodata.Config){
		func(c *picodata.Config) { c.MaxConns = -1 },
		func(c *picodata.Config) { c.MaxConnIdleTime = -time.Second },
	} {
		wrong := config.Copy()
		change(wrong)
		pool, err := picodata.NewWithConfig(context.Background(), wrong, quiet())
		if err == nil {
			pool.Close()
			t.Errorf("%+v was taken", wrong)
		}
	}
	for _, opt := range []picodata.PoolOption{
		picodata.WithMaxConnPerInstance(0), picodata.WithBalanceStrategy(nil), picodata.WithLogger(nil),
		picodata.WithLogLevel(17), picodata.WithServiceConnString("ftp://nobody"),
	} {
		pool, err := picodata.NewWithConfig(context.Background(), config, opt)
		if err == nil {
			pool.Close()
			t.Error("an option with a wrong value was taken")
		}
	}
}
