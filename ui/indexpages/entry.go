package indexpages

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
)

func itoa(n int) string { return strconv.Itoa(n) }

type artifactLink struct {
	logs.Artifact
	Preview, Latest string
}

type formerView struct {
	index.Former
	Name string // of the task, "" when it is gone
	By   string // id of the task that took its place
}

// entryView is the page of an entry.
type entryView struct {
	index.Entry
	Crumbs    []crumb
	Name      string
	Indexed   time.Time
	TaskName  string // "" when the task is gone
	Group     string
	State     string
	StateText string
	Data      *node
	Artifacts []artifactLink
	Latest    string // of the task
	Former    []formerView
}

func (ps *Pages) entry(v *page.Visit, path string) error {
	if err := v.Allow(scope.String("index:find-task:" + path)); err != nil {
		return err
	}
	ctx := v.R.Context()
	e, err := ps.Index.Find(ctx, path)
	if err != nil {
		return err
	}
	view := entryView{Entry: e, Latest: latestPath(path, ""), Data: treeOf(e.Data, 2000)}
	namespace, name := split(path)
	view.Name = name
	if namespace != "" {
		words := strings.Split(namespace, ".")
		for i := range words {
			view.Crumbs = append(view.Crumbs, crumb{words[i], pathOf(strings.Join(words[:i+1], "."))})
		}
	}
	var former []index.Former
	if view.Indexed, former, err = ps.Index.History(ctx, path); err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	ids := []string{e.TaskID}
	for _, f := range former {
		ids = append(ids, f.TaskID)
	}
	items, err := ps.Queue.Items(ctx, ids)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for i := range items {
		names[items[i].Status.TaskID] = items[i].Task.Metadata.Name
	}
	view.TaskName = names[e.TaskID]
	by := e.TaskID
	for _, f := range former {
		view.Former = append(view.Former, formerView{f, names[f.TaskID], by})
		by = f.TaskID
	}
	if status, err := ps.Queue.Status(ctx, e.TaskID); err == nil {
		view.Group = status.TaskGroupID
		view.State, view.StateText = stateOf(status)
		list, _, err := ps.Logs.Artifacts(v, e.TaskID, len(status.Runs)-1)
		if err != nil {
			return err
		}
		for _, a := range list {
			view.Artifacts = append(view.Artifacts, artifactLink{a, PreviewPath(e.TaskID, len(status.Runs)-1, a.Name), latestPath(path, a.Name)})
		}
	}
	return v.Show(http.StatusOK, page.View{Title: path, Name: "indexentry", Main: "narrow", Body: view}, nil)
}

// latest leads to the task or the artifact that is at a path at the moment. The answer is kept by nobody.
func (ps *Pages) latest(v *page.Visit) error {
	path, name := v.R.PathValue("path"), v.R.PathValue("name")
	if err := v.Allow(scope.String("index:find-task:" + path)); err != nil {
		return err
	}
	e, err := ps.Index.Find(v.R.Context(), path)
	if err != nil {
		return err
	}
	v.W.Header().Set("Cache-Control", "no-store")
	if name == "" {
		return v.Redirect("/tasks/" + e.TaskID)
	}
	status, err := ps.Queue.Status(v.R.Context(), e.TaskID)
	if err != nil {
		return err
	}
	if len(status.Runs) == 0 {
		return fault.New(fault.NotFound, "The task %s at %s has not run.", e.TaskID, path)
	}
	if v.R.FormValue("preview") != "" {
		return v.Redirect(PreviewPath(e.TaskID, len(status.Runs)-1, name))
	}
	return v.Redirect("/tasks/" + e.TaskID + "/runs/" + itoa(len(status.Runs)-1) + "/" + escapeName(name))
}
