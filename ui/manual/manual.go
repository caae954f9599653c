// Package manual shows the documentation that the program carries: pages with their places in it, a search over all of
// them, and the files that pages show and refer to.
package manual

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/docs"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/find"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are the pages of the documentation. They are safe for concurrent use.
type Pages struct {
	// Methods are the methods of the API that a search finds, n at most; nil: the search is over pages alone.
	Methods func(v *page.Visit, query string, n int) ([]find.Hit, error)

	manual *docs.Manual
	bodies sync.Map // *docs.Page to template.HTML
}

// Register adds the pages to a kit. Each has its address by name, so that those of the API's reference stay theirs.
func (ps *Pages) Register(k *page.Kit) error {
	var err error
	if ps.manual, err = docs.Load(); err != nil {
		return fmt.Errorf("ui: %w", err)
	}
	for _, p := range ps.manual.Order {
		k.Page("GET "+p.Address(), func(v *page.Visit) error { return ps.show(v, p) })
	}
	assets, err := docs.Assets()
	if err != nil {
		return fmt.Errorf("ui: %w", err)
	}
	for _, name := range assets {
		k.Page("GET /docs/"+name, func(v *page.Visit) error { return ps.file(v, name) })
	}
	return k.Add(markup)
}

// view is a page of the manual, or what a search found.
type view struct {
	Page          *docs.Page
	Sections      []docs.Section
	Body          template.HTML
	Before, After *docs.Page
	Contents      []docs.Heading // of the page
	Query         string
	Hits          []hit
	Methods       []find.Hit
	File          string
	Text          string
	Entries       []entry
}

type entry struct{ Name, Href string }

type hit struct {
	docs.Hit
	Parts []part
}

// part is a piece of an excerpt; marked are the words that were asked for.
type part struct {
	Text   string
	Marked bool
}

const (
	maxHits     = 40
	paletteHits = 4
	maxMethods  = 12
	maxQuery    = 200
	maxContents = 60
)

// show shows a page, or what a search finds.
func (ps *Pages) show(v *page.Visit, p *docs.Page) error {
	b := view{Page: p, Sections: ps.manual.Sections, Query: strings.TrimSpace(v.R.FormValue("q"))}
	if len(b.Query) > maxQuery {
		return fault.New(fault.Invalid, "A search has at most %d characters.", maxQuery)
	}
	if b.Query != "" {
		return ps.search(v, b)
	}
	var err error
	if b.Body, err = ps.body(p); err != nil {
		return err
	}
	b.Before, b.After = ps.manual.Around(p)
	for _, h := range p.Headings {
		if h.Level == 2 || h.Level == 3 && len(p.Headings) <= maxContents {
			b.Contents = append(b.Contents, h)
		}
	}
	return v.Show(http.StatusOK, page.View{Title: p.Title, Name: "manual", Main: "manual", Body: b}, nil)
}

func (ps *Pages) search(v *page.Visit, b view) error {
	for _, h := range ps.manual.Search(b.Query, maxHits) {
		b.Hits = append(b.Hits, hit{h, parts(h)})
	}
	if ps.Methods != nil {
		var err error
		if b.Methods, err = ps.Methods(v, b.Query, maxMethods); err != nil {
			return err
		}
	}
	return v.Show(http.StatusOK, page.View{Title: b.Query + " · Documentation", Name: "manual", Main: "manual", Body: b}, nil)
}

func parts(h docs.Hit) []part {
	var out []part
	at := 0
	for _, m := range h.Marks {
		out = append(out, part{h.Excerpt[at:m[0]], false}, part{h.Excerpt[m[0]:m[1]], true})
		at = m[1]
	}
	return append(out, part{h.Excerpt[at:], false})
}

// Hits are the places of the manual that a text may mean, for the palette.
func (ps *Pages) Hits(_ *page.Visit, text string, n int) ([]find.Hit, error) {
	var hits []find.Hit
	for _, h := range ps.manual.Search(text, min(n, paletteHits)) {
		detail := h.Page.Section
		if h.Heading != "" {
			detail = h.Heading
		}
		hits = append(hits, find.Hit{Kind: "documentation", Title: h.Page.Title, Detail: detail, Href: h.Address()})
	}
	return hits, nil
}

// file shows an example, or sends a picture.
func (ps *Pages) file(v *page.Visit, name string) error {
	if strings.HasPrefix(name, "images/") {
		v.W.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeFileFS(v.W, v.R, docs.Files, name)
		return nil
	}
	b := view{Page: &docs.Page{Title: name}, Sections: ps.manual.Sections, File: name}
	info, err := fs.Stat(docs.Files, name)
	if err != nil {
		return fmt.Errorf("ui: docs: %w", err)
	}
	if info.IsDir() {
		list, err := fs.ReadDir(docs.Files, name)
		if err != nil {
			return fmt.Errorf("ui: docs: %w", err)
		}
		for _, e := range list {
			b.Entries = append(b.Entries, entry{e.Name(), "/docs/" + path.Join(name, e.Name())})
		}
	} else {
		text, err := fs.ReadFile(docs.Files, name)
		if err != nil {
			return fmt.Errorf("ui: docs: %w", err)
		}
		b.Text = string(text)
	}
	return v.Show(http.StatusOK, page.View{Title: name, Name: "manual", Main: "manual", Body: b}, nil)
}
