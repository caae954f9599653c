//go:build docslong

// Package longtest_test types the blocks of the documentation that take minutes: make test-docs-long.
package longtest_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs/command"
)

// The benchmarks that docs/explanation/speed.md begins with run as they stand there, and print their tables. How fast it is,
// nobody asserts.
func TestTheSpeedPage(t *testing.T) {
	said := typed(t, "docs/explanation/speed.md")
	for _, table := range []string{"BenchmarkClaim", "commit begun to first task running", "fdatasync", "ns/op"} {
		if !strings.Contains(said, table) {
			t.Errorf("no %q", table)
		}
	}
}

// typed types the blocks of a page that say that this test runs them, in the checkout, where make has built the program, and
// returns what they said.
func typed(t *testing.T, page string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	n := 0
	for _, b := range command.Blocks(page, string(source)) {
		if b.RunBy.Name != t.Name() {
			continue
		}
		n++
		cmd := exec.CommandContext(t.Context(), "sh", "-exc", strings.Join(b.Lines, "\n"))
		cmd.Dir, cmd.Env = root, append(os.Environ(), "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
		to := io.MultiWriter(&said, t.Output())
		cmd.Stdout, cmd.Stderr = to, to
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s:%d: %v", page, b.Line, err)
		}
	}
	if n == 0 {
		t.Fatalf("%s has nothing for %s", page, t.Name())
	}
	return said.String()
}
