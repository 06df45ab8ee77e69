// Package examples runs the programs of examples/go against real servers.
package examples

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/bindings/go/internal/testcluster"
	"github.com/quorate/quorate/bindings/go/picodata"
	"github.com/quorate/quorate/bindings/go/picodata/logger"
)

func TestTheExampleForDqlite(t *testing.T) {
	output := run(t, "dqlite", testcluster.Dqlite(t).URL)
	if output != "1 brick\n2 panel\n" {
		t.Errorf("%q", output)
	}
}

func TestTheExampleForPicodata(t *testing.T) {
	cluster := testcluster.Picodata(t)
	// The servers do not share what is written.
	head, rest, _ := strings.Cut(cluster.URL, "@")
	hosts, tail, _ := strings.Cut(rest, "/")
	for _, host := range strings.Split(hosts, ",") {
		pool, err := picodata.New(context.Background(), head+"@"+host+"/"+tail, picodata.WithDisableTopologyManaging(),
			picodata.WithLogLevel(logger.LevelNone))
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"CREATE TABLE items (id INTEGER NOT NULL, name TEXT NOT NULL, stock INTEGER, PRIMARY KEY (id))",
			"INSERT INTO items VALUES (1, 'bricks', 1123), (2, 'panels', NULL), (3, 'piles', 177)",
		} {
			if _, err := pool.Exec(context.Background(), sql); err != nil {
				t.Fatal(err)
			}
		}
		pool.Close()
	}
	output := run(t, "picodata", cluster.URL)
	if output != "1 bricks 1123\n2 panels is not counted\n" {
		t.Errorf("%q", output)
	}
}

// run builds an example and gives what it prints.
func run(t *testing.T, name, url string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", program, "./"+name)
	build.Dir = "../../../../examples/go"
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	output, err := exec.Command(program, url).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}
