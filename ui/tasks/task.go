// Package tasks is the page of a task.
package tasks

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	waits "github.com/treeline-ci/treeline/queue/why"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/again"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
	"github.com/treeline-ci/treeline/ui/why"
)

// taskView is what the task page's template shows.
type taskView struct {
	taskJSON
	Description template.HTML
	Tab         string
	Tabs        [][2]string
	CSRF        string
}

// markdown marks what prose.Markdown has made.
func markdown(clean string) template.HTML { return template.HTML(clean) }

// taskJSON is a task for the script; shell/data.ts describes it.
type taskJSON struct {
	ID              string          `json:"id"`
	GroupID         string          `json:"groupId"`
	Name            string          `json:"name"`
	DescriptionHTML string          `json:"descriptionHtml"`
	Owner           string          `json:"owner"`
	Source          string          `json:"source"`
	Queue           string          `json:"queue"`
	Priority        string          `json:"priority"`
	Project         string          `json:"project"`
	Scheduler       string          `json:"scheduler"`
	Created         int64           `json:"created"`
	Deadline        int64           `json:"deadline"`
	Expires         int64           `json:"expires"`
	RetriesLeft     int             `json:"retriesLeft"`
	Requires        string          `json:"requires"`
	State           string          `json:"state"`
	StateText       string          `json:"stateText"`
	Sentence        string          `json:"sentence"`
	Waiting         []waitJSON      `json:"waiting"`
	Run             int             `json:"run"`
	Runs            []runJSON       `json:"runs"`
	Artifacts       []logs.Artifact `json:"artifacts"`
	Log             string          `json:"log"`
	LogPage         string          `json:"logPage"`
	LogOffer        *logs.Offer     `json:"logOffer"` // nil before the first run
	Acts            []actJSON       `json:"acts"`
	YAML            string          `json:"yaml"`
	Dependencies    []neighbour     `json:"dependencies"`
	Dependents      []neighbour     `json:"dependents"`
	MoreDependents  bool            `json:"moreDependents"`
	Tags            [][2]string     `json:"tags"`
	Routes          []string        `json:"routes"`
	Scopes          []string        `json:"scopes"`
	Push            *pushLink       `json:"push"`
	Actions         bool            `json:"actions"` // whether actions may be offered
	extras
}

type runJSON struct {
	ID        int    `json:"id"`
	State     string `json:"state"`
	StateText string `json:"stateText"`
	Sentence  string `json:"sentence"`
	Worker    string `json:"worker"`
	Scheduled int64  `json:"scheduled"`
	Started   int64  `json:"started"`
	Ended     int64  `json:"ended"`
}

// waitJSON is one thing that a task waits for: text, or a task and what is the matter with it.
type waitJSON struct {
	Text string `json:"text"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type neighbour struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	State     string `json:"state"`
	StateText string `json:"stateText"`
}

type pushLink struct {
	Repo     string `json:"repo"`
	ID       int64  `json:"id"`
	Revision string `json:"revision"`
	Subject  string `json:"subject"`
}

func tabs() [][2]string {
	return [][2]string{{"summary", "Summary"}, {"log", "Log"}, {"artifacts", "Artifacts"}, {"definition", "Definition"}, {"tests", "Tests"}, {"deps", "Dependencies"}, {"similar", "Similar"}, {"history", "History"}}
}

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	// Artifact shows an artifact of a task.
	Artifact func(v *page.Visit, id, name string) error

	Queue    *queue.Queue
	Push     *push.Log
	Actions  *actions.Pages
	Logs     *logs.Pages
	Live     *live.Live
	Why      *why.Why
	Failures *failures.Failures
	Triage   *triage.Book
	Again    *again.Again
	Objects  *object.Store // summaries are read from it; nil: there are none
	// Purge has a cache of a worker pool dropped; nil: nobody can.
	Purge   func(ctx context.Context, workerPoolID, cacheName string) error
	RootURL string // as people reach this server
	Log     *slog.Logger
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /tasks/{task}", ps.task)
	k.Page("GET /tasks/{task}/{rest...}", ps.part)
	k.Data("GET /ui/api/tasks/{task}", ps.taskData)
	k.Data("POST /ui/api/tasks/{task}/{act}", ps.act)
	k.Data("GET /ui/api/tasks/{task}/artifacts", ps.artifacts)
	k.Data("GET /ui/api/tasks/{task}/dependents", ps.dependents)
	k.Data("GET /ui/api/tasks/{task}/around", ps.around)
	k.Data("GET /ui/api/tasks/{task}/tests", ps.tests)
	k.Data("GET /ui/api/tasks/{task}/similar", ps.similar)
	k.Data("GET /ui/api/tasks/{task}/said", ps.said)
	return k.Add(markup)
}

// task shows a task, with its last run.
func (ps *Pages) task(v *page.Visit) error { return ps.showTask(v, queue.LatestRun) }

func (ps *Pages) showTask(v *page.Visit, run int) error {
	id := v.R.PathValue("task")
	head := ps.Live.Path(v, "")
	data, err := ps.readTask(v, id, run)
	if err != nil {
		return err
	}
	stream := ""
	if head != "" {
		near := []string{"task=" + id}
		for _, n := range slices.Concat(data.Dependencies, data.Dependents) {
			near = append(near, "task="+n.ID)
		}
		stream = head + strings.Join(near[:min(len(near), 120)], "&")
	}
	tab := v.R.FormValue("tab")
	if !slices.ContainsFunc(tabs(), func(t [2]string) bool { return t[0] == tab }) {
		tab = "summary"
	}
	repo := ""
	if data.Push != nil {
		repo = data.Push.Repo
	}
	return v.Show(http.StatusOK, page.View{
		Title: data.Name + ": " + data.StateText, Name: "task", Repo: repo, Stream: stream,
		Body: taskView{data, markdown(data.DescriptionHTML), tab, tabs(), v.Session.CSRF()},
	}, data)
}

// taskData answers the script with a task.
func (ps *Pages) taskData(v *page.Visit) (any, error) {
	run := queue.LatestRun
	if text := v.R.FormValue("run"); text != "" {
		var err error
		if run, err = logs.RunNumber(text); err != nil {
			return nil, err
		}
	}
	return ps.readTask(v, v.R.PathValue("task"), run)
}

func (ps *Pages) readTask(v *page.Visit, id string, run int) (taskJSON, error) {
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id)); err != nil {
		return taskJSON{}, err
	}
	ctx := v.R.Context()
	item, err := ps.Queue.Item(ctx, id)
	if err != nil {
		return taskJSON{}, err
	}
	data := describe(&item)
	if run != queue.LatestRun {
		if run >= len(data.Runs) {
			return taskJSON{}, fault.New(fault.NotFound, "Task %s has no run %d.", id, run)
		}
		data.Run = run
	}
	if data.Acts, err = ps.actsOn(v, &item); err != nil {
		return taskJSON{}, err
	}
	data.Actions = ps.Actions.Offers(v)
	if data.YAML, err = prose.YAML(item.Task); err != nil {
		return taskJSON{}, err
	}
	if err := ps.addNeighbours(ctx, v, &data, &item); err != nil {
		return taskJSON{}, err
	}
	if err := ps.addWaiting(ctx, v, &data, &item); err != nil {
		return taskJSON{}, err
	}
	name := ""
	if data.Artifacts, name, err = ps.Logs.Artifacts(v, id, data.Run); err != nil {
		return taskJSON{}, err
	}
	if name != "" {
		data.Log, data.LogPage = logs.BytesPath(id, data.Run, name), logs.ViewerPath(id, data.Run, name)
	}
	p, err := ps.addPush(ctx, v, &data)
	if err != nil {
		return taskJSON{}, err
	}
	if data.Run >= 0 {
		offer := ps.Logs.OfferOf(v, data.Name, p, item.Status.Runs[data.Run])
		data.LogOffer = &offer
	}
	return data, ps.addMore(ctx, v, &data, &item)
}

// describe is what the task itself tells.
func describe(i *queue.Item) taskJSON {
	s, d := &i.Status, &i.Task
	m := cell.MoveOf(s)
	data := taskJSON{
		ID: s.TaskID, GroupID: s.TaskGroupID, Name: cell.Name(d.Metadata.Name, s.TaskID), DescriptionHTML: string(prose.Markdown(d.Metadata.Description)),
		Owner: d.Metadata.Owner, Source: d.Metadata.Source, Queue: s.TaskQueueID, Priority: string(s.Priority), Project: s.ProjectID,
		Scheduler: s.SchedulerID, Created: d.Created.UnixMilli(), Deadline: s.Deadline.UnixMilli(), Expires: s.Expires.UnixMilli(),
		RetriesLeft: s.RetriesLeft, Requires: string(d.Requires), State: m.State, StateText: prose.StateText(s), Sentence: prose.Sentence(s), Run: m.Run,
		Waiting: []waitJSON{}, Runs: []runJSON{}, Artifacts: []logs.Artifact{}, Dependencies: []neighbour{}, Dependents: []neighbour{}, Tags: [][2]string{},
		Routes: append([]string{}, d.Routes...), Scopes: append([]string{}, d.Scopes...),
	}
	for n, r := range s.Runs {
		last := n == len(s.Runs)-1
		worker := r.WorkerGroup + "/" + r.WorkerID
		if r.WorkerID == "" {
			worker = ""
		}
		data.Runs = append(data.Runs, runJSON{
			r.RunID, prose.RunState(r, last), prose.RunText(r, last), prose.RunSentence(r, last), worker, r.Scheduled.UnixMilli(), cell.Millis(r.Started), cell.Millis(r.Resolved),
		})
	}
	for _, k := range slices.Sorted(maps.Keys(d.Tags)) {
		data.Tags = append(data.Tags, [2]string{k, d.Tags[k]})
	}
	return data
}

func (ps *Pages) addNeighbours(ctx context.Context, v *page.Visit, data *taskJSON, i *queue.Item) error {
	items, err := ps.Queue.Items(ctx, i.Task.Dependencies)
	if err != nil {
		return err
	}
	found := map[string]*queue.Item{}
	for n := range items {
		found[items[n].Status.TaskID] = &items[n]
	}
	for _, id := range i.Task.Dependencies {
		switch item := found[id]; {
		case id == data.ID: // a task may name itself, so that it has to be scheduled by hand
		case item == nil:
			data.Dependencies = append(data.Dependencies, neighbour{ID: id, State: "unscheduled", StateText: "expired"})
		default:
			data.Dependencies = append(data.Dependencies, neighbourOf(item))
		}
	}
	if v.Allow(scope.String("queue:list-dependent-tasks:"+data.ID)) != nil {
		return nil
	}
	page, err := ps.Queue.Dependents(ctx, data.ID, shownDependents, "")
	if err != nil {
		return err
	}
	for n := range page.Tasks {
		data.Dependents = append(data.Dependents, neighbourOf(&page.Tasks[n]))
	}
	data.MoreDependents = page.Next != ""
	return nil
}

func neighbourOf(i *queue.Item) neighbour {
	return neighbour{i.Status.TaskID, cell.Name(i.Task.Metadata.Name, i.Status.TaskID), cell.MoveOf(&i.Status).State, prose.StateText(&i.Status)}
}

const maxReasons = 10

// addWaiting says why the task does not run yet: each unmet dependency, or who is in line before it.
func (ps *Pages) addWaiting(ctx context.Context, v *page.Visit, data *taskJSON, i *queue.Item) error {
	say := func(w waitJSON) { data.Waiting = append(data.Waiting, w) }
	switch i.Status.State {
	case task.Unscheduled:
		left := 0
		for _, d := range data.Dependencies {
			if met(i.Task.Requires, d.State) {
				continue
			}
			if left++; left <= maxReasons {
				say(waitJSON{"is " + d.StateText + unmet(d.State), d.ID, cmp.Or(d.Name, d.ID)})
			}
		}
		if left > maxReasons {
			say(waitJSON{Text: fmt.Sprintf("And %d more tasks.", left-maxReasons)})
		}
		if slices.Contains(i.Task.Dependencies, data.ID) {
			say(waitJSON{Text: "It depends on itself: somebody has to schedule it by hand."})
		}
		if len(data.Waiting) > 0 {
			data.Sentence = fmt.Sprintf("It waits for %d of %d tasks.", max(left, 1), max(len(i.Task.Dependencies), 1))
		}
	case task.Pending:
		if v.Allow(scope.Strings("queue:pending-count:"+data.Queue, "queue:claimed-count:"+data.Queue)) != nil {
			return nil
		}
		reply, err := ps.Queue.WhyPending(ctx, data.ID)
		if err != nil {
			return err
		}
		say(waitJSON{Text: reply.Sentence})
		if l := reply.Line; l != nil {
			say(waitJSON{Text: fmt.Sprintf("%s pending and %d running in %s.", atLeast(l.PendingTasks), l.ClaimedTasks, data.Queue)})
		}
	}
	return nil
}

// atLeast is a number that was not counted beyond the limit.
func atLeast(n int) string {
	if n == waits.MaxCounted {
		return fmt.Sprintf("At least %d", n)
	}
	return strconv.Itoa(n)
}

// met reports whether a dependency in a state of the pages is satisfied.
func met(r task.Requires, state string) bool {
	if state == "passed" {
		return true
	}
	return r == task.AllResolved && (state == "failed" || state == "exception" || state == "cancelled")
}

func unmet(state string) string {
	if state == "failed" || state == "exception" || state == "cancelled" {
		return "; it has to run again and pass first"
	}
	return ""
}

// addPush adds the push that the task belongs to, and returns it; a zero one for none, or for who may not see it.
func (ps *Pages) addPush(ctx context.Context, v *page.Visit, data *taskJSON) (push.Push, error) {
	if v.Allow(page.SeePushes) != nil {
		return push.Push{}, nil
	}
	p, err := ps.Push.ByTaskGroup(ctx, data.GroupID)
	if errors.Is(err, fault.NotFound) {
		return push.Push{}, nil
	}
	if err != nil {
		return push.Push{}, err
	}
	subject, _, _ := strings.Cut(p.Message, "\n")
	data.Push = &pushLink{p.Repository, p.ID, p.Revision, subject}
	return p, nil
}
