package picodata_test

import (
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/strategies"
	"github.com/quorate/quorate/bindings/go/quorate"
)

// known are what a real server says of keys (tests/data/picodata-bucket-vectors.csv), and which third of the 3,000 buckets
// each instance has.
var known = []struct {
	id       int
	bucket   uint64
	instance int
}{{0, 84, 0}, {42, 2426, 2}, {127, 2362, 2}}

func addressOf(t *testing.T, cluster *testcluster.Cluster, instance int) string {
	t.Helper()
	return cluster.Order(t, fmt.Sprint("address ", instance))
}

func kindOf(err error) quorate.Kind {
	var failure *picodata.Error
	if !errors.As(err, &failure) {
		return 0
	}
	return failure.Kind
}

func TestAShardingKeyLeadsToTheMasterOfTheBucket(t *testing.T) {
	cluster := testcluster.Standin(t)
	pool := open(t, cluster.URL)
	mustExec(t, pool, "CREATE TABLE orders (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))")
	key, err := pool.ShardingKey(soon(t), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if key.Table() != "orders" || key.Tier() != "default" || fmt.Sprint(key.Columns()) != "[id]" {
		t.Errorf("%s in %s by %v", key.Table(), key.Tier(), key.Columns())
	}
	for _, one := range known {
		for _, value := range []any{one.id, sql.Named("id", one.id)} {
			if bucket, err := key.Bucket(value); bucket != one.bucket || err != nil {
				t.Errorf("%v: bucket %d, %v", value, bucket, err)
			}
			conn, err := key.Acquire(soon(t), value)
			if err != nil {
				t.Fatal(err)
			}
			if want := addressOf(t, cluster, one.instance); conn.Node() != want {
				t.Errorf("%v: %s in place of %s", value, conn.Node(), want)
			}
			var number int
			if err := conn.QueryRow(soon(t), "SELECT count(*) FROM orders WHERE id = $1", one.id).Scan(&number); err != nil {
				t.Error(err)
			}
			conn.Release()
		}
	}
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

func TestValuesThatDoNotFitAKeyNameTheirColumn(t *testing.T) {
	pool := open(t, testcluster.Standin(t).URL)
	mustExec(t, pool, "CREATE TABLE parts (id INTEGER NOT NULL, code TEXT NOT NULL, PRIMARY KEY (id, code))")
	key, err := pool.ShardingKey(soon(t), "parts")
	if err != nil {
		t.Fatal(err)
	}
	byName, err := key.Bucket(sql.Named("code", "a"), sql.Named("id", 7))
	if byPosition, _ := key.Bucket(7, "a"); err != nil || byName != byPosition || byName == 0 {
		t.Error(byName, byPosition, err)
	}
	for _, c := range []struct {
		values []any
		kind   quorate.Kind
		says   string
	}{
		{[]any{7, 8}, quorate.KindConversion, `the column "code"`},
		{[]any{7}, quorate.KindMisuse, "(id, code)"},
		{[]any{sql.Named("id", 7), sql.Named("n", 8)}, quorate.KindMisuse, `no column "n"`},
	} {
		_, bucketErr := key.Bucket(c.values...)
		_, acquireErr := key.Acquire(soon(t), c.values...)
		for _, err := range []error{bucketErr, acquireErr} {
			if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v", c.values, err)
			}
		}
	}
	var wrong *picodata.ParameterError
	if _, err := key.Bucket(7, make(chan int)); !errors.As(err, &wrong) || wrong.Number != 2 {
		t.Error(err)
	}
	if used := pool.Stat().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are in use", used)
	}
}

func TestWhatHasNoShardingKeySaysWhy(t *testing.T) {
	pool := open(t, testcluster.Standin(t).URL)
	mustExec(t, pool, "CREATE TABLE everywhere (id INT PRIMARY KEY) DISTRIBUTED GLOBALLY")
	_, global := pool.ShardingKey(soon(t), "everywhere")
	_, missing := pool.ShardingKey(soon(t), "nowhere")
	_, plain := single(t).ShardingKey(soon(t), "everywhere")
	if kindOf(global) != quorate.KindUnsupported || kindOf(missing) != quorate.KindDatabase ||
		kindOf(plain) != quorate.KindUnsupported {
		t.Error(global, missing, plain)
	}
	key, err := open(t, testcluster.Standin(t).URL).ShardingKey(soon(t), "_pico_table")
	if key != nil || kindOf(err) != quorate.KindUnsupported {
		t.Error(key, err)
	}
	pool.Close()
	if _, err := pool.ShardingKey(soon(t), "everywhere"); kindOf(err) != quorate.KindClosed {
		t.Error(err)
	}
}

func TestEndpointsAreCountedOneByOne(t *testing.T) {
	cluster := testcluster.Standin(t)
	pool := open(t, cluster.URL, picodata.WithBalanceStrategy(strategies.NewLowestLatencyStrategy()))
	if stats := pool.EndpointStats(); len(stats) != 0 {
		t.Errorf("%+v", stats)
	}
	if err := pool.Ping(soon(t)); err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Acquire(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	want := []string{addressOf(t, cluster, 0), addressOf(t, cluster, 1), addressOf(t, cluster, 2)}
	sort.Strings(want)
	stats := pool.EndpointStats()
	for i, one := range stats {
		used := uint32(0)
		if one.Address == conn.Node() {
			used = 1
		}
		if one.Address != want[i] || one.InUse != used || one.Connections != one.Idle+one.InUse || one.Connections == 0 ||
			one.Waiting != 0 || one.LeftOut {
			t.Errorf("%+v", one)
		}
	}
	if len(stats) != len(want) {
		t.Errorf("%d endpoints", len(stats))
	}
	testcluster.Eventually(t, "all latencies to be measured", func() bool {
		one[int](t, pool, "SELECT 1")
		for _, one := range pool.EndpointStats() {
			if one.Latency <= 0 {
				return false
			}
		}
		return true
	})
	conn.Release()
	pool.Close()
	if stats := pool.EndpointStats(); stats != nil {
		t.Errorf("%+v", stats)
	}
}
