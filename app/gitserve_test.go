package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/localgit"
)

// serveGit serves a repository named mine with one commit, and returns the server's address; every
// caller has the scopes given as anonymous.
func serveGit(t *testing.T, anonymous []string) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "--allow-empty", "-m", "one"}} {
		runGit(t, dir, args...)
	}
	repo, err := localgit.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a, err := auth.New(t.Context(), pgtest.DB(t), auth.Config{EncryptionKey: make([]byte, 32), Log: log, StaticClients: []auth.StaticClient{
		{ClientID: "static/reader", AccessToken: "a-token-of-a-good-length", Scopes: []string{"localgit:fetch:mine"}},
		{ClientID: "static/other", AccessToken: "a-token-of-a-good-length", Scopes: []string{"localgit:fetch:theirs"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.EnsureRole(t.Context(), "anonymous", anonymous, ""); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	newGitServer(map[string]*localgit.Repo{"mine": repo}, a, log).routes(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := gitCommand(t, dir, args...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func gitCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0")
	return cmd
}

func TestFetchingNeedsItsScope(t *testing.T) {
	open, closed := serveGit(t, []string{"localgit:fetch:*"}), serveGit(t, []string{"localgit:fetch:theirs"})
	with := func(address, user string) string { return strings.Replace(address, "://", "://"+user+"@", 1) }
	for _, c := range []struct {
		name, address, repo string
		wrong               string // what git says; "" succeeds
	}{
		{"anybody where everybody may", open, "mine", ""},
		{"nobody in particular where nobody may", closed, "mine", "could not read Username"},
		{"a client with the scope", with(closed, "static%2Freader:a-token-of-a-good-length"), "mine", ""},
		{"a client with another scope", with(closed, "static%2Fother:a-token-of-a-good-length"), "mine", "Authentication failed"},
		{"a client with a wrong token", with(closed, "static%2Freader:wrong"), "mine", "Authentication failed"},
		{"a client that is not there", with(closed, "static%2Fnobody:wrong"), "mine", "Authentication failed"},
		{"a repository that is not there", open, "theirs", "not found"},
		{"one that is not there is no news to who may not ask", closed, "hidden", "could not read Username"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "clone")
			out, err := gitCommand(t, "", "clone", "-q", c.address+"/git/"+c.repo, dir).CombinedOutput()
			if (err == nil) != (c.wrong == "") || !strings.Contains(string(out), c.wrong) {
				t.Fatalf("%v: %s, want %q", err, out, c.wrong)
			}
			if err == nil {
				runGit(t, dir, "rev-parse", "--verify", "HEAD")
			}
		})
	}
	t.Run("pushing is not served", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "clone")
		runGit(t, "", "clone", "-q", open+"/git/mine", dir)
		if out, err := gitCommand(t, dir, "push", "-q", "origin", "HEAD:refs/heads/evil").CombinedOutput(); err == nil {
			t.Errorf("pushed: %s", out)
		}
	})
}
