package manual_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func TestTheManual(t *testing.T) {
	site := uitest.New(t)
	anybody := site.Browser(t)
	book, err := docs.Load()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("every page is shown, and every link, anchor and picture in it leads somewhere", func(t *testing.T) {
		follow(t, anybody, book)
	})
	t.Run("a page has its title once, and knows its neighbours", func(t *testing.T) {
		d := anybody.Get(t, "/docs/tutorial/first-graph")
		if len(d.Find("h1")) != 1 || d.Text("h1") != "Your first graph" || d.Text("#where") != "Tutorial" {
			t.Errorf("got %q in %q", d.Text("h1"), d.Text("#where"))
		}
		if prev := d.Find(".manual-around a[rel=prev]"); len(prev) != 1 || uitest.Attr(prev[0], "href") != "/docs/tutorial/first-push" {
			t.Errorf("got %v", prev)
		}
		if now := d.Find("#manual-nav a[aria-current=page]"); len(now) != 1 || uitest.Attr(now[0], "href") != "/docs/tutorial/first-graph" {
			t.Errorf("got %v", now)
		}
	})
	t.Run("a search finds pages and methods", func(t *testing.T) {
		d := anybody.Get(t, "/docs?q="+url.QueryEscape("object ping"))
		if !strings.Contains(d.Text("#methods"), "object.ping") {
			t.Errorf("got %q", d.Text("#methods"))
		}
		d = anybody.Get(t, "/docs?q="+url.QueryEscape("behind a pooler"))
		if first := d.Find("#hits a"); len(first) == 0 || uitest.Attr(first[0], "href") != "/docs/operations/database#behind-a-pooler" || len(d.Find("#hits mark")) == 0 {
			t.Errorf("got %q", d.Text("#hits"))
		}
		if d := anybody.Get(t, "/docs?q=zzzyqx"); d.Status != http.StatusOK || !strings.Contains(d.Text("main"), "No page has all of these words") {
			t.Errorf("got %q", d.Text("main"))
		}
		if d := anybody.Get(t, "/docs?q="+strings.Repeat("x", 300)); d.Status != http.StatusBadRequest {
			t.Errorf("a long one: %d", d.Status)
		}
		if d := anybody.Get(t, "/docs?q="+url.QueryEscape(`<script>alert(1)</script>`)); strings.Contains(d.Body, "<script>alert") {
			t.Error("what was asked for stands in the page as HTML")
		}
	})
	t.Run("examples and pictures can be read", func(t *testing.T) {
		if d := anybody.Get(t, "/docs/examples/admin/admin.yml"); d.Status != http.StatusOK || d.Text("pre") == "" {
			t.Errorf("got %d", d.Status)
		}
		if d := anybody.Get(t, "/docs/examples/starlark/taskcluster"); !strings.Contains(d.Text(".entries"), "build.star") {
			t.Errorf("got %q", d.Text("main"))
		}
	})
	t.Run("in a browser: code can be copied, narrow and dark look right", func(t *testing.T) {
		tab := site.Tab(t)
		tab.Go(t, "/docs/tutorial/first-graph")
		tab.Wait(t, `document.body.dataset.ready === "true"`)
		if n := tab.Count(t, ".manual-code > button"); n == 0 {
			t.Error("no code can be copied")
		}
		tab.Inspect(t, "docs-page")
		tab.Go(t, "/docs?q=worker")
		tab.Inspect(t, "docs-search")
	})
}

// follow visits all pages, and everything on this server that they link to.
func follow(t *testing.T, b *uitest.Browser, book *docs.Manual) {
	t.Helper()
	pages := map[string]*uitest.Document{}
	get := func(path string) *uitest.Document {
		if pages[path] == nil {
			pages[path] = b.Get(t, path)
		}
		return pages[path]
	}
	for _, p := range book.Order {
		d := get(p.Address())
		if d.Status != http.StatusOK {
			t.Errorf("%s: %d", p.Address(), d.Status)
			continue
		}
		for _, h := range p.Headings {
			if !slices.Contains(idsOf(d), h.Anchor) {
				t.Errorf("%s has no #%s", p.Address(), h.Anchor)
			}
		}
		for _, a := range append(d.Find(".manual-body a"), d.Find(".manual-body img")...) {
			to := uitest.Attr(a, "href") + uitest.Attr(a, "src")
			u, err := url.Parse(to)
			if err != nil || u.Scheme != "" {
				continue // another site, which the page names
			}
			if u.Path == "" {
				u.Path = p.Address()
			}
			if !strings.HasPrefix(u.Path, "/docs") {
				t.Errorf("%s leads out of the documentation, to %s", p.Address(), to)
			}
			target := get(u.Path)
			if target.Status != http.StatusOK {
				t.Errorf("%s: %s answers %d", p.Address(), to, target.Status)
			} else if u.Fragment != "" && !slices.Contains(idsOf(target), u.Fragment) {
				t.Errorf("%s: there is no %s", p.Address(), to)
			}
		}
	}
}

var identity = regexp.MustCompile(` id="([^"]+)"`)

func idsOf(d *uitest.Document) []string {
	var ids []string
	for _, m := range identity.FindAllStringSubmatch(d.Body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}
