//go:build deploy

package deploytest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs/command"
)

// book is what a page has this test type, in order.
type book struct {
	t      *testing.T
	blocks []command.Block
	at     int
}

// openBook opens a page at the blocks that say that this test runs them. The test fails when it ends without having taken
// all of them.
func openBook(t *testing.T, page string) *book {
	t.Helper()
	b := &book{t: t, blocks: command.TypedBy(t.Name(), page, text(t, filepath.Join("../..", page)))}
	if len(b.blocks) == 0 {
		t.Fatalf("%s has nothing for %s", page, t.Name())
	}
	t.Cleanup(func() {
		if !t.Failed() && b.at != len(b.blocks) {
			t.Errorf("%s:%d was not typed", page, b.blocks[b.at].Line)
		}
	})
	return b
}

// next is the next block, which begins with a command of this name.
func (b *book) next(begins string) command.Block {
	b.t.Helper()
	if b.at == len(b.blocks) {
		b.t.Fatalf("there is no block with %s", begins)
	}
	block := b.blocks[b.at]
	b.at++
	if !strings.HasPrefix(block.Lines[0], begins) {
		b.t.Fatalf("%s:%d begins with %q, not with %s", block.Page, block.Line, block.Lines[0], begins)
	}
	return block
}

// script is the commands of a block, one of which that fails ends it, after what every reader has by then.
func script(b command.Block) string {
	return strings.Join(append([]string{"set -e", b.Before}, b.Lines...), "\n")
}

// shell is where blocks are typed on this machine.
type shell struct {
	t    *testing.T
	dir  string
	bin  string // programs that come first
	more []string
}

func newShell(t *testing.T, dir string, more ...string) shell {
	return shell{t, dir, t.TempDir(), more}
}

// program puts a script before the programs of the machine.
func (s shell) program(name, script string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// command is a script in the shell.
func (s shell) command(script string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", script)
	cmd.Dir, cmd.Env = s.dir, append(append(os.Environ(), s.more...), "PATH="+s.bin+":"+os.Getenv("PATH"))
	return cmd
}

// types types a block and returns what it says.
func (s shell) types(b command.Block) string {
	s.t.Helper()
	cmd := s.command(script(b))
	out, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		errors.As(err, &ended)
		said := ""
		if ended != nil {
			said = string(ended.Stderr)
		}
		s.t.Fatalf("%s:%d: %v\n%s\n%s", b.Page, b.Line, err, out, said)
	}
	return string(out)
}
