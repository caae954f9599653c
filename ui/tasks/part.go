package tasks

import (
	"strings"

	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
)

// part shows what lies under a task's address: a run, a log, an artifact, the definition.
func (ps *Pages) part(v *page.Visit) error {
	id, rest := v.R.PathValue("task"), v.R.PathValue("rest")
	switch rest {
	case "":
		return v.Redirect("/tasks/" + id)
	case "create": // a task like it; as an address of its own it would be in the way of the index's
		return v.Redirect("/tasks/create?from=" + id)
	case "connect": // a shell in an interactive task (package connect)
		return v.Redirect("/connect/" + id)
	case "definition":
		return v.Redirect("/tasks/" + id + "?tab=definition")
	}
	if name, ok := strings.CutPrefix(rest, "artifacts/"); ok && name != "" {
		return ps.Artifact(v, id, name)
	}
	text, rest, deeper := strings.Cut(strings.TrimPrefix(rest, "runs/"), "/")
	if !strings.HasPrefix(v.R.PathValue("rest"), "runs/") {
		return page.ErrNoPage
	}
	run, err := logs.RunNumber(text)
	if err != nil {
		return err
	}
	if !deeper || rest == "" {
		return ps.showTask(v, run)
	}
	if name, ok := strings.CutPrefix(rest, "logs/live/"); ok && !ps.Logs.Has(v, id, run, strings.TrimPrefix(rest, "logs/")) {
		return v.Redirect("/tasks/" + id + "/runs/" + text + "/logs/" + logs.EscapePath(name))
	}
	if name, ok := strings.CutPrefix(rest, "logs/"); ok && name != "" {
		return ps.Logs.Show(v, run, name)
	}
	return ps.Logs.Open(v, run, rest)
}
