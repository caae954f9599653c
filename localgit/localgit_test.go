package localgit_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/localgit"
)

// work is a repository with a work tree.
type work struct {
	t   *testing.T
	dir string
}

func newWork(t *testing.T) work {
	w := work{t, filepath.Join(t.TempDir(), "my project")}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.git("init", "-q", "-b", "main")
	w.git("config", "user.name", "Ada Lovelace")
	w.git("config", "user.email", "ada@example.com")
	return w
}

func (w work) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w work) commit(message string, files map[string]string) string {
	w.t.Helper()
	for name, content := range files {
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git("add", "-A")
	w.git("commit", "-q", "-m", message)
	return w.git("rev-parse", "HEAD")
}

func (w work) open() *localgit.Repo {
	w.t.Helper()
	r, err := localgit.Open(w.t.Context(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestStepOfABranch(t *testing.T) {
	w := newWork(t)
	first := w.commit("one", map[string]string{"a.txt": "a", "sub/b.txt": "b"})
	w.commit("two\n\nwith a body", map[string]string{"sub/b.txt": "b2", "temporary": "x"})
	w.git("rm", "-q", "temporary")
	last := w.commit("three", map[string]string{"ü/ñ.txt": "c"})
	r := w.open()

	if r.Name() != "my-project" || r.DefaultBranch(t.Context()) != "main" {
		t.Errorf("name %q, default branch %q", r.Name(), r.DefaultBranch(t.Context()))
	}
	heads, err := r.Heads(t.Context())
	if diff := cmp.Diff(map[string]string{"main": last}, heads); err != nil || diff != "" {
		t.Error(err, diff)
	}
	commits, err := r.Commits(t.Context(), first, last, 10)
	if err != nil || len(commits) != 2 || commits[0].Revision != last || commits[1].Message != "two\n\nwith a body" || commits[1].Email != "ada@example.com" {
		t.Errorf("%v %+v", err, commits)
	}
	files, err := r.FilesChanged(t.Context(), first, last)
	if diff := cmp.Diff([]string{"sub/b.txt", "temporary", "ü/ñ.txt"}, files); err != nil || diff != "" {
		t.Error(err, diff)
	}
	files, err = r.FilesChanged(t.Context(), "", last)
	if diff := cmp.Diff([]string{"a.txt", "sub/b.txt", "ü/ñ.txt"}, files); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got := r.MergeBase(t.Context(), first, last); got != first {
		t.Errorf("merge base %s", got)
	}
}

func TestTreeIsAFileSystem(t *testing.T) {
	w := newWork(t)
	if err := os.Symlink("a.txt", filepath.Join(w.dir, "link")); err != nil {
		t.Fatal(err)
	}
	rev := w.commit("one", map[string]string{"a.txt": "hello", "taskcluster/kinds/x/kind.yml": "k: 1\n", "taskcluster/config.yml": "c\n", "bin/tool": ""})
	for _, prefetch := range []bool{false, true} {
		tree, err := w.open().Tree(t.Context(), rev)
		if err != nil {
			t.Fatal(err)
		}
		if prefetch {
			if err := tree.Prefetch("taskcluster", "a.txt"); err != nil {
				t.Fatal(err)
			}
		}
		sub, err := fs.Sub(tree, "taskcluster")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(sub, "config.yml", "kinds/x/kind.yml"); err != nil {
			t.Error(err)
		}
		if data, err := fs.ReadFile(tree, "link"); err != nil || string(data) != "a.txt" {
			t.Errorf("link: %q %v", data, err)
		}
		if _, err := fs.ReadFile(tree, "none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
	}
}

func TestBadRevisionsAndPathsAreRefused(t *testing.T) {
	w := newWork(t)
	w.commit("one", map[string]string{"a": "a"})
	r := w.open()
	for _, rev := range []string{"", "main", "--output=/tmp/x", "HEAD", strings.Repeat("z", 40)} {
		if _, err := r.Tree(t.Context(), rev); !errors.Is(err, fault.Invalid) {
			t.Errorf("revision %q: %v", rev, err)
		}
	}
	if _, err := r.Commits(t.Context(), "--all", strings.Repeat("a", 40), 1); !errors.Is(err, fault.Invalid) {
		t.Errorf("base --all: %v", err)
	}
	if _, err := localgit.Open(t.Context(), t.TempDir()); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "git init") {
		t.Errorf("no repository: %v", err)
	}
}

func TestHookMakesACommitKnownAtOnce(t *testing.T) {
	w := newWork(t)
	r := w.open()
	if err := r.Hook(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Hook(t.Context()); err != nil {
		t.Fatalf("second time: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	looked := make(chan map[string]string, 100)
	go r.Watch(ctx, time.Hour, func(ctx context.Context) { // the poll is too slow to help
		heads, _ := r.Heads(ctx)
		looked <- heads
	})
	<-looked // the look at start: Watch is watching now
	rev := w.commit("one", map[string]string{"a": "a"})
	for {
		select {
		case heads := <-looked:
			if heads["main"] == rev {
				return
			}
		case <-ctx.Done():
			t.Fatal("the hook told nothing")
		}
	}
}

func TestForeignHookIsLeftAlone(t *testing.T) {
	w := newWork(t)
	path := filepath.Join(w.dir, ".git/hooks/reference-transaction")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.open().Hook(t.Context()); !errors.Is(err, localgit.ErrForeignHook) {
		t.Errorf("got %v", err)
	}
}
