package ghclient_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/ghfake"
)

type world struct {
	server *ghfake.Server
	app    *ghfake.App
	in     *ghfake.Installation
	repo   *ghfake.Repository
	client *ghclient.App
	forge  *ghclient.Forge
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.server, err = ghfake.Start(ghfake.Options{Dir: t.TempDir()})
	check(err)
	t.Cleanup(func() { check(w.server.Close()) })
	w.app, err = w.server.AddApp("treeline", w.server.URL()+"/nobody", "secret")
	check(err)
	w.repo, err = w.server.AddRepository("acme/app", true)
	check(err)
	w.in = w.app.Install("acme", w.repo)
	w.client, err = ghclient.New(ghclient.Config{AppID: w.app.ID, Key: w.app.PrivateKey(), API: w.server.APIURL()})
	check(err)
	w.forge = w.client.Forge(w.in.ID, "acme", "app")
	return w
}

func (w *world) push(t *testing.T, branch string, files map[string]string) string {
	t.Helper()
	sha, err := w.repo.Push("ada", branch, ghfake.Change{Files: files, Message: "change " + branch})
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

func (w *world) count(prefix string) int {
	n := 0
	for _, c := range w.server.Calls() {
		if strings.HasPrefix(c.Route, prefix) {
			n++
		}
	}
	return n
}

func TestForgeReadsARepository(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	first := w.push(t, "main", map[string]string{"a": "1", "dir/b": "2", "dir/sub/c": "3"})
	second := w.push(t, "topic/x", map[string]string{"dir/b": "22", "d": strings.Repeat("x", 2<<20)})
	heads, err := w.forge.Heads(ctx)
	if diff := cmp.Diff(map[string]string{"main": first, "topic/x": second}, heads); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if !w.forge.Has(ctx, first) || w.forge.Has(ctx, strings.Repeat("5", 40)) {
		t.Error("Has does not tell what is there")
	}
	tree, err := w.forge.Tree(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(tree, "a", "dir/b", "dir/sub/c"); err != nil {
		t.Error(err)
	}
	if _, err := tree.ReadFile("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	span, err := w.forge.Compare(ctx, first, second)
	if err != nil || len(span.Commits) != 1 || span.Base != first || cmp.Diff([]string{"d", "dir/b"}, span.Files) != "" {
		t.Errorf("%v %+v", err, span)
	}
	p, err := w.forge.Describe(ctx, second)
	if err != nil || p.Base != first || p.Message != "change topic/x" || p.Email == "" {
		t.Errorf("%v %+v", err, p)
	}
	for name, want := range map[string]int{"d": 2 << 20, "dir/b": 2, "none": 0, "dir": 0} {
		if text, err := w.forge.File(ctx, name, "topic/x"); err != nil || len(text) != want {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
}

func TestManyFilesCostFewRequests(t *testing.T) {
	w := start(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("taskcluster/kinds/k%d/kind.yml", i)] = fmt.Sprint("loader: ", i)
	}
	sha := w.push(t, "main", files)
	before := len(w.server.Calls())
	read := func(sha string) {
		t.Helper()
		tree, err := w.forge.Tree(t.Context(), sha)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Prefetch("taskcluster"); err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			if got, err := tree.ReadFile(name); err != nil || string(got) != want {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
		}
	}
	read(sha)
	if n := len(w.server.Calls()) - before; n > 3 { // a token, the tree, the archive
		t.Errorf("%d requests for a whole tree", n)
	}
	files["taskcluster/kinds/k0/kind.yml"] = "changed"
	sha = w.push(t, "main", map[string]string{"taskcluster/kinds/k0/kind.yml": "changed"})
	before = len(w.server.Calls())
	read(sha)
	if n := len(w.server.Calls()) - before; n != 2 { // the tree, and the one file
		t.Errorf("%d requests for a tree of which one file is new", n)
	}
}

func TestRolesArePermissions(t *testing.T) {
	w := start(t)
	w.server.AddUser("stranger")
	for i, role := range []string{"read", "triage", "write", "maintain", "admin"} {
		w.repo.Grant(fmt.Sprintf("p%d", i), role)
	}
	want := map[string]ghclient.Role{
		"p0": ghclient.Reads, "p1": ghclient.Triages, "p2": ghclient.Writes, "p3": ghclient.Maintains, "p4": ghclient.Administers,
		"stranger": ghclient.NoRole, "nobody": ghclient.NoRole,
	}
	for login, role := range want {
		if got, err := w.forge.RoleOf(t.Context(), login); err != nil || got != role {
			t.Errorf("%s: %v, %v", login, got, err)
		}
	}
}

func TestARevokedTokenIsReplaced(t *testing.T) {
	w := start(t)
	w.push(t, "main", map[string]string{"a": "1"})
	if _, err := w.forge.Heads(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.in.RevokeTokens()
	if _, err := w.forge.Heads(t.Context()); err == nil {
		t.Error("a fresh token that GitHub does not take is believed to be good")
	}
	if _, err := w.forge.Heads(t.Context()); err != nil {
		t.Errorf("after it was dropped: %v", err)
	}
}

func TestOnlyWhatCanBeRepeatedIsRepeated(t *testing.T) {
	w := start(t)
	sha := w.push(t, "main", map[string]string{"a": "1"})
	c := w.client.Installation(w.in.ID)
	if _, err := w.forge.Heads(t.Context()); err != nil { // takes a token
		t.Fatal(err)
	}
	w.server.FailNext(2, 502)
	if _, err := w.forge.Heads(t.Context()); err != nil {
		t.Errorf("reading through two failures: %v", err)
	}
	before := w.count("POST /repos/{owner}/{repo}/statuses")
	w.server.FailNextAfter(1, 502)
	_, _, err := c.Repositories.CreateStatus(t.Context(), "acme", "app", sha, &github.RepoStatus{State: github.String("pending"), Context: github.String("x")})
	if n := w.count("POST /repos/{owner}/{repo}/statuses") - before; n != 1 || ghclient.Status(err) != 502 {
		t.Errorf("a write whose answer was lost was sent %d times: %v", n, err)
	}
}

func TestAllFormsOfLimitsAreTold(t *testing.T) {
	for name, limit := range map[string]func(w *world){
		"primary with 403":          func(w *world) { w.in.LimitRequests(0, time.Now().Add(time.Minute), false) },
		"primary with 429":          func(w *world) { w.in.LimitRequests(0, time.Now().Add(time.Minute), true) },
		"secondary":                 func(w *world) { w.server.SecondaryLimit(time.Minute, false) },
		"secondary without headers": func(w *world) { w.server.SecondaryLimit(time.Minute, true) },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.push(t, "main", map[string]string{"a": "1"})
			if _, err := w.forge.Heads(t.Context()); err != nil {
				t.Fatal(err)
			}
			limit(w)
			_, err := w.forge.Heads(t.Context())
			wait, ok := ghclient.Limited(err, time.Now())
			if !ok || wait < 50*time.Second || wait > 70*time.Second {
				t.Errorf("%v, %v of %v", wait, ok, err)
			}
		})
	}
}

func TestErrorsRepeatNoSecret(t *testing.T) {
	w := start(t)
	w.in.Suspend()
	_, err := w.forge.Heads(t.Context())
	if ghclient.Status(err) != 403 {
		t.Errorf("%v", err)
	}
	if _, err := ghclient.New(ghclient.Config{AppID: 1, Key: []byte("very secret")}); err == nil || strings.Contains(err.Error(), "very secret") {
		t.Errorf("%v", err)
	}
	if _, err := ghclient.New(ghclient.Config{AppID: 1, Key: []byte(strings.ReplaceAll(string(w.app.PrivateKey()), "\n", `\n`))}); err != nil {
		t.Errorf("a key on one line: %v", err)
	}
}
