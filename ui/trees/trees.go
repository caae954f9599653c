// Package trees is whether people may push to a repository: open, by approval or closed, with the reason, a message of
// the day, and who said so before. Every page shows it in its header, and open pages hear of a change at once.
package trees

import (
	"context"
	"embed"
	"net/http"
	"net/url"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Book *Book
	Push *push.Log
	Live *live.Live
}

// Register adds the pages to a kit, and the states to the header of all pages.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /trees", ps.list)
	k.Page("GET /trees/{repo...}", ps.tree)
	k.Page("POST /trees/{repo...}", ps.change)
	k.Data("GET /ui/api/trees", ps.data)
	k.Each(ps.mark)
	return k.Add(markup)
}

// mark puts what is to be said of trees into the header of a page, and lets it hear of changes.
func (ps *Pages) mark(v *page.Visit, w *page.View) error {
	if v.Allow(page.SeePushes) != nil {
		return nil
	}
	if w.Stream == "" {
		w.Stream = ps.Live.Path(v, "trees=1")
	} else {
		w.Stream += "&trees=1"
	}
	list, err := ps.Book.All(v.R.Context())
	if err != nil {
		return err
	}
	for _, t := range list {
		if !t.Quiet() {
			w.Trees = append(w.Trees, page.Tree{Repository: t.Repository, State: string(t.State), Reason: t.Reason, Message: t.Message, Href: pathOf(t.Repository)})
		}
	}
	return nil
}

func pathOf(repository string) string { return "/trees/" + url.PathEscape(repository) }

type treeView struct {
	Tree
	Href string
	Word string
}

// Word is a state in words.
func (t Tree) Word() string {
	return map[State]string{Open: "open", Approval: "approval required", Closed: "closed"}[t.State]
}

// Mark is the state of a task that looks like that of a tree.
func (t Tree) Mark() string {
	return map[State]string{Open: "passed", Approval: "pending", Closed: "failed"}[t.State]
}

func (ps *Pages) all(ctx context.Context) ([]treeView, error) {
	repos, err := ps.Push.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	said, err := ps.Book.All(ctx)
	if err != nil {
		return nil, err
	}
	by := map[string]Tree{}
	for _, t := range said {
		by[t.Repository] = t
	}
	var list []treeView
	for _, r := range repos {
		t, known := by[r.Name]
		if !known {
			t = Tree{Repository: r.Name, State: Open}
		}
		list = append(list, treeView{t, pathOf(r.Name), t.Word()})
	}
	return list, nil
}

func (ps *Pages) list(v *page.Visit) error {
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	list, err := ps.all(v.R.Context())
	if err != nil {
		return err
	}
	return v.Show(http.StatusOK, page.View{Title: "Trees", Name: "trees", Main: "narrow", Body: list}, nil)
}

// data is the states for scripts: of pages, and of who guards a repository against pushes.
func (ps *Pages) data(v *page.Visit) (any, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	list, err := ps.all(v.R.Context())
	out := make([]Tree, 0, len(list))
	for _, t := range list {
		if repo := v.R.FormValue("repo"); repo == "" || repo == t.Repository {
			out = append(out, t.Tree)
		}
	}
	return map[string]any{"trees": out}, err
}

// oneView is the page of a tree.
type oneView struct {
	Tree    Tree
	Draft   Tree
	Action  string
	Missing string // scope without which it cannot be changed
	Problem string
	History []Tree
	States  []State
}

func (ps *Pages) show(v *page.Visit, status int, draft *Tree, problem string) error {
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	ctx, name := v.R.Context(), v.R.PathValue("repo")
	if _, err := ps.Push.Repository(ctx, name); err != nil {
		return err
	}
	t, err := ps.Book.Tree(ctx, name)
	if err != nil {
		return err
	}
	o := oneView{Tree: t, Draft: t, Action: pathOf(name), Problem: problem, States: []State{Open, Approval, Closed}}
	if draft != nil {
		o.Draft = *draft
	}
	if need := "trees:update:" + name; !v.Have.Has(need) {
		o.Missing = need
	}
	if o.History, err = ps.Book.History(ctx, name, 100); err != nil {
		return err
	}
	return v.Show(status, page.View{Title: "Tree " + name, Name: "tree", Main: "narrow", Repo: name, Body: o}, nil)
}

func (ps *Pages) tree(v *page.Visit) error {
	if v.R.PathValue("repo") == "" {
		return v.Redirect("/trees")
	}
	return ps.show(v, http.StatusOK, nil, "")
}

func (ps *Pages) change(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	name := v.R.PathValue("repo")
	t := Tree{Repository: name, State: State(v.R.PostFormValue("state")), Reason: v.R.PostFormValue("reason"), Message: v.R.PostFormValue("message")}
	if err := v.Post(); err != nil {
		return ps.show(v, http.StatusForbidden, &t, fault.Message(err))
	}
	if err := v.Allow(scope.String("trees:update:" + name)); err != nil {
		return err
	}
	if _, err := ps.Push.Repository(v.R.Context(), name); err != nil {
		return err
	}
	err := ps.Book.Set(v.R.Context(), v.Session.ClientID, t)
	if fault.KindOf(err) == fault.Invalid {
		return ps.show(v, http.StatusBadRequest, &t, fault.Message(err))
	}
	if err != nil {
		return err
	}
	return v.Redirect(pathOf(name))
}
