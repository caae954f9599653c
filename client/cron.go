package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"github.com/treeline-ci/treeline/task"
)

// CronError says what is wrong with a .cron.yml, or with a run of one of its jobs.
type CronError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// CronRun is a time of a job, or a start by hand, and what became of it.
type CronRun struct {
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
	State       string          `json:"state"` // waiting, started, failed, missed
	TaskID      string          `json:"taskId,omitempty"`
	TaskGroupID string          `json:"taskGroupId,omitempty"`
	Attempts    int             `json:"attempts"`
	RetryAfter  *task.Time      `json:"retryAfter,omitempty"`
	Created     task.Time       `json:"created"`
	Started     *task.Time      `json:"started,omitempty"`
	Error       *CronError      `json:"error,omitempty"`
}

// CronBranch is a branch whose .cron.yml is followed.
type CronBranch struct {
	Repository string     `json:"repository"`
	Branch     string     `json:"branch"`
	Revision   string     `json:"revision"`
	Checked    *task.Time `json:"checked,omitempty"`
	Due        task.Time  `json:"due"`
	DoneUntil  task.Time  `json:"doneUntil"`
	Failures   int        `json:"failures"`
	RetryAfter *task.Time `json:"retryAfter,omitempty"`
	Error      *CronError `json:"error,omitempty"`
}

// CronJob is a job of a branch.
type CronJob struct {
	Repository string     `json:"repository"`
	Branch     string     `json:"branch"`
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Symbol     string     `json:"symbol,omitempty"`
	Line       int        `json:"line"`
	Next       *task.Time `json:"next,omitempty"`
	When       string     `json:"when"`
	Last       *CronRun   `json:"last,omitempty"`
}

// CronListing is what is followed.
type CronListing struct {
	Now      task.Time    `json:"now"`
	Branches []CronBranch `json:"branches"`
	Jobs     []CronJob    `json:"jobs"`
}

// CronWhy says why a job ran at a time, did not, or will.
type CronWhy struct {
	Repository string     `json:"repository"`
	Branch     string     `json:"branch"`
	Job        string     `json:"job"`
	Slot       task.Time  `json:"slot"`
	Verdict    string     `json:"verdict"`
	Reasons    []string   `json:"reasons"`
	Runs       []CronRun  `json:"runs"`
	Previous   *task.Time `json:"previous,omitempty"`
	Next       *task.Time `json:"next,omitempty"`
}

// CronJobs lists what is followed, of one repository or, with "", of all.
func (c *Client) CronJobs(ctx context.Context, repository string) (out CronListing, err error) {
	return out, c.Call(ctx, "cron", http.MethodGet, "/jobs", filled("repository", repository), nil, &out)
}

// CronRuns lists runs, the newest first. Filters are repository, branch, job, from and until.
func (c *Client) CronRuns(ctx context.Context, filter url.Values) iter.Seq2[CronRun, error] {
	type page struct {
		Runs              []CronRun `json:"runs"`
		ContinuationToken string    `json:"continuationToken"`
	}
	return pages(ctx, c, "cron", "/runs", filter, func(p *page) []CronRun { return p.Runs }, func(p *page) string { return p.ContinuationToken })
}

// RunCron starts a job now. The same key starts nothing twice; branch "" is the only one that is followed.
func (c *Client) RunCron(ctx context.Context, repository, job, branch, key string, input json.RawMessage) (out CronRun, err error) {
	in := map[string]any{}
	for name, v := range map[string]string{"branch": branch, "key": key} {
		if v != "" {
			in[name] = v
		}
	}
	if len(input) > 0 {
		in["input"] = input
	}
	return out, c.Call(ctx, "cron", http.MethodPost, Path("repository", repository, "job", job, "run"), nil, in, &out)
}

// WhyCron explains a time of a job; at "" is now.
func (c *Client) WhyCron(ctx context.Context, repository, job, branch, at string) (out CronWhy, err error) {
	query := filled("branch", branch)
	if at != "" {
		query.Set("at", at)
	}
	return out, c.Call(ctx, "cron", http.MethodGet, Path("repository", repository, "job", job, "why"), query, nil, &out)
}

// filled is a query with one parameter, if that has a value.
func filled(name, value string) url.Values {
	q := url.Values{}
	if value != "" {
		q.Set(name, value)
	}
	return q
}
