package indexpages_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/indexpages"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func put(t *testing.T, s *uitest.Site, path, id string, rank float64) {
	t.Helper()
	e := index.Entry{Namespace: path, TaskID: id, Rank: rank, Data: json.RawMessage(`{"build": {"number": 42, "flags": ["opt", "asan"]}}`), Expires: time.Now().Add(time.Hour)}
	if _, err := s.Index.Insert(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func TestIndexPages(t *testing.T) {
	site := uitest.New(t)
	b := site.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	first, second := site.Task(t, task.Running, uitest.Named("build-one")), site.Task(t, task.Running, uitest.Named("build-two"))
	for _, id := range []string{first, second} {
		site.Artifact(t, id, "public/target.txt", "text/plain", "made by "+id)
		site.Artifact(t, id, "public/a b/%2F..//?x#.txt", "text/plain", "odd "+id)
	}
	put(t, site, "web.v1.latest.linux", first, 1)

	t.Run("columns from the root, with counts", func(t *testing.T) {
		put(t, site, "web.v1.latest.mac", second, 1)
		d := b.Get(t, "/tasks/index/web.v1")
		if got := d.Text(".index-column"); got != "web 1 ▸\nv1 1 ▸\nlatest 2 •" {
			t.Errorf("got %q", got)
		}
		if got := b.Get(t, "/tasks/index/web.v1.latest?q=li").Text("#entries tbody code"); !strings.HasPrefix(got, "linux\n") || strings.Contains(got, "mac") {
			t.Errorf("got %q", got)
		}
		if d := b.Get(t, "/tasks/index?jump=index.web.v1.latest.linux"); d.URL.Path != "/tasks/index/web.v1.latest/linux" {
			t.Errorf("got %s", d.URL)
		}
	})
	t.Run("an entry: where it leads, its data, what stood there before", func(t *testing.T) {
		put(t, site, "web.v1.latest.linux", second, 2)
		d := b.Get(t, "/tasks/index/web.v1.latest/linux")
		for selector, want := range map[string]string{"#rank": "2", "h1": "web.v1.latest.linux", "#former tbody a": "build-one\n" + second} {
			if got := d.Text(selector); got != want {
				t.Errorf("%s: got %q, want %q", selector, got, want)
			}
		}
		if !strings.Contains(d.Body, "number") || !strings.Contains(d.Text("#artifacts"), "public/target.txt") {
			t.Error("data or artifacts are missing")
		}
	})
	t.Run("the latest is the latest, kept by nobody", func(t *testing.T) {
		for _, id := range []string{second, first} {
			put(t, site, "web.v1.latest.linux", id, 3)
			d := b.Get(t, "/latest/web.v1.latest.linux/public/target.txt")
			if d.Body != "made by "+id {
				t.Errorf("got %q, want that of %s", d.Body, id)
			}
			if d := b.Get(t, "/latest/web.v1.latest.linux"); d.URL.Path != "/tasks/"+id {
				t.Errorf("got %s", d.URL)
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/latest/web.v1.latest.linux/public/target.txt", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("Cache-Control"); resp.StatusCode != http.StatusSeeOther || got != "no-store" {
			t.Errorf("got %d, %q", resp.StatusCode, got)
		}
	})
	t.Run("names round-trip through addresses", func(t *testing.T) {
		for _, word := range []string{"a%2Fb", "50%25", "it's", "(x)", "~", "tail*", "!", "%C3%BC"} {
			path := "odd." + word + "." + word
			put(t, site, path, first, 1)
			d := b.Get(t, "/tasks/index/odd."+url.PathEscape(word))
			links := d.Find("#entries tbody a")
			if len(links) == 0 {
				t.Errorf("%s: there is no entry", word)
				continue
			}
			if got := b.Get(t, uitest.Attr(links[0], "href")).Text("h1"); got != path {
				t.Errorf("got %q, want %q", got, path)
			}
			if got := b.Get(t, "/latest/"+url.PathEscape(path)).URL.Path; got != "/tasks/"+first {
				t.Errorf("%s: the latest is %s", path, got)
			}
		}
		for _, name := range []string{"public/a b/%2F..//?x#.txt", "public/target.txt"} {
			d := b.Get(t, indexpages.PreviewPath(first, -1, name))
			if d.Text("h1") != name {
				t.Errorf("got %d %q, want %q", d.Status, d.Text("h1"), name)
			}
			if got := b.Get(t, uitest.Attr(d.Find("#download")[0], "href")); !strings.Contains(got.Body, first) {
				t.Errorf("%s: the download is %d %q", name, got.Status, got.Body)
			}
		}
	})
	t.Run("what is not there, and what one may not see", func(t *testing.T) {
		for path, want := range map[string]int{"/tasks/index/web/nothing": 404, "/latest/web.nothing": 404, "/tasks/" + first + "/artifacts/public/none": 404, "/tasks/" + slug.New() + "/artifacts/x": 404, "/tasks/index/a..b": 400} {
			if got := b.Get(t, path).Status; got != want {
				t.Errorf("%s: got %d, want %d", path, got, want)
			}
		}
		site.Artifact(t, first, "private/key.txt", "text/plain", "for few eyes")
		visitor := site.Browser(t)
		for _, path := range []string{"/tasks/" + first + "/artifacts/private/key.txt", "/ui/artifact/" + first + "/0/private/key.txt", "/tasks/" + first + "/artifacts/private/none.txt"} {
			if d := visitor.Get(t, path); d.Status != http.StatusForbidden || strings.Contains(d.Body, "few eyes") {
				t.Errorf("%s: got %d", path, d.Status)
			}
		}
	})
}

// TestIndexOfAHundredThousand is a namespace with 100,000 namespaces and as many tasks in it.
func TestIndexOfAHundredThousand(t *testing.T) {
	site := uitest.New(t)
	_, err := site.Pool.Exec(t.Context(), `
		INSERT INTO indexed_tasks (namespace, name, task_id, rank, data, expires)
		SELECT 'huge', 'task-' || lpad(i::text, 6, '0'), 'A', 1, '{}', now() + interval '1 day' FROM generate_series(1, 100000) i`)
	if err == nil {
		_, err = site.Pool.Exec(t.Context(), `
		INSERT INTO index_namespaces (parent, name, expires) SELECT 'huge', 'space-' || lpad(i::text, 6, '0'), now() + interval '1 day' FROM generate_series(1, 100000) i`)
	}
	if err == nil {
		_, err = site.Pool.Exec(t.Context(), `INSERT INTO index_namespaces (parent, name, expires) VALUES ('', 'huge', now() + interval '1 day')`)
	}
	if err == nil { // what the planner knows then misleads it most
		_, err = site.Pool.Exec(t.Context(), `ANALYZE indexed_tasks, index_namespaces`)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := site.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	timed := func(path string) *uitest.Document {
		t.Helper()
		began := time.Now()
		d := b.Get(t, path)
		took := time.Since(began)
		t.Logf("%s: %v", path, took.Round(time.Millisecond))
		if d.Status != http.StatusOK || took > 2*time.Second { // 1 s, twice on a shared machine
			t.Errorf("%s: %d in %v", path, d.Status, took)
		}
		return d
	}
	if got := timed("/tasks/index").Text(".index-column li"); got != "huge 1000+ ▸ 1000+ •" {
		t.Errorf("got %q", got)
	}
	d := timed("/tasks/index/huge")
	if got := len(d.Find("#entries tbody tr")); got != 100 {
		t.Errorf("the first page has %d tasks", got)
	}
	d = timed("/tasks/index/huge?q=task-0999")
	if got := len(d.Find("#entries tbody tr")); got != 100 || !strings.Contains(d.Body, "task-099900") || strings.Contains(d.Body, "space-") {
		t.Errorf("filtered: %d tasks", got)
	}
	next := uitest.Attr(b.Get(t, "/tasks/index/huge").Find(".more")[0], "href")
	d = timed(next)
	if got := d.Text(".index-column li"); !strings.Contains(got, "space-000101") || strings.Contains(got, "space-000100") {
		t.Errorf("the next page: %.80q", got)
	}
	d = timed(uitest.Attr(d.Find("#entries [rel=next]")[0], "href"))
	if !strings.Contains(d.Text("#entries"), "task-000101") {
		t.Error("the next page of tasks")
	}
}

func TestPreviews(t *testing.T) {
	site := uitest.New(t)
	b := site.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	id := site.Task(t, task.Running)
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for i := range 1100 {
		f, err := w.Create(fmt.Sprintf("dir/file-%04d.txt", i))
		if err == nil {
			_, err = io.WriteString(f, "content")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789abcde\n", 64<<10) // 1 MB
	artifacts := []struct{ name, contentType, content, kind, text string }{
		{"public/a.txt", "text/plain", "plain <b>text</b>", "text", "plain &lt;b&gt;text&lt;/b&gt;"},
		{"public/a.json", "application/json", `{"zeta": 1, "alpha": [true, null, "<i>"]}`, "json", "&lt;i&gt;"},
		{"public/bad.json", "application/json", `{"broken": `, "text", "broken"},
		{"public/a.png", "image/png", "\x89PNG\r\n\x1a\n", "image", `<img class="picture"`},
		{"public/report.html", "text/html", "<h1>hi</h1>", "html", `sandbox="allow-scripts"`},
		{"public/a.zip", "application/zip", packed.String(), "zip", "1100 files"},
		{"public/fake.zip", "application/zip", "this is no archive", "none", "cannot be read as one"},
		{"public/core", "application/octet-stream", "\x00\x01", "none", "no preview of this type"},
		{"public/binary.txt", "text/plain", "\x00\x01\x02", "none", "called a text and is none"},
		{"public/big.txt", "text/plain", big, "text", "This is the beginning"},
	}
	for _, a := range artifacts {
		site.Publish(t, id, a.name, a.contentType, strings.NewReader(a.content))
		d := b.Get(t, "/tasks/"+id+"/artifacts/"+a.name)
		preview := d.Find("#preview")
		if d.Status != http.StatusOK || len(preview) != 1 || uitest.Attr(preview[0], "data-kind") != a.kind || !strings.Contains(d.Body, a.text) {
			t.Errorf("%s: got %d, %v", a.name, d.Status, d.Text("#preview"))
		}
	}
	t.Run("what a page needs is served into a sandbox", func(t *testing.T) {
		for _, name := range []string{"public/report.html", "public/a.txt", "public/a.png"} {
			h := b.Get(t, "/ui/artifact/"+id+"/0/"+name).Header
			if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox allow-scripts;") || !strings.Contains(csp, "connect-src 'none'") || strings.Contains(csp, "allow-same-origin") {
				t.Errorf("%s: %q", name, csp)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: types are guessed", name)
			}
		}
	})
	t.Run("a part of a download", func(t *testing.T) {
		got := b.Part(t, "/tasks/"+id+"/runs/0/public/big.txt", "bytes=1048560-1048575")
		if diff := cmp.Diff("0123456789abcde\n", got.Body); diff != "" || got.Status != http.StatusPartialContent {
			t.Error(got.Status, diff)
		}
	})
}
