package client_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite/client"
	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

// calls are all that a client can be asked for.
var calls = map[string]func(context.Context, *client.Client) error{
	"Leader":  func(ctx context.Context, c *client.Client) error { _, err := c.Leader(ctx); return err },
	"Cluster": func(ctx context.Context, c *client.Client) error { _, err := c.Cluster(ctx); return err },
	"Add": func(ctx context.Context, c *client.Client) error {
		return c.Add(ctx, client.NodeInfo{ID: 9, Address: "127.0.0.1:1"})
	},
	"Assign":   func(ctx context.Context, c *client.Client) error { return c.Assign(ctx, 1, client.StandBy) },
	"Transfer": func(ctx context.Context, c *client.Client) error { return c.Transfer(ctx, 0) },
	"Remove":   func(ctx context.Context, c *client.Client) error { return c.Remove(ctx, 9) },
	"Dump":     func(ctx context.Context, c *client.Client) error { _, err := c.Dump(ctx, "app"); return err },
	"Describe": func(ctx context.Context, c *client.Client) error { _, err := c.Describe(ctx); return err },
	"Weight":   func(ctx context.Context, c *client.Client) error { return c.Weight(ctx, 1) },
}

// everywhere gives an order for each node.
func everywhere(t testing.TB, cluster *testcluster.Cluster, order string) {
	t.Helper()
	for index := 0; index < 3; index++ {
		cluster.Order(t, order+" "+strconv.Itoa(index))
	}
}

func TestAContextEndsEveryCall(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	hosts := addresses(cluster.URL)
	ctx := within(t, time.Minute)
	found, single := findLeader(t, ctx, hosts...), newClient(t, ctx, hosts[0])

	// What has ended before is not sent.
	expired, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for ended, kind := range map[context.Context]quorate.Kind{
		expired: quorate.KindTimeout, cancelled: quorate.KindCancelled,
	} {
		for name, ask := range calls {
			err := ask(ended, found)
			if !errors.Is(err, ended.Err()) {
				t.Errorf("%s: %v", name, err)
			}
			if err := failure(t, err); err.Kind != kind || err.Outcome != quorate.NotSent {
				t.Errorf("%s: %+v", name, err)
			}
		}
		if _, err := client.FindLeader(ended, storeOf(t, hosts...)); !errors.Is(err, ended.Err()) {
			t.Error(err)
		}
		if _, err := client.New(ended, hosts[0]); !errors.Is(err, ended.Err()) {
			t.Error(err)
		}
	}

	// Nobody answers, and every connection stays open.
	everywhere(t, cluster, "freeze")
	defer everywhere(t, cluster, "thaw")
	for _, host := range hosts {
		// A process that was sent a SIGSTOP may run on for a moment.
		testcluster.Eventually(t, "the silence of "+host, func() bool {
			_, err := client.New(within(t, 100*time.Millisecond), host)
			return err != nil
		})
	}
	for name, ask := range calls {
		for who, c := range map[string]*client.Client{"found": found, "new": single} {
			soon, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
			begun := time.Now()
			err := ask(soon, c)
			if took := time.Since(begun); took > 3*time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %s: %v after %v", name, who, err, took)
			}
			cancel()

			given, giveUp := context.WithCancel(context.Background())
			begun = time.Now()
			time.AfterFunc(100*time.Millisecond, giveUp)
			err = ask(given, c)
			if took := time.Since(begun); took > 3*time.Second || !errors.Is(err, context.Canceled) {
				t.Errorf("%s, %s: %v after %v", name, who, err, took)
			}
			if err := failure(t, err); err.Kind != quorate.KindCancelled {
				t.Errorf("%s, %s: %+v", name, who, err)
			}
			giveUp()
		}
	}
}

func TestOfADeadClusterEachNodeIsNamed(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	hosts := addresses(cluster.URL)
	c := findLeader(t, within(t, time.Minute), hosts...)
	everywhere(t, cluster, "kill")
	ctx := within(t, time.Second)
	_, found := client.FindLeader(ctx, storeOf(t, hosts...))
	_, later := c.Cluster(within(t, time.Second))
	for _, err := range []error{found, later} {
		if !errors.Is(err, client.ErrNoAvailableLeader) {
			t.Fatal(err)
		}
		own := failure(t, err)
		missing := map[string]bool{hosts[0]: true, hosts[1]: true, hosts[2]: true}
		for _, cause := range own.Causes {
			delete(missing, cause.Node)
		}
		if len(missing) > 0 || own.Outcome != quorate.NotSent {
			t.Errorf("%v are missing: %v", missing, err)
		}
	}
	_, err := client.New(within(t, 5*time.Second), hosts[1])
	if err := failure(t, err); err.Kind != quorate.KindConnect || err.Node != hosts[1] {
		t.Errorf("%+v", err)
	}
	// Without a store, or one that knows nobody.
	_, err = client.FindLeader(context.Background(), nil)
	if err := failure(t, err); err.Kind != quorate.KindMisuse {
		t.Error(err)
	}
	_, err = client.FindLeader(within(t, 200*time.Millisecond), client.NewInmemNodeStore())
	if err := failure(t, err); len(err.Causes) != 1 {
		t.Error(err)
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	hosts := addresses(cluster.URL)
	c := newClient(t, ctx, hosts[0])
	must(t, c.Close())
	must(t, c.Close())
	for name, ask := range calls {
		if err := failure(t, ask(ctx, c)); err.Kind != quorate.KindClosed || err.Outcome != quorate.NotSent {
			t.Errorf("%s: %+v", name, err)
		}
	}

	// Closed while others use it: each call ends as if alone, or is refused.
	for round := 0; round < 5; round++ {
		c := findLeader(t, ctx, hosts...)
		var all sync.WaitGroup
		var done, refused int32
		for i := 0; i < 8; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for {
					nodes, err := c.Cluster(ctx)
					if err == nil {
						if len(nodes) != 3 {
							t.Error(nodes)
						}
						atomic.AddInt32(&done, 1)
						continue
					}
					var own *quorate.Error
					if !errors.As(err, &own) || own.Kind != quorate.KindClosed {
						t.Error(err)
					}
					atomic.AddInt32(&refused, 1)
					return
				}
			}()
		}
		testcluster.Eventually(t, "some calls", func() bool { return atomic.LoadInt32(&done) > 16 })
		must(t, c.Close())
		all.Wait()
		if refused != 8 {
			t.Error(refused)
		}
	}
}

func TestSeveralGoroutinesUseOneClient(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	c := findLeader(t, ctx, addresses(cluster.URL)...)
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		i := i
		all.Add(1)
		go func() {
			defer all.Done()
			for round := 0; round < 20; round++ {
				var err error
				switch i % 4 {
				case 0:
					_, err = c.Leader(ctx)
				case 1:
					_, err = c.Cluster(ctx)
				case 2:
					_, err = c.Describe(ctx)
				case 3:
					err = c.Weight(ctx, uint64(i))
				}
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		}()
	}
	all.Wait()
}

// mortal is a store that tells of its end.
type mortal struct{ client.NodeStore }

func TestNothingIsLeftOfAClient(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	hosts := addresses(cluster.URL)
	ctx := within(t, time.Minute)
	var gone int32
	use := func(then func(*client.Client)) {
		store := &mortal{storeOf(t, hosts...)}
		runtime.SetFinalizer(store, func(*mortal) { atomic.AddInt32(&gone, 1) })
		c, err := client.FindLeader(ctx, store)
		must(t, err)
		_, err = c.Cluster(ctx)
		must(t, err)
		then(c)
	}
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	closed := func(c *client.Client) { must(t, c.Close()) }
	use(closed)
	before, threads := files(), testcluster.Threads(t)
	for i := 0; i < 20; i++ {
		use(closed)
		use(func(*client.Client) {})
	}
	_, err := client.FindLeader(within(t, 50*time.Millisecond), &mortal{storeOf(t, "127.0.0.1:1")})
	failure(t, err)
	testcluster.Eventually(t, "the end of all stores", func() bool {
		runtime.GC()
		return atomic.LoadInt32(&gone) == 41
	})
	testcluster.Eventually(t, "the end of what was open", func() bool {
		return files() <= before+2 && testcluster.Threads(t) < threads+10
	})
}
