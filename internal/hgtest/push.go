package hgtest

import (
	_ "embed"
	"os"
	"path/filepath"
	"testing"
)

//go:embed pushlog.py
var pushlog []byte

// Pushable are options of Serve with which everybody may push.
func Pushable() []string {
	return []string{"--config", "web.push_ssl=false", "--config", "web.allow_push=*"}
}

// Pushlog are options of Serve with which the server keeps a pushlog and answers json-pushes.
func Pushlog(t testing.TB) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pushlog.py")
	if err := os.WriteFile(name, pushlog, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", "extensions.pushlog=" + name}
}

// Clone makes a clone of what a server has, in which to make the changesets that are pushed to it.
func (s *Server) Clone() *Repo {
	s.t.Helper()
	r := &Repo{t: s.t, Dir: filepath.Join(s.t.TempDir(), "clone")}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	r.Run("clone", "-q", s.URL, ".")
	return r
}

// Push pushes to a server, new heads and branches too. That there are no new changesets is fine: there may be
// bookmarks.
func (r *Repo) Push(s *Server, args ...string) {
	r.t.Helper()
	cmd := command(r.t.Context(), r.Dir, append([]string{"push", "-q", "--force", "--new-branch", s.URL}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		r.t.Fatalf("hg push: %v\n%s", err, out)
	}
}

// Tip is the changeset that is checked out.
func (r *Repo) Tip() string {
	r.t.Helper()
	return r.Run("log", "-r", ".", "-T", "{node}")
}
