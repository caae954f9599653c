// Package cronapi is the HTTP door of the calendar of .cron.yml.
package cronapi

import (
	"context"
	"embed"
	"encoding/json"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

//go:embed schemas/*.json
var schemas embed.FS

type door struct{ calendar *cron.Calendar }

const (
	names   = `^[\x20-\x7e]{1,255}$`
	moments = `^[0-9TZtz:.+ -]{10,40}$`
)

// Service is the table of endpoints of the service cron.
func Service(c *cron.Calendar) web.Service {
	d := door{c}
	return web.Service{
		Name: "cron", Version: "v1", Title: "Cron",
		Description: "The calendar of `.cron.yml`: the jobs of the branches that are followed, what became of them, and what is to come.",
		Schemas:     schemas,
		Params:      map[string]string{"repository": names, "job": names},
		Endpoints: []web.Endpoint{
			{
				Name: "listJobs", Method: "GET", Route: "/jobs", Category: "Calendar", Stability: "experimental",
				Query: map[string]string{"repository": names}, Scopes: scope.Text("cron:list"), Output: "list-jobs-response.json", Handle: d.jobs,
				Title:       "Jobs and branches",
				Description: "The branches that are followed, with what is wrong with their files, and the jobs of those that can be read, each with its last run and its next time.",
			},
			{
				Name: "listRuns", Method: "GET", Route: "/runs", Category: "Calendar", Stability: "experimental",
				Query: map[string]string{
					"repository": names, "branch": names, "job": names, "from": moments, "until": moments,
					"continuationToken": web.TokenPattern, "limit": web.LimitPattern,
				},
				Scopes: scope.Text("cron:list"), Output: "list-runs-response.json", Handle: d.runs,
				Title:       "What ran",
				Description: "What became of the times of jobs, the newest first: started, waiting, failed or missed; and what was started by hand.",
			},
			{
				Name: "why", Method: "GET", Route: "/repository/<repository>/job/<job>/why", Category: "Calendar", Stability: "experimental",
				Query: map[string]string{"branch": names, "at": moments}, Scopes: scope.Text("cron:list"), Output: "why-response.json", Handle: d.why,
				Title:       "Why a job ran, or not",
				Description: "What became, or will become, of the quarter of an hour that a time is in, and why. Without a time it is the present one.",
			},
			{
				Name: "runJob", Method: "POST", Route: "/repository/<repository>/job/<job>/run", Category: "Calendar", Stability: "experimental",
				Scopes: scope.Text("cron:run:<repository>:<job>"), Input: "run-job-request.json", Output: "run.json", Handle: d.run,
				Title:       "Start a job now",
				Description: "Starts a job at the head of its branch, whenever it is due otherwise. A request with the same key starts nothing again and has the same answer.",
			},
		},
	}
}

type branchJSON struct {
	Repository string      `json:"repository"`
	Branch     string      `json:"branch"`
	Revision   string      `json:"revision"`
	Checked    *task.Time  `json:"checked,omitempty"`
	Due        task.Time   `json:"due"`
	DoneUntil  task.Time   `json:"doneUntil"`
	Failures   int         `json:"failures"`
	RetryAfter *task.Time  `json:"retryAfter,omitempty"`
	Error      *cron.Error `json:"error,omitempty"`
}

type jobJSON struct {
	Repository string     `json:"repository"`
	Branch     string     `json:"branch"`
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Symbol     string     `json:"symbol,omitempty"`
	Line       int        `json:"line"`
	Next       *task.Time `json:"next,omitempty"`
	When       string     `json:"when"`
	Last       *runJSON   `json:"last,omitempty"`
}

type runJSON struct {
	RunID       int64           `json:"runId"`
	Repository  string          `json:"repository"`
	Branch      string          `json:"branch"`
	Job         string          `json:"job"`
	Type        string          `json:"type"`
	Slot        task.Time       `json:"slot"`
	ByHand      bool            `json:"byHand"`
	AskedBy     string          `json:"askedBy,omitempty"`
	Input       json.RawMessage `json:"input,omitempty"`
	Revision    string          `json:"revision,omitempty"`
	State       cron.State      `json:"state"`
	TaskID      string          `json:"taskId,omitempty"`
	TaskGroupID string          `json:"taskGroupId,omitempty"`
	Attempts    int             `json:"attempts"`
	RetryAfter  *task.Time      `json:"retryAfter,omitempty"`
	Created     task.Time       `json:"created"`
	Started     *task.Time      `json:"started,omitempty"`
	Error       *cron.Error     `json:"error,omitempty"`
}

func at(t *time.Time) *task.Time {
	if t == nil {
		return nil
	}
	out := task.At(*t)
	return &out
}

func shown(r cron.Run) runJSON {
	out := runJSON{
		RunID: r.ID, Repository: r.Repository, Branch: r.Branch, Job: r.Job, Type: r.Type, Slot: task.At(r.Slot), ByHand: r.ByHand(), AskedBy: r.AskedBy,
		Input: r.Input, Revision: r.Revision, State: r.State, TaskGroupID: r.TaskGroupID, Attempts: r.Attempts, Created: task.At(r.Created), Started: at(r.Started), Error: r.Error,
	}
	if r.State == cron.Started {
		out.TaskID = r.TaskID
	}
	if r.State == cron.Waiting && r.Error != nil {
		out.RetryAfter = at(&r.RetryAfter)
	}
	return out
}

func (d door) jobs(ctx context.Context, r *web.Request) (any, error) {
	l, err := d.calendar.Listing(ctx, r.Query("repository"))
	if err != nil {
		return nil, err
	}
	out := struct {
		Now      task.Time    `json:"now"`
		Branches []branchJSON `json:"branches"`
		Jobs     []jobJSON    `json:"jobs"`
	}{task.At(l.Now), []branchJSON{}, []jobJSON{}}
	for _, b := range l.Branches {
		j := branchJSON{
			Repository: b.Repository, Branch: b.Branch, Revision: b.Revision, Checked: at(b.Checked), Due: task.At(b.Due), DoneUntil: task.At(b.DoneUntil),
			Failures: b.Failures, Error: b.Error,
		}
		if b.Failures > 0 {
			j.RetryAfter = at(&b.RetryAfter)
		}
		out.Branches = append(out.Branches, j)
	}
	for _, j := range l.Jobs {
		shape := jobJSON{
			Repository: j.Repository, Branch: j.Branch, Name: j.Name, Type: j.Type, Symbol: j.TreeherderSymbol, Line: j.Line, Next: at(j.Next), When: j.Why,
		}
		if j.Last != nil {
			last := shown(*j.Last)
			shape.Last = &last
		}
		out.Jobs = append(out.Jobs, shape)
	}
	return out, nil
}

func (d door) runs(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	f := cron.Filter{Repository: r.Query("repository"), Branch: r.Query("branch"), Job: r.Query("job"), Limit: limit + 1}
	if f.From, err = moment(r, "from"); err != nil {
		return nil, err
	}
	if f.Until, err = moment(r, "until"); err != nil {
		return nil, err
	}
	var before cron.Run
	if web.ReadToken(token, &before.Slot, &before.ID) {
		f.Before = &before
	}
	list, err := d.calendar.Runs(ctx, f)
	if err != nil {
		return nil, err
	}
	out := struct {
		Runs              []runJSON `json:"runs"`
		ContinuationToken string    `json:"continuationToken,omitempty"`
	}{Runs: []runJSON{}}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		if out.ContinuationToken, err = web.Token(last.Slot, last.ID); err != nil {
			return nil, err
		}
	}
	for _, run := range list {
		out.Runs = append(out.Runs, shown(run))
	}
	return out, nil
}

// moment reads a time of the query; zero without.
func moment(r *web.Request, name string) (time.Time, error) {
	text := r.Query(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fault.New(fault.BadArguments, "The query parameter %s, %q, is no time such as 2026-01-02T03:04:05Z.", name, text)
	}
	return t, nil
}

func (d door) why(ctx context.Context, r *web.Request) (any, error) {
	when, err := moment(r, "at")
	if err == nil && when.IsZero() {
		when, err = d.calendar.Clock(ctx)
	}
	if err != nil {
		return nil, err
	}
	branch, err := d.calendar.Only(ctx, r.Params["repository"], r.Query("branch"))
	if err != nil {
		return nil, err
	}
	e, err := d.calendar.Why(ctx, r.Params["repository"], branch, r.Params["job"], when)
	if err != nil {
		return nil, err
	}
	out := struct {
		Repository string       `json:"repository"`
		Branch     string       `json:"branch"`
		Job        string       `json:"job"`
		Slot       task.Time    `json:"slot"`
		Verdict    cron.Verdict `json:"verdict"`
		Reasons    []string     `json:"reasons"`
		Runs       []runJSON    `json:"runs"`
		Previous   *task.Time   `json:"previous,omitempty"`
		Next       *task.Time   `json:"next,omitempty"`
	}{e.Repository, e.Branch, e.Job, task.At(e.Slot), e.Verdict, e.Reasons, []runJSON{}, at(e.Previous), at(e.Next)}
	for _, run := range e.Runs {
		out.Runs = append(out.Runs, shown(run))
	}
	return out, nil
}

func (d door) run(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Branch string          `json:"branch"`
		Key    string          `json:"key"`
		Input  json.RawMessage `json:"input"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	branch, err := d.calendar.Only(ctx, r.Params["repository"], in.Branch)
	if err != nil {
		return nil, err
	}
	run, err := d.calendar.Trigger(ctx, cron.Request{
		Repository: r.Params["repository"], Branch: branch, Job: r.Params["job"], Key: in.Key, By: caller.ClientID, Input: in.Input,
	})
	if err != nil {
		return nil, err
	}
	return shown(run), nil
}
