package jobs

import (
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/ui/page"
)

// lineJSON is a line of a log that tells of a failure; shell/data.ts describes it.
type lineJSON struct {
	Test    string `json:"test"`
	Message string `json:"message"`
	Number  int    `json:"number"` // in the log, 0 unknown
	Report  int64  `json:"report"` // of somebody who said so; 0: it was found
	By      string `json:"by"`     // who that was
}

const maxLines = 100 // of a failure

// failure is what a run says of its failure.
func (ps *Pages) failure(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	run, err := strconv.Atoi(v.R.FormValue("run"))
	if !slug.Valid(id) || err != nil || run < 0 {
		return nil, page.ErrNoPage
	}
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:get-artifact:public/logs/live.log")); err != nil {
		return nil, err
	}
	lines, reading, err := ps.Failures.OfRun(v.R.Context(), id, run)
	if err != nil {
		return nil, err
	}
	out := []lineJSON{}
	for _, l := range lines[:min(len(lines), maxLines)] {
		out = append(out, lineJSON{l.Test, l.Message, l.Number, l.Report, l.By})
	}
	return map[string]any{"lines": out, "reading": reading}, nil
}

// similarJSON is how a label did on one push; shell/data.ts describes it.
type similarJSON struct {
	Push     int64   `json:"push"`
	Revision string  `json:"revision"`
	Passed   int     `json:"passed"`
	Failed   int     `json:"failed"`
	Lost     int     `json:"lost"`
	Seconds  float64 `json:"seconds"`
	Task     string  `json:"task"`
}

// similar is how a label did on the last pushes.
func (ps *Pages) similar(v *page.Visit) (any, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	repo, label := v.R.FormValue("repo"), v.R.FormValue("label")
	if repo == "" || label == "" {
		return nil, fault.New(fault.BadArguments, "similar needs repo and label")
	}
	list, err := ps.Failures.Similar(v.R.Context(), repo, label, 20)
	if err != nil {
		return nil, err
	}
	out := []similarJSON{}
	for _, s := range list {
		out = append(out, similarJSON{s.Push, s.Revision, s.Passed, s.Failed, s.Lost, s.Seconds, s.TaskID})
	}
	return map[string]any{"similar": out}, nil
}
