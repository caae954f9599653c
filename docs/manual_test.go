package docs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs"
)

func TestTheProgramCarriesThePages(t *testing.T) {
	m, err := docs.Load()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("sections and their pages are those of the index", func(t *testing.T) {
		var titles []string
		for _, s := range m.Sections {
			titles = append(titles, s.Title)
			if len(s.Groups) == 0 {
				t.Errorf("%s has no pages", s.Title)
			}
		}
		if !slices.Equal(titles, []string{"Tutorial", "How to", "Reference", "Explanation", "Operations"}) {
			t.Errorf("got %q", titles)
		}
	})
	t.Run("the index names every page", func(t *testing.T) {
		for _, p := range m.Order[1:] {
			if p.Section == "" {
				t.Errorf("docs/README.md does not list %s.md", p.Name)
			}
		}
	})
	t.Run("a page is found by its name, with or without its directory", func(t *testing.T) {
		for _, name := range []string{"tutorial/first-push", "tutorial/first-push.md", "first-push"} {
			if p, ok := m.Page(name); !ok || p.Title != "Your first push" || p.Address() != "/docs/tutorial/first-push" {
				t.Errorf("%s: got %+v", name, p)
			}
		}
		for _, name := range []string{"hooks", "nothing", ""} { // there are two of hooks
			if p, ok := m.Page(name); ok {
				t.Errorf("%s: got %s", name, p.Name)
			}
		}
	})
	t.Run("every page has one before and one after, but for the ends", func(t *testing.T) {
		at, seen := m.Order[0], 1
		for {
			_, next := m.Around(at)
			if next == nil {
				break
			}
			if before, _ := m.Around(next); before != at {
				t.Fatalf("before %s stands %v", next.Name, before)
			}
			at, seen = next, seen+1
		}
		if seen != len(m.Order) {
			t.Errorf("%d of %d pages were passed", seen, len(m.Order))
		}
	})
}

func TestSearch(t *testing.T) {
	m, err := docs.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ query, page, anchor string }{
		{"first push", "tutorial/first-push", ""},
		{"matrix transform", "reference/keys-of-transforms", "matrix"},
		{"skip-unless-changed", "reference/optimization", ""},
		{"why-not", "how-to/explain-a-task", ""},
		{"harden worker", "how-to/harden-a-worker", ""},
		{"pgbouncer", "operations/database", "behind-a-pooler"},
		{"mercur", "explanation/mercurial", ""},
		{"createTask", "reference/api/queue", ""},
	} {
		hits := m.Search(c.query, 5)
		if !slices.ContainsFunc(hits, func(h docs.Hit) bool {
			return h.Page.Name == c.page && (c.anchor == "" || h.Anchor == c.anchor)
		}) {
			var got []string
			for _, h := range hits {
				got = append(got, h.Address())
			}
			t.Errorf("%s: got %q", c.query, got)
		}
	}
	for query, want := range map[string]string{
		"hook": "how-to/fire-a-hook", "worker pool": "reference/worker-pools", "secret": "how-to/use-a-secret", "backup": "operations/backup", "notify": "reference/notify",
		"createTask": "reference/api/queue#createtask", "auth_roles": "reference/tables#auth_roles", "group list": "reference/command-line#treeline-group-list",
	} {
		if hits := m.Search(query, 1); len(hits) == 0 || hits[0].Address() != "/docs/"+want {
			t.Errorf("%s: the first is %v, want %s", query, hits, want)
		}
	}
	t.Run("marks stand where the words are", func(t *testing.T) {
		for _, h := range m.Search("synchronous_commit fsync", 3) {
			if len(h.Marks) == 0 {
				t.Errorf("%s has no marks", h.Address())
			}
			for _, k := range h.Marks {
				if w := strings.ToLower(h.Excerpt[k[0]:k[1]]); w != "synchronous_commit" && w != "fsync" {
					t.Errorf("%s marks %q", h.Address(), w)
				}
			}
		}
	})
	t.Run("words that are nowhere find nothing", func(t *testing.T) {
		for _, q := range []string{"", "  ", "zzzyqx", "push zzzyqx", "---"} {
			if hits := m.Search(q, 5); len(hits) != 0 {
				t.Errorf("%q: %d hits", q, len(hits))
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := docs.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	m, err := docs.Load()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Search("worker pool c", 40)
	}
}

func TestTextForTerminals(t *testing.T) {
	m, err := docs.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Order {
		text := p.Text(nil)
		title, _, _ := strings.Cut(text, "\n")
		if title != p.Title {
			t.Errorf("%s begins with %q", p.Name, title)
		}
		for _, mark := range []string{"](", "<!--", "\n|", "\n```"} {
			if strings.Contains(text, mark) {
				t.Errorf("%s has %q in it", p.Name, mark)
			}
		}
	}
	p, _ := m.Page("tutorial/first-push")
	if text := p.Text(func(s string) string { return "<" + s + ">" }); !strings.Contains(text, "<1. Start>") || !strings.Contains(text, "(how-to/watch-a-repository)") {
		t.Error(text)
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct{ page, link, want string }{
		{"README", "how-to/github.md", "/docs/how-to/github"},
		{"how-to/github", "../reference/kinds.md#matrix", "/docs/reference/kinds#matrix"},
		{"how-to/github", "github-buttons.md", "/docs/how-to/github-buttons"},
		{"how-to/github", "#roles", "#roles"},
		{"how-to/github", "../README.md", "/docs"},
		{"how-to/github", "../examples/admin/admin.yml", "/docs/examples/admin/admin.yml"},
		{"pictures", "images/task-dark.webp", "/docs/images/task-dark.webp"},
		{"how-to/github", "../../CHANGELOG.md", docs.Repository + "CHANGELOG.md"},
		{"how-to/github", "https://example.com/a.md", "https://example.com/a.md"},
	} {
		p := docs.Page{Name: c.page}
		if got := p.Target(c.link); got != c.want {
			t.Errorf("%s: %s: got %s, want %s", c.page, c.link, got, c.want)
		}
	}
}
