package picodata_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The program of picodata-go's README runs, its import paths changed and nothing else.
func TestTheReadmesProgramRuns(t *testing.T) {
	everywhere(t, shared.URL,
		"CREATE TABLE items (id INTEGER NOT NULL, name TEXT NOT NULL, stock INTEGER, PRIMARY KEY (id))",
		"INSERT INTO items VALUES (1, 'bricks', 1123), (2, 'panels', 998), (3, 'piles', 177)")
	program := filepath.Join(t.TempDir(), "readme")
	build := exec.Command("go", "build", "-o", program, "../internal/readme")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	run := exec.Command(program)
	run.Env = append(os.Environ(), "PICODATA_CONNECTION_URL="+shared.URL)
	output, err := run.CombinedOutput()
	if err != nil || string(output) != "2 panels 998\n" {
		t.Errorf("%v\n%s", err, output)
	}
}
