package ui

import (
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/diffview"
)

// seeGraphDiff is what seeing a comparison of task graphs asks for: the same as the graphs themselves, which are
// artifacts of decisions.
var seeGraphDiff = scope.String("queue:get-artifact:public/graph-diff.json")

// graphDiff shows what a pull request does to the task graph, or hands out the whole of it as JSON.
func (u *UI) graphDiff(v *visit) error {
	if err := v.allow(seeGraphDiff); err != nil {
		return err
	}
	if u.deps.GraphDiff == nil {
		return errNoPage
	}
	content, err := u.deps.GraphDiff(v.r.Context(), v.r.PathValue("repo"), v.r.PathValue("name"))
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "There is no such comparison of task graphs; they are kept for 90 days.")
	}
	if err != nil {
		return err
	}
	if v.r.FormValue("format") == "json" {
		v.w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = v.w.Write(content) // the browser may have gone
		return nil
	}
	p, err := diffview.Read(content)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, view{Title: "Task graph of " + p.Repository, Name: "graphdiff", Repo: v.r.PathValue("repo"), Body: p}, nil)
}
