package soaktest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
	"github.com/treeline-ci/treeline/queue/soaktest"
	"github.com/treeline-ci/treeline/task"
)

// TestSoakBehindTheDoor plays a round through HTTP, with the client that workers use. The callers of one
// replica may do everything, those of the other may not give tasks most of the scopes.
func TestSoakBehindTheDoor(t *testing.T) {
	tally := soaktest.NewTally()
	doors := 0
	e := soaktest.Run(t, soaktest.Options{
		Seed: 77, Operations: 1500, Clients: 8, Progress: tally,
		Behind: func(t testing.TB, q *queue.Queue) soaktest.Door {
			scopes := []string{"*"}
			if doors++; doors == 2 {
				scopes = []string{"queue:*", "assume:*", "soak:secret:1*"}
			}
			return open(t, q, scopes...)
		},
		Lacks: func(client int, scope string) bool {
			return client%2 == 1 && !strings.HasPrefix(scope, "soak:secret:1")
		},
	})
	for _, v := range e.Violations {
		t.Error(v)
	}
	forbidden := tally.Totals().Verbs[soaktest.Create][soaktest.Forbidden]
	if forbidden == 0 {
		t.Error("nobody was refused for lack of scopes")
	}
	t.Logf("%s; %d creations were forbidden", tally.Totals().Line(), forbidden)
}

// open serves the queue over HTTP to callers with the given scopes, and returns their way in.
func open(t testing.TB, q *queue.Queue, scopes ...string) door {
	t.Helper()
	handler, err := web.Mount([]web.Service{queueapi.Service(q)}, webtest.As("soak", scopes...), web.Options{RootURL: "http://tc.example"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{RootURL: server.URL, Patience: -1, Credentials: hawk.Credentials{ClientID: "soak", AccessToken: "a-token-that-nobody-looks-at-000000000000000"}})
	if err != nil {
		t.Fatal(err)
	}
	return door{c}
}

// door is the queue's HTTP door as a soak's clients use it.
type door struct{ c *client.Client }

func (d door) CreateBatch(ctx context.Context, tasks []queue.NewTask) ([]task.Status, error) {
	list := make([]client.NewTask, len(tasks))
	for i, n := range tasks {
		def := n.Definition
		def.ProvisionerID, def.WorkerType, _ = strings.Cut(def.TaskQueueID, "/")
		list[i] = client.NewTask{TaskID: n.ID, Task: def}
	}
	return d.c.CreateTasks(ctx, list)
}

// Claim hangs up after the wait that was asked for: the server would wait for twenty seconds.
func (d door) Claim(ctx context.Context, req queue.ClaimRequest) ([]queue.Claim, error) {
	short, cancel := context.WithTimeout(ctx, req.Wait+30*time.Millisecond)
	defer cancel()
	claims, err := d.c.ClaimWork(short, req.TaskQueueID, client.ClaimRequest{WorkerGroup: req.WorkerGroup, WorkerID: req.WorkerID, Tasks: req.Tasks})
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	out := make([]queue.Claim, len(claims))
	for i, k := range claims {
		out[i] = queue.Claim{
			Status: k.Status, RunID: k.RunID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID, TakenUntil: k.TakenUntil, Task: k.Task,
			Credentials: queue.Credentials(k.Credentials),
		}
	}
	return out, err
}

func (d door) Reclaim(ctx context.Context, id string, run int) (queue.Reclaimed, error) {
	k, err := d.c.Reclaim(ctx, id, run)
	return queue.Reclaimed{Status: k.Status, RunID: k.RunID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID, TakenUntil: k.TakenUntil, Credentials: queue.Credentials(k.Credentials)}, err
}

func (d door) ReportCompleted(ctx context.Context, id string, run int) (task.Status, error) {
	return d.c.ReportCompleted(ctx, id, run)
}

func (d door) ReportFailed(ctx context.Context, id string, run int) (task.Status, error) {
	return d.c.ReportFailed(ctx, id, run)
}

func (d door) ReportException(ctx context.Context, id string, run int, reason task.ReasonResolved) (task.Status, error) {
	return d.c.ReportException(ctx, id, run, reason)
}

func (d door) Schedule(ctx context.Context, id string) (task.Status, error) {
	return d.c.Schedule(ctx, id)
}

func (d door) Rerun(ctx context.Context, id string) (task.Status, error)  { return d.c.Rerun(ctx, id) }
func (d door) Cancel(ctx context.Context, id string) (task.Status, error) { return d.c.Cancel(ctx, id) }
func (d door) Status(ctx context.Context, id string) (task.Status, error) { return d.c.Status(ctx, id) }

func (d door) SealGroup(ctx context.Context, id string) (queue.Group, error) {
	_, err := d.c.SealGroup(ctx, id)
	return queue.Group{}, err
}

func (d door) CancelGroup(ctx context.Context, id string) (queue.Canceled, error) {
	out, err := d.c.CancelGroup(ctx, id)
	return queue.Canceled{TaskIDs: out.TaskIDs}, err
}

func (d door) CreateArtifact(ctx context.Context, id string, run int, name string, a queue.NewArtifact) (queue.Upload, error) {
	return queue.Upload{}, d.c.ReferenceArtifact(ctx, id, run, name, a.ContentType, a.URL, a.Expires)
}

// Items asks task by task; one that is not there is left out.
func (d door) Items(ctx context.Context, ids []string) ([]queue.Item, error) {
	var out []queue.Item
	for _, id := range ids {
		s, err := d.c.Status(ctx, id)
		if err == nil {
			out = append(out, queue.Item{Status: s})
		} else if !errors.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	return out, nil
}

func (d door) ListGroup(ctx context.Context, id string, limit int, _ string) (queue.GroupPage, error) {
	var page queue.GroupPage
	err := d.c.Call(ctx, "queue", http.MethodGet, client.Path("task-group", id, "list"), url.Values{"limit": {"20"}}, nil, &page)
	return page, err
}
