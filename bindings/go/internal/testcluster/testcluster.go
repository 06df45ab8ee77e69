// Package testcluster starts real clusters for tests: bindings/testing/cluster.py, which all bindings share.
package testcluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Cluster is a running cluster. One goroutine at a time gives it orders.
type Cluster struct {
	URL     string
	command *exec.Cmd
	orders  io.WriteCloser
	said    *bufio.Reader
}

// Dqlite starts a cluster of three dqlite nodes, which ends with the test.
func Dqlite(t testing.TB) *Cluster { return forTest(t, "dqlite") }

// Picodata starts three PostgreSQL servers that look like one Picodata cluster, which end with the test.
func Picodata(t testing.TB) *Cluster { return forTest(t, "picodata") }

// Standin starts a stand-in for a Picodata cluster of three instances, which has Picodata's manners and ends with the test.
func Standin(t testing.TB) *Cluster { return forTest(t, "standin") }

// size is how many nodes the clusters have.
const size = 3

func forTest(t testing.TB, kind string) *Cluster {
	t.Helper()
	c, err := start(kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

// Run starts a cluster of a kind, "dqlite" or "picodata", for all tests of a package, gives it to use, runs the tests, and
// answers the status to end the process with. It is for TestMain.
func Run(m *testing.M, kind string, use func(*Cluster)) int {
	c, err := start(kind)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.stop()
	use(c)
	return m.Run()
}

func start(kind string) (*Cluster, error) {
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "../../../testing/cluster.py")
	command := exec.Command("python3", script, kind, strconv.Itoa(size))
	orders, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		return nil, err
	}
	c := &Cluster{command: command, orders: orders, said: bufio.NewReader(output)}
	line, err := c.said.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		c.stop()
		return nil, fmt.Errorf("the cluster did not start: %q, %v\n%s", line, err, stderr.String())
	}
	c.URL = strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	// A server that is said to be Picodata is sent parameters that PostgreSQL refuses.
	c.URL = strings.Replace(c.URL, "picodata://", "postgres://", 1)
	return c, nil
}

func (c *Cluster) stop() {
	_ = c.orders.Close()
	_ = c.command.Wait()
}

// Order gives an order and answers what is said to it.
func (c *Cluster) Order(t testing.TB, order string) string {
	t.Helper()
	if _, err := fmt.Fprintln(c.orders, order); err != nil {
		t.Fatal(err)
	}
	line, err := c.said.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	line = strings.TrimSpace(line)
	if line != "ok" && !strings.HasPrefix(line, "ok ") {
		t.Fatalf("%s: %s", order, line)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "ok"))
}

// Eventually waits until f answers true.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if f() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come to pass", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Waiting is how many goroutines wait in a function, called as a stack has it. What waits in C does not count: it has a
// thread.
func Waiting(function string) int {
	stacks := make([]byte, 1<<20)
	for {
		if n := runtime.Stack(stacks, true); n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	count := 0
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		state, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(state, "[select") && strings.Contains(stack, function) {
			count++
		}
	}
	return count
}

// Gate is where goroutines wait for a free connection.
const Gate = "capi.(*gate).enter"

// Threads is how many threads of the operating system the process has.
func Threads(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
