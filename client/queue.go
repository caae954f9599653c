package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/task"
)

const queueService = "queue"

type statusReply struct {
	Status task.Status `json:"status"`
}

// CreateTask defines a task; definition is anything whose JSON is a task definition
// (taskcluster-map 5.2). The same definition again is no error.
func (c *Client) CreateTask(ctx context.Context, taskID string, definition any) (task.Status, error) {
	var out statusReply
	err := c.Call(ctx, queueService, http.MethodPut, Path("task", taskID), nil, definition, &out)
	return out.Status, err
}

// NewTask is one task of a batch.
type NewTask struct {
	TaskID string `json:"taskId"`
	Task   any    `json:"task"` // its JSON is a task definition
}

// CreateTasks defines tasks that may depend on each other, all or none of them: Treeline's
// addition to the API.
func (c *Client) CreateTasks(ctx context.Context, tasks []NewTask) ([]task.Status, error) {
	in := struct {
		Tasks []NewTask `json:"tasks"`
	}{tasks}
	var out struct {
		Statuses []task.Status `json:"statuses"`
	}
	err := c.Call(ctx, queueService, http.MethodPost, "/task-batch", nil, in, &out)
	return out.Statuses, err
}

// Task returns a task's definition.
func (c *Client) Task(ctx context.Context, taskID string) (task.Definition, error) {
	var out task.Definition
	err := c.Call(ctx, queueService, http.MethodGet, Path("task", taskID), nil, nil, &out)
	return out, err
}

// Status returns how a task stands.
func (c *Client) Status(ctx context.Context, taskID string) (task.Status, error) {
	var out statusReply
	err := c.Call(ctx, queueService, http.MethodGet, Path("task", taskID, "status"), nil, nil, &out)
	return out.Status, err
}

// Schedule makes an unscheduled task pending without regard to its dependencies.
func (c *Client) Schedule(ctx context.Context, taskID string) (task.Status, error) {
	return c.act(ctx, Path("task", taskID, "schedule"), nil)
}

// Rerun adds a run to a resolved task.
func (c *Client) Rerun(ctx context.Context, taskID string) (task.Status, error) {
	return c.act(ctx, Path("task", taskID, "rerun"), nil)
}

// Cancel resolves a task as canceled.
func (c *Client) Cancel(ctx context.Context, taskID string) (task.Status, error) {
	return c.act(ctx, Path("task", taskID, "cancel"), nil)
}

// ReportCompleted says that a run succeeded.
func (c *Client) ReportCompleted(ctx context.Context, taskID string, runID int) (task.Status, error) {
	return c.act(ctx, runPath(taskID, runID)+"/completed", nil)
}

// ReportFailed says that a run did its work and the work failed.
func (c *Client) ReportFailed(ctx context.Context, taskID string, runID int) (task.Status, error) {
	return c.act(ctx, runPath(taskID, runID)+"/failed", nil)
}

// ReportException says why a run could not do its work; see task.ReasonResolved.Reportable.
func (c *Client) ReportException(ctx context.Context, taskID string, runID int, reason task.ReasonResolved) (task.Status, error) {
	in := struct {
		Reason task.ReasonResolved `json:"reason"`
	}{reason}
	return c.act(ctx, runPath(taskID, runID)+"/exception", in)
}

func (c *Client) act(ctx context.Context, path string, in any) (task.Status, error) {
	var out statusReply
	err := c.Call(ctx, queueService, http.MethodPost, path, nil, in, &out)
	return out.Status, err
}

func runPath(taskID string, runID int) string {
	return Path("task", taskID, "runs", strconv.Itoa(runID))
}

// ClaimRequest is a worker's wish for work.
type ClaimRequest struct {
	WorkerGroup string `json:"workerGroup"`
	WorkerID    string `json:"workerId"`
	Tasks       int    `json:"tasks"` // 1 to 32
}

// Claim is a run that was given to a worker (taskcluster-map 5.7).
type Claim struct {
	Status      task.Status     `json:"status"`
	RunID       int             `json:"runId"`
	WorkerGroup string          `json:"workerGroup"`
	WorkerID    string          `json:"workerId"`
	TakenUntil  task.Time       `json:"takenUntil"`
	Task        task.Definition `json:"task"`
	Credentials TaskCredentials `json:"credentials"`
}

// TaskCredentials are temporary credentials as services hand them out.
type TaskCredentials struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
	Certificate string `json:"certificate"`
}

// Hawk returns them in the form that a Client takes.
func (t TaskCredentials) Hawk() hawk.Credentials {
	return hawk.Credentials{ClientID: t.ClientID, AccessToken: t.AccessToken, Certificate: t.Certificate}
}

// ClaimWork asks for pending tasks; the server holds the question for up to 20 seconds and
// answers with none when there are none.
func (c *Client) ClaimWork(ctx context.Context, taskQueueID string, in ClaimRequest) ([]Claim, error) {
	var out struct {
		Tasks []Claim `json:"tasks"`
	}
	err := c.Call(ctx, queueService, http.MethodPost, Path("claim-work", taskQueueID), nil, in, &out)
	return out.Tasks, err
}

// Reclaim prolongs a claim; the answer has no task definition. A fault.Conflict says that the run
// is not the worker's any more: canceled, past its deadline, or lost.
func (c *Client) Reclaim(ctx context.Context, taskID string, runID int) (Claim, error) {
	var out struct {
		Status      task.Status     `json:"status"`
		RunID       int             `json:"runId"`
		WorkerGroup string          `json:"workerGroup"`
		WorkerID    string          `json:"workerId"`
		TakenUntil  task.Time       `json:"takenUntil"`
		Credentials TaskCredentials `json:"credentials"`
	}
	err := c.Call(ctx, queueService, http.MethodPost, runPath(taskID, runID)+"/reclaim", nil, nil, &out)
	return Claim{
		Status: out.Status, RunID: out.RunID, WorkerGroup: out.WorkerGroup, WorkerID: out.WorkerID,
		TakenUntil: out.TakenUntil, Credentials: out.Credentials,
	}, err
}

// pages yields the items of a paged list, asking for the next page when the items of the last
// are used up (taskcluster-map 3.6: a page may be empty and still have a successor).
func pages[P, T any](ctx context.Context, c *Client, service, path string, query url.Values, items func(*P) []T, token func(*P) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		for {
			var page P
			if err := c.Call(ctx, service, http.MethodGet, path, q, nil, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items(&page) {
				if !yield(item, nil) {
					return
				}
			}
			next := token(&page)
			if next == "" {
				return
			}
			q.Set("continuationToken", next)
		}
	}
}
