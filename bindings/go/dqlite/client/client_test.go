package client_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bindings/go/dqlite"
	"github.com/quorate/quorate/bindings/go/dqlite/client"
	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/quorate"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context for what a test does in all.
func within(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// addresses are those of the nodes in a connection string.
func addresses(url string) []string {
	hosts, _, _ := strings.Cut(strings.TrimPrefix(url, "dqlite://"), "/")
	return strings.Split(hosts, ",")
}

// storeOf knows the nodes at addresses.
func storeOf(t testing.TB, addresses ...string) *client.InmemNodeStore {
	t.Helper()
	store := client.NewInmemNodeStore()
	var nodes []client.NodeInfo
	for _, address := range addresses {
		nodes = append(nodes, client.NodeInfo{Address: address})
	}
	must(t, store.Set(context.Background(), nodes))
	return store
}

func findLeader(t testing.TB, ctx context.Context, addresses ...string) *client.Client {
	t.Helper()
	c, err := client.FindLeader(ctx, storeOf(t, addresses...))
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func newClient(t testing.TB, ctx context.Context, address string) *client.Client {
	t.Helper()
	c, err := client.New(ctx, address)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// failure is the error's own type, which every error has to have.
func failure(t testing.TB, err error) *quorate.Error {
	t.Helper()
	var own *quorate.Error
	if !errors.As(err, &own) {
		t.Fatalf("%v is not of the type of all errors", err)
	}
	return own
}

// leaderOf is the index of the leader.
func leaderOf(t testing.TB, cluster *testcluster.Cluster) int {
	t.Helper()
	index, err := strconv.Atoi(cluster.Order(t, "leader"))
	must(t, err)
	return index
}

// aFollower is the index of a node that does not lead.
func aFollower(t testing.TB, cluster *testcluster.Cluster) int {
	t.Helper()
	return (leaderOf(t, cluster) + 1) % 3
}

// fourth starts a node that is in no cluster yet.
func fourth(t testing.TB) client.NodeInfo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	node := client.NodeInfo{ID: 4, Address: listener.Addr().String()}
	server, err := dqlite.NewServer(node, t.TempDir())
	must(t, err)
	must(t, server.Start(listener))
	t.Cleanup(func() { must(t, server.Close()) })
	return node
}

// roleOf is the role of the node id, and whether the cluster lists it.
func roleOf(t testing.TB, ctx context.Context, c *client.Client, id uint64) (client.NodeRole, bool) {
	t.Helper()
	nodes, err := c.Cluster(ctx)
	must(t, err)
	for _, node := range nodes {
		if node.ID == id {
			return node.Role, true
		}
	}
	return 0, false
}

func TestTheLeaderAndTheNodes(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	hosts := addresses(cluster.URL)
	at := leaderOf(t, cluster)
	follower := hosts[aFollower(t, cluster)]
	connected, err := client.NewLeaderConnector(storeOf(t, follower)).Connect(ctx)
	must(t, err)
	defer connected.Close()
	direct, err := client.NewDirectConnector(99, follower).Connect(ctx)
	must(t, err)
	defer direct.Close()
	for name, c := range map[string]*client.Client{
		"found":     findLeader(t, ctx, follower),
		"new":       newClient(t, ctx, follower),
		"connected": connected,
		"direct":    direct,
	} {
		leader, err := c.Leader(ctx)
		must(t, err)
		if *leader != (client.NodeInfo{ID: uint64(at + 1), Address: hosts[at], Role: client.Voter}) {
			t.Errorf("%s: %+v", name, leader)
		}
		nodes, err := c.Cluster(ctx)
		must(t, err)
		if len(nodes) != 3 {
			t.Fatalf("%s: %v", name, nodes)
		}
		for i, node := range nodes {
			if node.ID != uint64(i+1) || node.Address != hosts[i] || node.Role != client.Voter {
				t.Errorf("%s: %+v", name, node)
			}
		}
	}
}

func TestANodeComesTakesEachRoleAndGoes(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	c := newClient(t, ctx, addresses(cluster.URL)[aFollower(t, cluster)])
	node := fourth(t)
	expect := func(role client.NodeRole) {
		t.Helper()
		if got, ok := roleOf(t, ctx, c, node.ID); !ok || got != role {
			t.Fatalf("%v, %v, and not %v", got, ok, role)
		}
	}

	node.Role = client.Spare
	must(t, c.Add(ctx, node))
	expect(client.Spare)
	for _, role := range []client.NodeRole{client.StandBy, client.Voter, client.Spare, client.Voter} {
		must(t, c.Assign(ctx, node.ID, role))
		expect(role)
	}
	if err := failure(t, c.Assign(ctx, node.ID, client.Voter)); err.Outcome != quorate.Rejected ||
		!strings.Contains(err.Error(), "cannot make node 4 a voter") {
		t.Errorf("%+v", err)
	}
	if err := failure(t, c.Add(ctx, node)); err.Outcome != quorate.Rejected {
		t.Errorf("%+v", err)
	}
	must(t, c.Remove(ctx, node.ID))
	if _, ok := roleOf(t, ctx, c, node.ID); ok {
		t.Error("it is still there")
	}
	if err := failure(t, c.Remove(ctx, node.ID)); err.Outcome != quorate.Rejected {
		t.Errorf("%+v", err)
	}
	if err := failure(t, c.Assign(ctx, 1, 7)); err.Kind != quorate.KindMisuse {
		t.Errorf("%+v", err)
	}
}

func TestAddGivesTheRole(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	c := findLeader(t, ctx, addresses(cluster.URL)...)
	node := fourth(t)
	// The role of a NodeInfo that names none.
	must(t, c.Add(ctx, node))
	if role, ok := roleOf(t, ctx, c, node.ID); !ok || role != client.Voter {
		t.Fatal(role, ok)
	}
	must(t, c.Remove(ctx, node.ID))
}

func TestAClientFollowsTheLeadership(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	c := findLeader(t, ctx, addresses(cluster.URL)...)
	for round := 0; round < 3; round++ {
		next := uint64(aFollower(t, cluster) + 1)
		must(t, c.Transfer(ctx, next))
		testcluster.Eventually(t, "the new leader", func() bool {
			leader, err := c.Leader(ctx)
			must(t, err)
			return leader.ID == next
		})
	}
	// It was found once; who is asked now is whoever leads now.
	cluster.Order(t, "kill "+strconv.Itoa(leaderOf(t, cluster)))
	nodes, err := c.Cluster(ctx)
	must(t, err)
	if len(nodes) != 3 {
		t.Fatal(nodes)
	}
	if err := failure(t, c.Transfer(ctx, 99)); err.Kind == quorate.KindTimeout {
		t.Errorf("%+v", err)
	}
}

func TestWhatANodeSaysOfItself(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	hosts := addresses(cluster.URL)
	follower := newClient(t, ctx, hosts[aFollower(t, cluster)])
	leader := findLeader(t, ctx, hosts...)
	must(t, follower.Weight(ctx, 7))
	must(t, leader.Weight(ctx, 3))
	for c, weight := range map[*client.Client]uint64{follower: 7, leader: 3} {
		metadata, err := c.Describe(ctx)
		must(t, err)
		if *metadata != (client.NodeMetadata{Weight: weight}) {
			t.Errorf("%+v, and not %d", metadata, weight)
		}
	}
}

// sqlite opens the files of a dump and gives what a query answers.
func sqlite(t testing.TB, files []client.File, name, query string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range files {
		must(t, os.WriteFile(filepath.Join(dir, file.Name), file.Data, 0o600))
	}
	const program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())"
	output, err := exec.Command("python3", "-c", program, filepath.Join(dir, name), query).CombinedOutput()
	if err != nil {
		return string(output)
	}
	return strings.TrimSpace(string(output))
}

func TestADumpIsADatabase(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	hosts := addresses(cluster.URL)
	d, err := dqlite.NewDriver(storeOf(t, hosts...))
	must(t, err)
	connector, err := d.OpenConnector("app")
	must(t, err)
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, statement := range []string{
		"CREATE TABLE fruit (name TEXT)", "INSERT INTO fruit VALUES ('apple')", "INSERT INTO fruit VALUES ('pear')",
	} {
		_, err := db.Exec(statement)
		must(t, err)
	}

	const all, query = "[('apple',), ('pear',)]", "SELECT name FROM fruit ORDER BY name"
	leader := findLeader(t, ctx, hosts...)
	files, err := leader.Dump(ctx, "app")
	must(t, err)
	if len(files) != 2 || files[0].Name != "app" || files[1].Name != "app-wal" {
		t.Fatal(files)
	}
	if said := sqlite(t, files, "app", query); said != all {
		t.Error(said)
	}

	// A follower may lag behind.
	at := aFollower(t, cluster)
	follower := newClient(t, ctx, hosts[at])
	testcluster.Eventually(t, "the rows on the follower", func() bool {
		files, err := follower.Dump(ctx, "app")
		return err == nil && sqlite(t, files, "app", query) == all
	})
	// It is the node that is asked, and no other.
	cluster.Order(t, "kill "+strconv.Itoa(at))
	_, err = follower.Dump(ctx, "app")
	if err := failure(t, err); err.Kind != quorate.KindConnect || err.Node != hosts[at] {
		t.Errorf("%+v", err)
	}
	if _, err := leader.Dump(ctx, "app"); err != nil {
		t.Error(err)
	}

	small, err := client.FindLeader(ctx, storeOf(t, hosts...), client.WithMaxMessage(4096))
	must(t, err)
	defer small.Close()
	_, err = small.Dump(ctx, "app")
	if err := failure(t, err); err.Kind != quorate.KindProtocol {
		t.Errorf("%+v", err)
	}
}

func TestTheReadmesLinesRun(t *testing.T) {
	cluster := testcluster.Dqlite(t)
	ctx := within(t, time.Minute)
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	store, err := client.NewYamlNodeStore(path)
	must(t, err)
	must(t, store.Set(ctx, []client.NodeInfo{{ID: 1, Address: addresses(cluster.URL)[0]}}))
	node := fourth(t)
	must(t, readme(ctx, path, node.Address))
	if role, ok := roleOf(t, ctx, findLeader(t, ctx, node.Address), 4); !ok || role != client.Voter {
		t.Fatal(role, ok)
	}

	source, err := os.ReadFile("client_test.go")
	must(t, err)
	text, err := os.ReadFile("../../README.md")
	must(t, err)
	at := strings.Index(string(text), "store, err := client.DefaultNodeStore(")
	if at < 0 {
		t.Fatal("the README does not show it")
	}
	shown, _, _ := strings.Cut(string(text[at:]), "```")
	for _, line := range strings.Split(strings.TrimSpace(shown), "\n") {
		if !strings.Contains(string(source), "\t"+strings.TrimSpace(line)+"\n") {
			t.Errorf("%q is not tested", line)
		}
	}
}

// readme is what the README shows.
func readme(ctx context.Context, path, address string) error {
	store, err := client.DefaultNodeStore(path)
	if err != nil {
		return err
	}
	leader, err := client.FindLeader(ctx, store)
	if err != nil {
		return err
	}
	defer leader.Close()
	err = leader.Add(ctx, client.NodeInfo{ID: 4, Address: address, Role: client.Voter})
	return err
}
