// Package docs is the documentation, as it stands in the repository and in the program: its pages, the order in which
// the index names them, their headings and links, a search over them, and their text for terminals.
package docs

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Files are the pages with what they show and refer to.
//
//go:embed *.md tutorial how-to reference explanation operations examples images
var Files embed.FS

// Page is one Markdown file.
type Page struct {
	// Name is the file without its ending, such as "how-to/github"; the index is "README".
	Name  string
	Title string
	// Section and Group are where the index names the page; "" for the index itself.
	Section, Group string
	Source         []byte
	// Headings are those below the title, in order.
	Headings []Heading
}

// Heading is a heading of a page, below its title.
type Heading struct {
	Level  int // 2 and more
	Text   string
	Anchor string
}

// Address is where the server shows the page.
func (p *Page) Address() string { return address(p.Name) }

func address(name string) string {
	if name == index {
		return "/docs"
	}
	return "/docs/" + name
}

// Section is a part of the index: a tutorial, a how-to and so on.
type Section struct {
	Title  string
	Groups []Group
}

// Group is pages that belong together; the title of a section's only group is "".
type Group struct {
	Title string
	Pages []*Page
}

// Manual is all pages. It is safe for concurrent use. The words for searches are gathered by the first of them.
type Manual struct {
	Sections []Section
	// Order is the index and then the pages in the order in which it names them.
	Order  []*Page
	byName map[string]*Page
	words  func() *words
}

const index = "README"

// Load reads the pages that the program carries.
func Load() (*Manual, error) { return load(Files) }

func load(files fs.FS) (*Manual, error) {
	m := &Manual{byName: map[string]*Page{}}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		source, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		p := &Page{Name: strings.TrimSuffix(name, ".md"), Source: source}
		p.Title, p.Headings = headings(string(source))
		if p.Title == "" {
			return fmt.Errorf("%s has no title", name)
		}
		m.byName[p.Name] = p
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("docs: %w", err)
	}
	if m.byName[index] == nil {
		return nil, fmt.Errorf("docs: there is no %s.md", index)
	}
	m.arrange()
	for _, name := range slices.Sorted(maps.Keys(m.byName)) { // what the index forgot can be read all the same
		if p := m.byName[name]; p.Section == "" && name != index {
			m.Order = append(m.Order, p)
		}
	}
	m.words = sync.OnceValue(m.learn)
	return m, nil
}

var (
	linked = regexp.MustCompile(`\]\(([^)#:\s]+)\.md\)`)
	strong = regexp.MustCompile(`^\*\*(.+)\*\*$`)
)

// arrange reads the index: "## Section", "**Group**" and the pages that are linked below.
func (m *Manual) arrange() {
	m.Order = []*Page{m.byName[index]}
	eachLine(string(m.byName[index].Source), func(line string, code bool) {
		if code {
			return
		}
		if title, ok := strings.CutPrefix(line, "## "); ok {
			m.Sections = append(m.Sections, Section{Title: title})
			return
		}
		if len(m.Sections) == 0 {
			return
		}
		s := &m.Sections[len(m.Sections)-1]
		if g := strong.FindStringSubmatch(strings.TrimSpace(line)); g != nil {
			s.Groups = append(s.Groups, Group{Title: g[1]})
			return
		}
		for _, l := range linked.FindAllStringSubmatch(line, -1) {
			p := m.byName[path.Clean(l[1])]
			if p == nil || p.Section != "" || p.Name == index {
				continue
			}
			if len(s.Groups) == 0 {
				s.Groups = append(s.Groups, Group{})
			}
			g := &s.Groups[len(s.Groups)-1]
			p.Section, p.Group = s.Title, g.Title
			g.Pages = append(g.Pages, p)
			m.Order = append(m.Order, p)
		}
	})
}

// Page is the page of that name: "how-to/github", with or without ".md", or only its last part where that is unique.
func (m *Manual) Page(name string) (*Page, bool) {
	name = strings.TrimSuffix(strings.Trim(name, "/"), ".md")
	if p := m.byName[name]; p != nil {
		return p, true
	}
	var found *Page
	for _, p := range m.Order {
		if path.Base(p.Name) == name {
			if found != nil {
				return nil, false
			}
			found = p
		}
	}
	return found, found != nil
}

// Around are the pages before and after one, in the order of the index; nil at its ends.
func (m *Manual) Around(p *Page) (before, after *Page) {
	for i, q := range m.Order {
		if q != p {
			continue
		}
		if i > 0 {
			before = m.Order[i-1]
		}
		if i+1 < len(m.Order) {
			after = m.Order[i+1]
		}
	}
	return before, after
}
