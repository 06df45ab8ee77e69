// Package testcluster starts real clusters for tests: bindings/testing/cluster.py, which all bindings share.
package testcluster

import (
	"bufio"
	"fmt"
	"io"
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
	URL    string
	orders io.WriteCloser
	said   *bufio.Reader
}

// Dqlite starts a cluster of three dqlite nodes, which ends with the test.
func Dqlite(t testing.TB) *Cluster { return start(t, "dqlite", 3) }

// Picodata starts three PostgreSQL servers that look like one Picodata cluster, which end with the test.
func Picodata(t testing.TB) *Cluster { return start(t, "picodata", 3) }

func start(t testing.TB, kind string, count int) *Cluster {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "../../../testing/cluster.py")
	command := exec.Command("python3", script, kind, strconv.Itoa(count))
	orders, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = orders.Close()
		_ = command.Wait()
	})
	c := &Cluster{orders: orders, said: bufio.NewReader(output)}
	line, err := c.said.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		t.Fatalf("the cluster did not start: %q, %v\n%s", line, err, stderr.String())
	}
	c.URL = strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	return c
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
