//go:build docslong

// Package longtest_test types the blocks of the documentation that take minutes: make test-docs-long.
package longtest_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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

// What README.md shows first is typed in a fresh clone: a server that is stopped when it answers, and all tests.
func TestTheReadme(t *testing.T) { typedInClone(t, "README.md") }

// So is what CONTRIBUTING.md begins with.
func TestTheContributingPage(t *testing.T) { typedInClone(t, "CONTRIBUTING.md") }

// typedInClone types the lines of a page's blocks for this test, each as a test of its own, in a clone of this checkout's commit.
func typedInClone(t *testing.T, page string) {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "treeline")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "--quiet", "../..", clone).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, b := range blocks(t, page) {
		for _, line := range b.Lines {
			line, _, _ = strings.Cut(line, "#")
			t.Run(strings.TrimSpace(line), func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), "sh", "-exc", line)
				cmd.Dir, cmd.Env = clone, append(os.Environ(), "PORT=0")
				if strings.TrimSpace(line) == "make run" {
					staysUntilStopped(t, cmd)
					return
				}
				cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
				if err := cmd.Run(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// address is where a server says that it is to be opened.
var address = regexp.MustCompile(`Open\s+(http://\S+)`)

// staysUntilStopped starts a server, opens the page that it names, and stops it as one does at a terminal.
func staysUntilStopped(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr, cmd.SysProcAttr = t.Output(), &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	opened := false
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		t.Log(lines.Text())
		if at := address.FindStringSubmatch(lines.Text()); at != nil {
			answer, err := http.Get(at[1])
			if err != nil || answer.StatusCode != http.StatusOK || answer.Body.Close() != nil {
				t.Errorf("%s: %v %v", at[1], answer, err)
			}
			opened = true
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); !opened {
		t.Fatalf("it names no address, and ends: %v", err)
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
	var said bytes.Buffer
	for _, b := range blocks(t, page) {
		cmd := exec.CommandContext(t.Context(), "sh", "-exc", strings.Join(b.Lines, "\n"))
		cmd.Dir, cmd.Env = root, append(os.Environ(), "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
		to := io.MultiWriter(&said, t.Output())
		cmd.Stdout, cmd.Stderr = to, to
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s:%d: %v", page, b.Line, err)
		}
	}
	return said.String()
}

// blocks are those of a page that say that this test runs them; one at least.
func blocks(t *testing.T, page string) []command.Block {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	list := command.TypedBy(t.Name(), page, string(source))
	if len(list) == 0 {
		t.Fatalf("%s has nothing for %s", page, t.Name())
	}
	return list
}
