// Package testcluster starts clusters of real servers for tests: bindings/testing/cluster.py, which says what it takes.
package testcluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Cluster is a cluster that runs. Any goroutine may use it.
type Cluster struct {
	// URL is its connection string, which names all its nodes.
	URL string

	mu      sync.Mutex
	process *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

// Start starts a cluster of a kind, "dqlite" or "picodata", of so many nodes. Stop ends it, and so does the end of this
// process.
func Start(kind string, count int) (*Cluster, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return nil, fmt.Errorf("the place of this file is not known")
	}
	program := filepath.Join(filepath.Dir(here), "..", "..", "..", "testing", "cluster.py")
	process := exec.Command("python3", program, kind, fmt.Sprint(count))
	process.Stderr = os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	c := &Cluster{process: process, input: input, output: bufio.NewReader(output)}
	line, err := c.output.ReadString('\n')
	word, url, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || word != "ready" {
		c.Stop()
		return nil, fmt.Errorf("the cluster did not start: %q %w", line, err)
	}
	c.URL = url
	return c, nil
}

// Run starts a cluster for the tests of a package, runs them with it, and gives the status to end the process with. It is
// for TestMain: a cluster that cannot start fails the tests.
func Run(m *testing.M, kind string, count int, use func(*Cluster)) int {
	cluster, err := Start(kind, count)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer cluster.Stop()
	use(cluster)
	return m.Run()
}

// New starts a cluster for one test, which ends with it.
func New(t testing.TB, kind string, count int) *Cluster {
	t.Helper()
	cluster, err := Start(kind, count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	return cluster
}

// Stop ends all nodes. It may be called more than once.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return
	}
	_ = c.input.Close()
	_ = c.process.Wait()
	c.process = nil
}

// Tell carries out a command of cluster.py, such as "kill 1", and gives what it answers.
func (c *Cluster) Tell(format string, args ...any) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	command := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(c.input, command); err != nil {
		return "", err
	}
	line, err := c.output.ReadString('\n')
	if err != nil {
		return "", err
	}
	word, said, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word != "ok" {
		return "", fmt.Errorf("%s: %s", command, said)
	}
	return said, nil
}

// MustTell is Tell for a test, which fails where the command does.
func (c *Cluster) MustTell(t testing.TB, format string, args ...any) string {
	t.Helper()
	said, err := c.Tell(format, args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}
