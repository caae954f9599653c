package hg_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/fault"
)

// TestAnswersAreBounded asks servers for their refs and their pushlog that mean no good.
func TestAnswersAreBounded(t *testing.T) {
	node := strings.Repeat("a", 40)
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.CopyN(z, zeros{}, 40<<20); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	bomb := packed.Bytes()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"a flood of headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 5000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		}, fault.Unavailable},
		"an answer that drips": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, fault.Unavailable},
		"an answer that breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"lastpushid": 1`)
		}, fault.Unavailable},
		"a bomb of gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb) // the reader is gone by then
		}, fault.TooLarge},
		"a redirect to another port": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		}, fault.Unavailable},
		"a redirect to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, fault.Unavailable},
		"a page of a proxy":                 {text("<html>sign in</html>"), fault.Unavailable},
		"a push that is none":               {text(`{"lastpushid": 3, "pushes": {"x": {"changesets": [], "date": 1, "user": "a"}}}`), fault.Unavailable},
		"a push that was not asked for":     {text(`{"lastpushid": 3, "pushes": {"999": {"changesets": [], "date": 1, "user": "a"}}}`), fault.Unavailable},
		"a changeset that is none":          {text(`{"lastpushid": 3, "pushes": {"1": {"changesets": ["../../x"], "date": 1, "user": "a"}}}`), fault.Unavailable},
		"a date beyond all time":            {text(`{"lastpushid": 3, "pushes": {"1": {"changesets": [], "date": 1e300, "user": "a"}}}`), fault.Unavailable},
		"no lastpushid":                     {text(`{"1": {"changesets": []}}`), fault.Unavailable},
		"more changesets than there can be": {text(`{"lastpushid": 3, "pushes": {"1": {"changesets": [` + strings.Repeat(`"`+node+`",`, 200_000) + `"` + node + `"], "date": 1, "user": "a"}}}`), fault.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			limit := 20 * time.Second
			if name == "an answer that drips" {
				limit = 2 * time.Second
			}
			r := open(t, s.URL, hg.Options{Timeout: limit})
			began := time.Now()
			if _, _, _, err := r.Pushes(t.Context(), 0, ""); !errors.Is(err, c.want) {
				t.Errorf("the pushlog: %v", err)
			}
			if _, _, _, err := r.Refs(t.Context(), ""); err == nil {
				t.Error("it has refs")
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it takes %v", took)
			}
		})
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect led to another service")
	}
}

func TestBombsOfArchives(t *testing.T) {
	node := strings.Repeat("a", 40)
	archive := func(fill func(w *tar.Writer) error) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		if err := errors.Join(fill(w), w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, fill := range map[string]func(w *tar.Writer) error{
		"of files": func(w *tar.Writer) (err error) {
			for i := range 100_010 {
				err = errors.Join(err, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("x/taskcluster/%d", i), Typeflag: tar.TypeReg}))
			}
			return err
		},
		"of zeros": func(w *tar.Writer) error {
			err := w.WriteHeader(&tar.Header{Name: "x/taskcluster/zeros", Typeflag: tar.TypeReg, Size: 100 << 20, Mode: 0o644})
			_, more := io.CopyN(w, zeros{}, 100<<20)
			return errors.Join(err, more)
		},
		"of directories": func(w *tar.Writer) error {
			return w.WriteHeader(&tar.Header{Name: "x/taskcluster/" + strings.Repeat("d/", 3000) + "f", Typeflag: tar.TypeReg, Format: tar.FormatPAX})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bomb := archive(fill)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/archive/" + node + ".tar.gz/taskcluster":
					_, _ = w.Write(bomb) // the reader may go
				case "/json-manifest/" + node:
					fmt.Fprint(w, `{"directories": [{"basename": "taskcluster"}], "files": []}`)
				case "/json-manifest/" + node + "/taskcluster":
					fmt.Fprint(w, `{"directories": [], "files": [{"basename": "config.yml", "size": 3, "flags": ""}]}`)
				case "/raw-file/" + node + "/taskcluster/config.yml":
					fmt.Fprint(w, "a: 1")
				default:
					w.WriteHeader(http.StatusNotFound)
				}
			}))
			defer s.Close()
			tree, err := open(t, s.URL, hg.Options{}).Tree(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.Prefetch("taskcluster"); err != nil {
				t.Fatal(err)
			}
			if list, err := tree.ReadDir("taskcluster"); err != nil || len(list) != 1 { // the archive is left alone
				t.Errorf("%d files, %v", len(list), err)
			}
			if text, err := tree.ReadFile("taskcluster/config.yml"); err != nil || string(text) != "a: 1" {
				t.Errorf("%q %v", text, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestContentsAreRemembered reads a revision twice, as a push and its decision do.
func TestContentsAreRemembered(t *testing.T) {
	node := strings.Repeat("a", 40)
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasPrefix(r.URL.Path, "/json-manifest") {
			fmt.Fprint(w, `{"directories": [], "files": [{"basename": "a", "size": 3000, "flags": ""}, {"basename": "b", "size": 3000, "flags": ""}]}`)
			return
		}
		fmt.Fprint(w, strings.Repeat("x", 3000))
	}))
	defer s.Close()
	for keep, want := range map[int64]int64{0: 6, 100_000: 3, 4000: 6} {
		servers := hg.NewServers(keep)
		repo, err := servers.Open(s.URL, hg.Options{})
		if err != nil {
			t.Fatal(err)
		}
		asked.Store(0)
		for range 2 {
			tree, err := repo.Tree(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "b"} {
				if text, err := tree.ReadFile(name); err != nil || len(text) != 3000 {
					t.Fatal(len(text), err)
				}
			}
		}
		if asked.Load() != want {
			t.Errorf("keeping %d bytes, %d requests, want %d", keep, asked.Load(), want)
		}
	}
}

// TestTheAnswersOfMozillasPushlog reads answers that were captured from the extension of hg.mozilla.org.
func TestTheAnswersOfMozillasPushlog(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("startID") == "99":
			fmt.Fprint(w, read("pushlog-beyond.json"))
		case r.URL.Query().Has("full"):
			fmt.Fprint(w, read("pushlog-full.json"))
		default:
			fmt.Fprint(w, read("pushlog.json"))
		}
	}))
	defer s.Close()
	r := open(t, s.URL, hg.Options{})
	page, _, _, err := r.Pushes(t.Context(), 0, "")
	if err != nil || page.Last != 4 || len(page.Pushes) != 2 {
		t.Fatalf("%+v %v", page, err)
	}
	if err := r.Fill(t.Context(), page.Pushes); err != nil {
		t.Fatal(err)
	}
	p := page.Pushes[1]
	got := fmt.Sprint(p.ID, p.User, p.Time.Unix(), p.Nodes, p.Changesets[1].Message, p.Changesets[1].Parents, p.Changesets[1].Files, p.Changesets[1].Email, page.Pushes[0].Changesets[0].Parents)
	want := "2server@example.com1795253219[173cbfb14c713701570473c74dd5c3d7db10b6f7 25c4debda9687cad64629d53e58d0678de7b3991]Bug 2 - c2[173cbfb14c713701570473c74dd5c3d7db10b6f7][a]carol@example.com[]"
	if diff := cmp.Diff(strings.ReplaceAll(want, " ", ""), strings.ReplaceAll(got, " ", "")); diff != "" {
		t.Error(diff)
	}
	if page, _, _, err = r.Pushes(t.Context(), 99, ""); err != nil || page.Last != 4 || page.To != 99 || len(page.Pushes) != 0 {
		t.Errorf("%+v %v", page, err)
	}
}
