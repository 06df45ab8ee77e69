package picodata_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
)

// shared is three PostgreSQL servers that look like the instances of one Picodata cluster; tests that end instances start
// a cluster of their own.
var shared *testcluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(testcluster.Run(m, "picodata", func(c *testcluster.Cluster) { shared = c }))
}

// within is how long a test may take for what should take no time.
const within = 30 * time.Second

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	t.Cleanup(cancel)
	return ctx
}

func quiet() picodata.PoolOption { return picodata.WithLogLevel(logger.LevelNone) }

// open opens a pool over a cluster, which is closed behind the test.
func open(t testing.TB, url string, opts ...picodata.PoolOption) *picodata.Pool {
	t.Helper()
	pool, err := picodata.New(context.Background(), url, append([]picodata.PoolOption{quiet()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// single opens a pool over one instance alone: the servers do not share what is written.
func single(t testing.TB) *picodata.Pool {
	t.Helper()
	return open(t, instances(shared.URL)[0], picodata.WithDisableTopologyManaging())
}

// instances are the connection strings of the instances of a cluster.
func instances(url string) []string {
	// postgres://user@host:port,host:port/database
	head, rest, _ := strings.Cut(url, "@")
	hosts, tail, _ := strings.Cut(rest, "/")
	var urls []string
	for _, host := range strings.Split(hosts, ",") {
		urls = append(urls, fmt.Sprintf("%s@%s/%s", head, host, tail))
	}
	return urls
}

// everywhere runs statements on each instance of a cluster.
func everywhere(t testing.TB, url string, statements ...string) {
	t.Helper()
	for _, instance := range instances(url) {
		pool := open(t, instance, picodata.WithDisableTopologyManaging())
		for _, statement := range statements {
			mustExec(t, pool, statement)
		}
	}
}

func mustExec(t testing.TB, pool *picodata.Pool, sql string, args ...any) picodata.CommandTag {
	t.Helper()
	tag, err := pool.Exec(soon(t), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return tag
}

// one is the only value of the only row.
func one[T any](t testing.TB, pool *picodata.Pool, sql string, args ...any) T {
	t.Helper()
	var got T
	if err := pool.QueryRow(soon(t), sql, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}
