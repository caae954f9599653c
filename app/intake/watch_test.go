package intake

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/push"
)

// watched is a repository in the eyes of an Intake whose loops do not run.
type watched struct {
	t    *testing.T
	dir  string
	in   *Intake
	repo *localgit.Repo
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, dir: filepath.Join(t.TempDir(), "mine")}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.init()
	w.in = New(Deps{Push: push.New(pgtest.DB(t), func() {}, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler), RootURL: "http://localhost"})
	return w
}

// init makes the repository, anew if it was there.
func (w *watched) init() {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, ".git")); err != nil {
		w.t.Fatal(err)
	}
	w.git("init", "-q", "-b", "main")
	var err error
	if w.repo, err = localgit.Open(w.t.Context(), w.dir); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) git(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *watched) commit(file string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, file), []byte(file), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.git("add", "-A")
	w.git("commit", "-q", "-m", "add "+file)
	return w.git("rev-parse", "HEAD")
}

// look looks once, registering the repository as each start does, and returns all pushes, the
// oldest first, as "branch: base to revision: files".
func (w *watched) look() []string {
	w.t.Helper()
	if err := w.in.register(w.t.Context(), "mine", w.repo); err != nil {
		w.t.Fatal(err)
	}
	if err := w.in.look(w.t.Context(), "mine", w.repo); err != nil {
		w.t.Fatal(err)
	}
	list, err := w.in.Push.List(w.t.Context(), "mine", 0, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	told := []string{}
	for i := len(list) - 1; i >= 0; i-- {
		told = append(told, step(list[i].Branch, list[i].Base, list[i].Revision, list[i].FilesChanged...))
	}
	return told
}

func step(branch, base, revision string, files ...string) string {
	return branch + ": " + base + " to " + revision + ": " + strings.Join(files, " ")
}

func TestFirstLook(t *testing.T) {
	t.Run("takes the last commit of the default branch, and other history as known", func(t *testing.T) {
		w := watch(t)
		w.commit("a")
		b := w.commit("b")
		w.git("branch", "old")
		c := w.commit("c")
		want := []string{step("main", b, c, "c")}
		if diff := cmp.Diff(want, w.look()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, w.look()); diff != "" {
			t.Errorf("the second look: %s", diff)
		}
	})
	t.Run("takes an only commit with all its files", func(t *testing.T) {
		w := watch(t)
		a := w.commit("a")
		if diff := cmp.Diff([]string{step("main", "", a, "a")}, w.look()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("finds nothing in an empty repository, and then its first commit", func(t *testing.T) {
		w := watch(t)
		if got := w.look(); len(got) != 0 {
			t.Error(got)
		}
		a := w.commit("a")
		if diff := cmp.Diff([]string{step("main", "", a, "a")}, w.look()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("takes main where HEAD is detached, as in a clone of a revision", func(t *testing.T) {
		w := watch(t)
		a := w.commit("a")
		w.git("checkout", "-q", "--detach")
		if diff := cmp.Diff([]string{step("main", "", a, "a")}, w.look()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLaterLooks(t *testing.T) {
	t.Run("record each commit of several as a push of its own", func(t *testing.T) {
		w := watch(t)
		a := w.commit("a")
		w.look()
		b, c := w.commit("b"), w.commit("c")
		if diff := cmp.Diff([]string{step("main", "", a, "a"), step("main", a, b, "b"), step("main", b, c, "c")}, w.look()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("take a branch that HEAD is on by what it adds", func(t *testing.T) {
		w := watch(t)
		a := w.commit("a")
		w.look()
		w.git("checkout", "-q", "-b", "topic")
		b := w.commit("b")
		if diff := cmp.Diff([]string{step("main", "", a, "a"), step("topic", a, b, "b")}, w.look()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("forget a deleted branch, and see it again", func(t *testing.T) {
		w := watch(t)
		a := w.commit("a")
		w.look()
		w.git("branch", "topic")
		w.look()
		w.git("branch", "-q", "-D", "topic")
		w.look()
		w.git("branch", "topic")
		if diff := cmp.Diff([]string{step("main", "", a, "a"), step("topic", a, a), step("topic", a, a)}, w.look()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("go on when the repository was made anew and the old history is gone", func(t *testing.T) {
		w := watch(t)
		a := w.commit("a")
		w.git("branch", "topic")
		w.look()
		w.init()
		b := w.commit("b")
		w.git("branch", "topic")
		want := []string{step("main", "", a, "a"), step("main", "", b, "a", "b"), step("topic", "", b, "a", "b")}
		if diff := cmp.Diff(want, w.look()); diff != "" {
			t.Error(diff)
		}
	})
}
