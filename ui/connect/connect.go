// Package connect is the pages of interactive tasks: the way to a shell, from waiting for a worker to what is left of
// its time, and the page of one shell. The bytes go through package shell.
package connect

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/shell"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue  *queue.Queue
	Live   *live.Live
	Shells *shell.Hub // nil: there are no shells
	Script string     // address of the terminal's script; "" when the program was built without it
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /connect/{task}", ps.connect) // where /tasks/{task}/connect leads
	k.Data("GET /ui/api/connect/{task}", ps.connectData)
	k.Page("GET /shell", ps.old)
	if ps.Shells != nil {
		k.Page("GET /shell/{task}/{run}", ps.shell)
	}
	return k.Add(markup)
}

// The stages on the way to a shell.
const (
	waiting = "waiting" // for a worker, or for the worker to offer shells
	ready   = "ready"
	ended   = "ended"
	never   = "never" // the task is not interactive
)

// State is how far it is.
type State struct {
	Task   string         `json:"task"`
	Name   string         `json:"name"`
	Run    int            `json:"run"`
	Stage  string         `json:"stage"`
	Text   string         `json:"text"`  // one sentence
	Until  int64          `json:"until"` // when the worker ends it, in milliseconds; 0 when unknown
	People []shell.Person `json:"people"`
	Shell  string         `json:"shell"` // address of the page of a shell
	Form   string         `json:"form"`  // where the same is made interactive
}

// artifacts lead to shells, by dialect.
var artifacts = []string{"private/generic-worker/shell.html", "private/docker-worker/shell.html"}

// see is what somebody needs to know of a task that they want to work in.
func see(v *page.Visit, id string) error {
	return v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id))
}

func (ps *Pages) state(v *page.Visit, id string) (State, error) {
	ctx := v.R.Context()
	items, err := ps.Queue.Items(ctx, []string{id})
	if err != nil {
		return State{}, err
	}
	if len(items) == 0 {
		return State{}, fault.New(fault.NotFound, "There is no task %s.", id)
	}
	item := items[0]
	s := State{Task: id, Name: cell.Name(item.Task.Metadata.Name, id), Run: -1, People: []shell.Person{}, Form: "/tasks/create?" + url.Values{"from": {id}, "interactive": {"1"}}.Encode()}
	var payload struct {
		MaxRunTime float64 `json:"maxRunTime"`
		Features   struct {
			Interactive bool `json:"interactive"`
		} `json:"features"`
	}
	if err := json.Unmarshal(item.Task.Payload, &payload); err != nil || !payload.Features.Interactive {
		s.Stage, s.Text = never, "The task is not interactive: its payload does not ask for shells."
		return s, nil
	}
	run := item.Status.LastRun()
	if run != nil {
		s.Run = run.RunID
		s.Shell = fmt.Sprintf("/shell/%s/%d", id, run.RunID)
	}
	switch {
	case item.Status.State.Resolved():
		s.Stage, s.Text = ended, endedText(item.Status, run)
	case item.Status.State != task.Running:
		s.Stage = waiting
		why, err := ps.Queue.WhyPending(ctx, id)
		if err != nil {
			return s, err
		}
		s.Text = why.Sentence
	default:
		return ps.running(ctx, s, run, time.Duration(payload.MaxRunTime)*time.Second)
	}
	return s, nil
}

func endedText(status task.Status, run *task.Run) string {
	if run == nil {
		return "The task ended before it ran."
	}
	text := "The task has ended: " + string(run.State)
	if run.ReasonResolved != "" {
		text += ", " + strings.ReplaceAll(string(run.ReasonResolved), "-", " ")
	}
	return text + "."
}

// running tells of a run whether its worker offers shells, who has some open, and when its time is over.
func (ps *Pages) running(ctx context.Context, s State, run *task.Run, limit time.Duration) (State, error) {
	s.Stage, s.Text = waiting, "A worker has the task and prepares it; shells are offered in a moment."
	if run.Started != nil && limit > 0 {
		s.Until = run.Started.Add(limit).UnixMilli()
	}
	for _, name := range artifacts {
		_, err := ps.Queue.Artifact(ctx, s.Task, run.RunID, name)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return s, err
		}
		s.Stage, s.Text = ready, "A shell is ready."
		if ps.Shells != nil {
			s.People = append(s.People, ps.Shells.People(s.Task, strconv.Itoa(run.RunID))...)
		}
		return s, nil
	}
	return s, nil
}

// connect shows the way to a shell.
func (ps *Pages) connect(v *page.Visit) error {
	id := v.R.PathValue("task")
	if !slug.Valid(id) {
		return page.ErrNoPage
	}
	if err := see(v, id); err != nil {
		return err
	}
	s, err := ps.state(v, id)
	if err != nil {
		return err
	}
	why := ""
	if err := v.Allow(scope.String(shell.Scope)); err != nil {
		why = fault.Message(err)
	}
	return v.Show(http.StatusOK, page.View{
		Title: "Connect to " + s.Name, Name: "connect", Main: "narrow", Stream: ps.Live.Path(v, url.Values{"task": {id}}.Encode()),
		Body: struct {
			State
			Why string
		}{s, why},
	}, s)
}

func (ps *Pages) connectData(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	if err := see(v, id); err != nil {
		return nil, err
	}
	return ps.state(v, id)
}

// shell is the page of one shell. Its terminal writes style sheets of its own, which the policy of other pages forbids.
func (ps *Pages) shell(v *page.Visit) error {
	id, run := v.R.PathValue("task"), v.R.PathValue("run")
	if _, err := strconv.Atoi(run); err != nil || !slug.Valid(id) {
		return page.ErrNoPage
	}
	if err := v.Allow(scope.AllOf(scope.String(shell.Scope), scope.Strings("queue:get-task:"+id, "queue:status:"+id))); err != nil {
		return err
	}
	s, err := ps.state(v, id)
	if err != nil {
		return err
	}
	line := v.R.URL.Query().Get("mode") == "line"
	v.W.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	script := ps.Script
	if line {
		script = ""
	}
	return v.Show(http.StatusOK, page.View{
		Title: "Shell of " + s.Name, Name: "shell", Main: "shell-page", Stream: ps.Live.Path(v, url.Values{"task": {id}}.Encode()),
		Body: struct {
			State
			Socket, Script string
			Line           bool
		}{s, "/shell/" + id + "/" + run + "/socket", script, line},
	}, s)
}

// old is the address that Taskcluster's shells have: the socket's address tells the task and the run.
func (ps *Pages) old(v *page.Visit) error {
	q := v.R.URL.Query()
	if u, err := url.Parse(q.Get("socketUrl")); err == nil && u.Path != "" {
		if here, err := url.Parse(v.Kit.RootURL); err == nil && (u.Host == "" || u.Host == here.Host || u.Host == v.R.Host) {
			parts := strings.Split(strings.Trim(u.Path, "/"), "/")
			if len(parts) == 4 && parts[0] == "shell" && parts[3] == "socket" && slug.Valid(parts[1]) {
				return v.Redirect("/shell/" + parts[1] + "/" + url.PathEscape(parts[2]))
			}
		}
	}
	if id := q.Get("taskId"); slug.Valid(id) {
		return v.Redirect("/connect/" + id)
	}
	return fault.New(fault.BadArguments, "This address names neither a shell of this server (socketUrl) nor a task (taskId).")
}
