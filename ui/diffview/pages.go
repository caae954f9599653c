package diffview

import (
	"context"
	"embed"
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are the pages of comparisons of task graphs. They are safe for concurrent use.
type Pages struct {
	// Stored reads a comparison; nil where none are made.
	Stored func(ctx context.Context, repository, name string) ([]byte, error)
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /graph-diff/{repo}/{name}", ps.graphDiff)
	return k.Add(markup)
}

// seeGraphDiff is what seeing a comparison of task graphs asks for: the same as the graphs themselves, which are
// artifacts of decisions.
var seeGraphDiff = scope.String("queue:get-artifact:public/graph-diff.json")

// graphDiff shows what a pull request does to the task graph, or hands out the whole of it as JSON.
func (ps *Pages) graphDiff(v *page.Visit) error {
	if err := v.Allow(seeGraphDiff); err != nil {
		return err
	}
	if ps.Stored == nil {
		return page.ErrNoPage
	}
	content, err := ps.Stored(v.R.Context(), v.R.PathValue("repo"), v.R.PathValue("name"))
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "There is no such comparison of task graphs; they are kept for 90 days.")
	}
	if err != nil {
		return err
	}
	if v.R.FormValue("format") == "json" {
		v.W.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = v.W.Write(content) // the browser may have gone
		return nil
	}
	p, err := Read(content)
	if err != nil {
		return err
	}
	return v.Show(http.StatusOK, page.View{Title: "Task graph of " + p.Repository, Name: "graphdiff", Repo: v.R.PathValue("repo"), Body: p}, nil)
}
