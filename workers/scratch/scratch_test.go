package scratch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/workers/engine/process"
	"github.com/treeline-ci/treeline/workers/scratch"
)

func made(t *testing.T) (*scratch.Dir, string) {
	t.Helper()
	parent := t.TempDir()
	d, err := scratch.Make(parent, "run", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	return d, parent
}

func TestLinksDoNotLeadOut(t *testing.T) {
	d, parent := made(t)
	outside := filepath.Join(parent, "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(d.Work(), "link")); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("link/file", 0o644, strings.NewReader("x"), 0); err == nil {
		t.Error("a file was written through a link that leads out")
	}
	if err := d.MoveIn(filepath.Join(parent, "run", "tmp"), "link/cache"); err == nil {
		t.Error("a directory was moved through a link that leads out")
	}
	if err := d.MoveOut("link", filepath.Join(parent, "taken")); err == nil {
		t.Error("a link was taken for a directory")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside has %v, %v", entries, err)
	}
}

func TestFiles(t *testing.T) {
	d, parent := made(t)
	if err := d.WriteFile("a/b/file", 0o644, strings.NewReader("text"), 4); err != nil {
		t.Error(err)
	}
	if err := d.WriteFile("big", 0o644, strings.NewReader("text!"), 4); err == nil {
		t.Error("more than the limit was written without a word")
	}
	cache := filepath.Join(parent, "cache")
	if err := os.Mkdir(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.MoveIn(cache, "a/cache"); err != nil {
		t.Fatal(err)
	}
	if err := d.MoveOut("a/cache", cache); err != nil {
		t.Error(err)
	}
}

func TestWipeRemovesWhatWasLocked(t *testing.T) {
	parent := t.TempDir()
	d, err := scratch.Make(parent, "run", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = process.Run(t.Context(), process.Spec{
		Argv: []string{"sh", "-c", "mkdir -p a/b/c && touch a/b/c/f && chmod 0 a/b/c a/b a"}, Dir: d.Work(),
		Env: []string{"PATH=/usr/bin:/bin", "TASK_WORKDIR=" + d.Work()}, Output: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
}
