// Package logs is the log viewer, and where artifacts lie.
package logs

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue   *queue.Queue
	Push    *push.Log
	Live    *live.Live
	Objects *object.Store
	// Failures is what is remembered of how tasks fail: people add lines to it.
	Failures *failures.Failures
	Tracker  string        // name of the bug tracker, "" for none
	Pool     *pgxpool.Pool // for where the lines of large logs are
	RootURL  string        // as people reach this server
	Log      *slog.Logger

	indexes   *lineindex.Logs
	searching chan struct{} // has room for those who search
}

// Register adds the pages to a kit. The viewer's address lies under a task's, whose page calls Show.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /logviewer", ps.old)
	ps.indexes = lineindex.New(ps.Pool, openLog(ps.Objects), ps.Log)
	ps.Objects.Watch(ps.indexes.Grown)
	ps.searching = make(chan struct{}, searches)
	k.Stream("GET /ui/api/logs/{task}/{run}/{name...}", ps.read)
	k.Data("POST /ui/api/logs/{task}/{run}/{name...}", ps.report)
	k.Data("POST /ui/api/reports/{task}/{report}/undo", ps.takeBack)
	return k.Add(markup)
}

// where tells the script where to read a log's bytes.
type where struct {
	URL     string `json:"url"` // on this server
	Growing bool   `json:"growing"`
	Size    int64  `json:"size"` // of a log that has ended, -1 when unknown
}

// growing reports whether a run is not at its end. It is read before the artifact, so that a log
// that ends in between is asked for once more.
func (ps *Pages) growing(ctx context.Context, id string, run int) (bool, error) {
	s, err := ps.Queue.Status(ctx, id)
	if err != nil {
		return false, err
	}
	return run < len(s.Runs) && s.Runs[run].State == task.Running, nil
}

// logJSON is what the log viewer is about; shell/data.ts describes it.
type logJSON struct {
	TaskID  string `json:"taskId"`
	Run     int    `json:"run"`
	Name    string `json:"name"`
	Bytes   string `json:"bytes"`
	Raw     string `json:"raw"`
	Growing bool   `json:"growing"`
	Offer
}

// Offer is what the viewer of a run's log has besides the text, on its own page and on the task's; shell/data.ts describes it.
type Offer struct {
	Failed bool `json:"failed"` // the run failed: the viewer opens at the first line that tells of it
	// Report is whether the visitor may say which line tells of the failure.
	Report reporting `json:"report"`
	// Bug is what a bug is filed of; nil where there is no tracker, or no push.
	Bug *filed `json:"bug,omitempty"`
}

// OfferOf is what the log of a run of a task has for the visitor, who may see the push p; a zero one for none.
func (ps *Pages) OfferOf(v *page.Visit, called string, p push.Push, run task.Run) Offer {
	o := Offer{Failed: run.State == task.Failed || run.State == task.Exception, Report: reportingOf(v, p.Repository, run)}
	if p.Repository != "" && ps.Tracker != "" {
		o.Bug = &filed{Name: called, Repo: p.Repository, Revision: p.Revision}
	}
	return o
}

// filed is the task that a bug tells of; shell/data.ts describes it.
type filed struct {
	Name     string `json:"name"`
	Repo     string `json:"repo"`
	Revision string `json:"revision"`
}

// Show shows a log.
func (ps *Pages) Show(v *page.Visit, run int, name string) error {
	id, ctx := v.R.PathValue("task"), v.R.Context()
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id)); err != nil {
		return err
	}
	item, err := ps.Queue.Item(ctx, id)
	if err != nil {
		return err
	}
	if run >= len(item.Status.Runs) {
		return fault.New(fault.NotFound, "Task %s has no run %d.", id, run)
	}
	stream := ps.Live.Path(v, "task="+id)
	a, _, local, err := ps.content(v, id, run, name)
	if err != nil {
		return gone(a, item, run, name, err)
	}
	of := item.Status.Runs[run]
	log := logJSON{TaskID: id, Run: run, Name: name, Raw: rawPath(id, run, name), Growing: of.State == task.Running}
	if local != "" {
		log.Bytes = BytesPath(id, run, name)
	}
	var p push.Push
	if v.Allow(page.SeePushes) == nil {
		if p, err = ps.Push.ByTaskGroup(ctx, item.Status.TaskGroupID); err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
	}
	called := cell.Name(item.Task.Metadata.Name, id)
	log.Offer = ps.OfferOf(v, called, p, of)
	last := run == len(item.Status.Runs)-1
	return v.Show(http.StatusOK, page.View{
		Title: "Log of " + called, Name: "log", Main: "log-page", Repo: p.Repository, Stream: stream,
		Body: struct {
			logJSON
			Called, State, StateText string
		}{log, called, prose.RunState(of, last), prose.RunText(of, last)},
	}, log)
}

// Has reports whether a run has an artifact of a name.
func (ps *Pages) Has(v *page.Visit, id string, run int, name string) bool {
	_, err := ps.Queue.Artifact(v.R.Context(), id, run, name)
	return !errors.Is(err, fault.NotFound)
}

// old leads from Treeherder's address of a log to ours.
func (ps *Pages) old(v *page.Visit) error {
	id, run, _ := strings.Cut(v.R.FormValue("task"), ".")
	if id == "" {
		return fault.New(fault.NotFound, "The address names no task: it should have task=TASKID.RUN.")
	}
	if run == "" {
		run = "0"
	}
	to := "/tasks/" + url.PathEscape(id) + "/runs/" + url.PathEscape(run) + "/logs/" + logNames()[0]
	if lines := v.R.FormValue("lineNumber"); lines != "" {
		to += "#L" + url.QueryEscape(lines)
	}
	return v.Redirect(to)
}

// RunNumber reads the number of a run out of an address.
func RunNumber(text string) (int, error) {
	run, err := strconv.Atoi(text)
	if err != nil || run < 0 {
		return 0, fault.New(fault.NotFound, "%q is no number of a run.", text)
	}
	return run, nil
}
