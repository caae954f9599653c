// Package indexpages is the pages of the index, a browser of columns and the page of an entry, and the preview of
// artifacts: what tasks uploaded is shown without being able to act in the name of who looks at it.
package indexpages

import (
	"context"
	"embed"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Objects is where contents are read.
type Objects interface {
	Open(ctx context.Context, name string) (object.Object, io.ReadSeekCloser, error)
}

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Index   *index.Index
	Queue   *queue.Queue
	Objects Objects
	Logs    *logs.Pages
	RootURL string
}

// Register adds the pages to a kit. The preview's address lies under a task's, whose page calls Show.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /tasks/index", ps.browse)
	k.Page("GET /tasks/index/{path...}", ps.indexed)
	k.Page("GET /latest/{path}", ps.latest)
	k.Page("GET /latest/{path}/{name...}", ps.latest)
	k.Stream("GET /ui/artifact/{task}/{run}/{name...}", ps.content)
	return k.Add(markup)
}

// pathOf is the address of a namespace.
func pathOf(namespace string) string {
	if namespace == "" {
		return "/tasks/index"
	}
	return "/tasks/index/" + url.PathEscape(namespace)
}

// entryPath is the address of an entry, as the field writes it: namespace and name.
func entryPath(path string) string {
	namespace, name := split(path)
	if namespace == "" {
		return "/tasks/index/~/" + url.PathEscape(name)
	}
	return "/tasks/index/" + url.PathEscape(namespace) + "/" + url.PathEscape(name)
}

// latestPath is the address that leads to what is at a path whenever it is opened.
func latestPath(path, artifact string) string {
	out := "/latest/" + url.PathEscape(path)
	if artifact != "" {
		out += "/" + escapeName(artifact)
	}
	return out
}

// escapeName escapes an artifact's name. One that browsers would take for steps in a path has its slashes escaped too.
func escapeName(name string) string {
	for word := range strings.SplitSeq(name, "/") {
		if word == "" || word == "." || word == ".." {
			return url.PathEscape(name)
		}
	}
	return logs.EscapePath(name)
}

// PreviewPath is the address of the preview of an artifact; run -1 is the last.
func PreviewPath(task string, run int, name string) string {
	out := "/tasks/" + task + "/artifacts/" + escapeName(name)
	if run >= 0 {
		out += "?run=" + itoa(run)
	}
	return out
}

func split(path string) (namespace, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

const (
	perColumn = 100
	maxDeep   = 40 // columns
)

// column is one level of the index.
type column struct {
	Namespace string
	Children  []childView
	Chosen    string
	More      string // address of the next page, or of the namespace where it can be filtered
}

type childView struct {
	index.Child
	Href   string
	Counts string
	Chosen bool
}

type taskView struct {
	index.Entry
	Name, Href string
}

type crumb struct{ Name, Href string }

// browserView is the browser of columns.
type browserView struct {
	Namespace string
	Here      string // address without its query
	Crumbs    []crumb
	Columns   []column
	Tasks     []taskView
	Filter    string
	MoreTasks string
	Paged     bool
	Denied    string // scope without which entries cannot be listed
}

// indexed shows a namespace, or an entry where the address has a name too.
func (ps *Pages) indexed(v *page.Visit) error {
	namespace, name, entry := strings.Cut(v.R.PathValue("path"), "/")
	if !entry {
		return ps.browse(v)
	}
	if name == "" {
		return v.Redirect(pathOf(namespace))
	}
	path := namespace + "." + name
	if namespace == "~" {
		path = name
	}
	return ps.entry(v, path)
}

func (ps *Pages) browse(v *page.Visit) error {
	namespace := strings.Trim(v.R.PathValue("path"), "/")
	f := v.R.URL.Query()
	if to := strings.TrimSpace(f.Get("jump")); to != "" {
		return ps.jump(v, to)
	}
	b := browserView{Namespace: namespace, Here: pathOf(namespace), Filter: strings.TrimSpace(f.Get("q")), Paged: f.Has("after") || f.Has("afterTask")}
	if err := v.Allow(scope.String("index:list-namespaces:" + namespace)); err != nil {
		return err
	}
	words := []string{}
	if namespace != "" {
		words = strings.Split(namespace, ".")
	}
	if len(words) > maxDeep {
		return fault.New(fault.Invalid, "This namespace has more than %d words.", maxDeep)
	}
	for i := range words {
		b.Crumbs = append(b.Crumbs, crumb{words[i], pathOf(strings.Join(words[:i+1], "."))})
	}
	for i := range words {
		c, err := ps.column(v, strings.Join(words[:i], "."), words[i], "", "")
		if err != nil {
			return err
		}
		b.Columns = append(b.Columns, c)
	}
	last, err := ps.column(v, namespace, "", b.Filter, f.Get("after"))
	if err != nil {
		return err
	}
	b.Columns = append(b.Columns, last)
	if err := ps.listTasks(v, &b, f.Get("afterTask")); err != nil {
		return err
	}
	if len(last.Children)+len(b.Tasks) == 0 && b.Filter == "" && !b.Paged && namespace != "" && b.Denied == "" {
		if _, err := ps.Index.Find(v.R.Context(), namespace); err == nil {
			return v.Redirect(entryPath(namespace))
		}
	}
	title := "Index"
	if namespace != "" {
		title = namespace
	}
	return v.Show(http.StatusOK, page.View{Title: title, Name: "index", Body: b}, nil)
}

// jump leads to what was typed: an entry if there is one, else a namespace.
func (ps *Pages) jump(v *page.Visit, to string) error {
	to = strings.TrimPrefix(to, "index.")
	if err := index.CheckPath(to); err != nil {
		return err
	}
	if _, err := ps.Index.Find(v.R.Context(), to); err == nil {
		return v.Redirect(entryPath(to))
	}
	return v.Redirect(pathOf(to))
}

func (ps *Pages) column(v *page.Visit, namespace, chosen, prefix, after string) (column, error) {
	c := column{Namespace: namespace, Chosen: chosen}
	if v.Allow(scope.String("index:list-namespaces:"+namespace)) != nil {
		c.Children = []childView{{Child: index.Child{Namespace: index.Namespace{Name: chosen}}, Href: pathOf(joined(namespace, chosen)), Chosen: true}}
		return c, nil
	}
	list, err := ps.Index.Browse(v.R.Context(), namespace, prefix, after, perColumn+1)
	if err != nil {
		return c, err
	}
	if len(list) > perColumn {
		list = list[:perColumn]
		c.More = pathOf(namespace)
		if chosen == "" {
			c.More += "?" + url.Values{"q": {prefix}, "after": {list[perColumn-1].Name}}.Encode()
		}
	}
	seen := chosen == ""
	for _, child := range list {
		seen = seen || child.Name == chosen
		c.Children = append(c.Children, childView{child, pathOf(child.Namespace.Namespace), countsOf(child), child.Name == chosen})
	}
	if !seen { // it stands further down than the column goes
		own := index.Child{Namespace: index.Namespace{Name: chosen}}
		c.Children = append([]childView{{own, pathOf(joined(namespace, chosen)), "", true}}, c.Children...)
	}
	return c, nil
}

func joined(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

func countsOf(c index.Child) string {
	number := func(n int) string {
		if n > index.MostCounted {
			return itoa(index.MostCounted) + "+"
		}
		return itoa(n)
	}
	var parts []string
	if c.Namespaces > 0 {
		parts = append(parts, number(c.Namespaces)+" ▸")
	}
	if c.Tasks > 0 {
		parts = append(parts, number(c.Tasks)+" •")
	}
	return strings.Join(parts, " ")
}

func (ps *Pages) listTasks(v *page.Visit, b *browserView, after string) error {
	if need := "index:list-tasks:" + b.Namespace; !v.Have.Has(need) {
		b.Denied = need
		return nil
	}
	list, err := ps.Index.BrowseTasks(v.R.Context(), b.Namespace, b.Filter, after, perColumn+1)
	if err != nil {
		return err
	}
	if len(list) > perColumn {
		list = list[:perColumn]
		_, name := split(list[perColumn-1].Namespace)
		b.MoreTasks = pathOf(b.Namespace) + "?" + url.Values{"q": {b.Filter}, "afterTask": {name}}.Encode()
	}
	for _, e := range list {
		_, name := split(e.Namespace)
		b.Tasks = append(b.Tasks, taskView{e, name, entryPath(e.Namespace)})
	}
	return nil
}
