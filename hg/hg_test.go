package hg_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/hgtest"
)

func open(t *testing.T, url string, o hg.Options) *hg.Repo {
	t.Helper()
	r, err := hg.Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var files = map[string]string{
	".taskcluster.yml": "version: 1\n", "taskcluster/config.yml": "trust-domain: x\n", "taskcluster/kinds/build/kind.yml": "tasks: {}\n",
	"taskcluster/kinds/alone/deep/er/file": "deep\n", "taskcluster/docker/image/run*": "#!/bin/sh\n", "README with space & more": "hello\n", "taskcluster/empty": "",
}

func TestHeads(t *testing.T) {
	repo := hgtest.Init(t, "mine")
	s := repo.Serve()
	r := open(t, s.URL, hg.Options{})
	if heads, err := r.Heads(t.Context()); err != nil || len(heads) != 0 {
		t.Errorf("an empty repository: %v, %v", heads, err)
	}
	first := repo.Commit("one", map[string]string{"a": "1"})
	repo.Run("bookmark", "main")
	repo.Run("branch", "a branch/of mine")
	second := repo.Commit("two", map[string]string{"a": "2"})
	repo.Run("update", "-q", "default")
	repo.Run("branch", "-f", "old")
	third := repo.Commit("three", map[string]string{"b": "1"})
	repo.Run("commit", "--close-branch", "-m", "done with it")
	repo.Run("bookmark", "-r", first, "-f", "default2")
	heads, err := r.Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The bookmark main was active, so it moved on with the second.
	if diff := cmp.Diff(map[string]string{"default": first, "a branch/of mine": second, "main": second, "default2": first}, heads); diff != "" {
		t.Error(diff)
	}
	if !r.Has(t.Context(), third) || r.Has(t.Context(), strings.Repeat("5", 40)) || r.Has(t.Context(), "default") {
		t.Error("Has is wrong about a changeset that is there, one that is not, or a name")
	}
}

func TestTheFilesOfARevision(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"one by one", nil},
		{"in an archive", []string{"--config", "web.allow-archive=gz"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo := hgtest.Init(t, "mine")
			if err := os.Symlink("taskcluster/config.yml", filepath.Join(repo.Dir, "link")); err != nil {
				t.Fatal(err)
			}
			old := repo.Commit("one", files)
			repo.Commit("two", map[string]string{"taskcluster/config.yml": "other\n", "new": "new\n"})
			r := open(t, repo.Serve(c.args...).URL, hg.Options{})
			tree, err := r.Tree(t.Context(), old)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.Prefetch("taskcluster", ".taskcluster.yml", "nowhere"); err != nil {
				t.Fatal(err)
			}
			names := []string{"link"}
			for name, content := range files {
				name = strings.TrimSuffix(name, "*")
				names = append(names, name)
				if got, err := fs.ReadFile(tree, name); err != nil || string(got) != content {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
			if err := fstest.TestFS(tree, names...); err != nil {
				t.Error(err)
			}
			if info, err := tree.Stat("taskcluster/docker/image/run"); err != nil || info.Mode() != 0o755 {
				t.Errorf("%v, %v", info, err)
			}
			if info, err := tree.Stat("link"); err != nil || info.Mode().Type() != fs.ModeSymlink {
				t.Errorf("%v, %v", info, err)
			}
			if got, err := tree.ReadFile("link"); err != nil || string(got) != "taskcluster/config.yml" {
				t.Errorf("%q, %v", got, err)
			}
			for _, name := range []string{"new", "taskcluster/none", "none/at/all", "taskcluster/config.yml/below"} {
				if _, err := tree.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := tree.ReadFile("taskcluster"); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a directory read as a file: %v", err)
			}
			if _, err := r.Tree(t.Context(), strings.Repeat("5", 40)); !errors.Is(err, fault.NotFound) {
				t.Errorf("%v", err)
			}
			if _, err := r.Tree(t.Context(), "tip"); !errors.Is(err, fault.Invalid) {
				t.Errorf("a name moves: %v", err)
			}
		})
	}
}

func TestWhatAChangesetIs(t *testing.T) {
	repo := hgtest.Init(t, "mine")
	first := repo.Commit("one", map[string]string{"a": "1"})
	second := repo.Commit("Add two\n\nand more", map[string]string{"a": strings.Repeat("line\n", 100000), "dir/b": "1"})
	r := open(t, repo.Serve().URL, hg.Options{})
	got, err := r.Describe(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(got.Time) > time.Hour {
		t.Errorf("made at %v", got.Time)
	}
	got.Time = time.Time{}
	want := hg.Changeset{Node: second, Author: "Ada Lovelace", Email: "ada@example.com", Message: "Add two\n\nand more", Base: first, Files: []string{"a", "dir/b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := r.Describe(t.Context(), first); err != nil || got.Base != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.Describe(t.Context(), strings.Repeat("5", 40)); err == nil {
		t.Error("nothing is described")
	}
}

// A server with a pushlog is one of Mozilla's; its answers are of the form that vcs-integration 2.2 has.
func TestAPushlogTellsWhichPushItWas(t *testing.T) {
	node, base := strings.Repeat("a", 40), strings.Repeat("b", 40)
	r := open(t, fake(t, map[string]string{
		"/repo/json-rev/" + node: `{"node": "` + node + `", "date": [1700000000.0, 0], "desc": "m", "user": "ada@example.com", "parents": ["` + strings.Repeat("c", 40) + `"], "files": [{"file": "z", "status": "modified"}], "diff": [`,
		"/repo/json-pushes": `{"lastpushid": 9, "pushes": {"7": {"date": 1700000100, "user": "sheriff@example.com", "changesets": [
			{"node": "` + strings.Repeat("c", 40) + `", "parents": ["` + base + `"], "files": ["y", "x"]}, {"node": "` + node + `", "parents": ["` + strings.Repeat("c", 40) + `"], "files": ["z", "x"]}]}}}`,
	})+"/repo/", hg.Options{})
	got, err := r.Describe(t.Context(), node)
	want := hg.Changeset{Node: node, Author: "ada", Email: "ada@example.com", Message: "m", Time: time.Unix(1700000100, 0).UTC(), Base: base, Files: []string{"x", "y", "z"}, PushID: 7}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
}

// fake answers with what stands at each path.
func fake(t *testing.T, pages map[string]string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestServersThatMisbehave(t *testing.T) {
	node := strings.Repeat("a", 40)
	var asked atomic.Int64
	handlers := map[string]http.HandlerFunc{
		"says it is broken":  func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(http.StatusBadGateway) },
		"is none":            func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome</html>") },
		"redirects for ever": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"redirects elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/x", http.StatusFound)
		},
		"never ends": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			r := open(t, s.URL, hg.Options{Timeout: 300 * time.Millisecond})
			if _, err := r.Heads(t.Context()); !errors.Is(err, fault.Unavailable) {
				t.Errorf("heads: %v", err)
			}
			if _, err := r.Tree(t.Context(), node); !errors.Is(err, fault.Unavailable) {
				t.Errorf("tree: %v", err)
			}
			if r.Has(t.Context(), node) {
				t.Error("it has something")
			}
		})
	}
	if asked.Load() < 3 {
		t.Errorf("a broken server was asked %d times", asked.Load())
	}
	t.Run("lists what is too large", func(t *testing.T) {
		r := open(t, fake(t, map[string]string{
			"/json-manifest/" + node:     `{"directories": [{"basename": "../up"}], "files": [{"basename": "big", "size": 99999999, "flags": ""}, {"basename": "lie", "size": 3, "flags": ""}]}`,
			"/raw-file/" + node + "/lie": strings.Repeat("x", 17<<20),
		}), hg.Options{})
		tree, err := r.Tree(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"big", "lie"} {
			if _, err := tree.ReadFile(name); !errors.Is(err, fault.TooLarge) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := tree.ReadDir("."); err != nil || len(list) != 2 {
			t.Errorf("%v, %v: a name leads out of the tree", list, err)
		}
	})
	t.Run("is not one to wait for", func(t *testing.T) {
		s := httptest.NewServer(handlers["never ends"])
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := open(t, s.URL, hg.Options{}).Heads(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") }))
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	known := x509.NewCertPool()
	known.AddCert(s.Certificate())
	sum := sha256.Sum256(s.Certificate().Raw)
	pin := strings.ToUpper(strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":"), ":"))
	wrong := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("other")))
	for _, c := range []struct {
		name string
		o    hg.Options
		fine bool
	}{
		{"nobody trusts it", hg.Options{}, false},
		{"its issuer is trusted", hg.Options{RootCAs: known}, true},
		{"it is the expected one", hg.Options{Fingerprints: []string{wrong, "sha256:" + pin}}, true},
		{"it is not the expected one", hg.Options{RootCAs: known, Fingerprints: []string{wrong}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(t, s.URL, c.o).Heads(t.Context())
			if c.fine != (err == nil) {
				t.Error(err)
			}
			if !c.fine && !errors.Is(err, fault.Unavailable) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{RootCAs: known, ServerName: "example.com"}); err != nil {
		t.Error(err)
	}
	for _, address := range []string{"", "hg.example.com/x", "ssh://hg.example.com/x", "https://", "https://x/y?z"} {
		if _, err := hg.Open(address, hg.Options{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := hg.Open("https://x", hg.Options{Fingerprints: []string{"12"}}); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
