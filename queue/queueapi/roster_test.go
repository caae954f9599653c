package queueapi_test

import (
	"context"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// pick returns a member of each object in a list.
func pick(list any, name string) (out []any) {
	for _, item := range list.([]any) {
		out = append(out, item.(map[string]any)[name])
	}
	return out
}

func (b *bench) claimFor(worker string, tasks int) []any {
	b.Helper()
	answer := b.want(200, "POST", "/claim-work/p%2Fq", map[string]any{"workerGroup": "g", "workerId": worker, "tasks": tasks})
	return answer["tasks"].([]any)
}

// TestLinesThroughTheDoor follows tasks from the list of pending ones to that of claimed ones.
func TestLinesThroughTheDoor(t *testing.T) {
	b := serve(t)
	on := queuetest.OnQueue("p/q")
	ids := []any{
		b.Task(t, task.Pending, on), b.Task(t, task.Pending, on, func(d *task.Definition) { d.Priority = task.High }), b.Task(t, task.Pending, on),
	}
	line := []any{ids[1], ids[0], ids[2]}
	for _, path := range []string{"/task-queues/p%2Fq", "/task-queues/p/q"} {
		if diff := cmp.Diff(line, pick(b.want(200, "GET", path+"/pending", nil)["tasks"], "taskId")); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	var paged []any
	for token := ""; ; {
		page := b.want(200, "GET", "/task-queues/p%2Fq/pending?limit=1&continuationToken="+token, nil)
		paged = append(paged, pick(page["tasks"], "taskId")...)
		next, more := page["continuationToken"].(string)
		if token = next; !more {
			break
		}
	}
	if diff := cmp.Diff(line, paged); diff != "" {
		t.Error(diff)
	}
	first, second := b.claimFor("w1", 1), b.claimFor("w2", 1)
	claimed := []any{first[0].(map[string]any)["status"].(map[string]any)["taskId"], second[0].(map[string]any)["status"].(map[string]any)["taskId"]}
	page := b.want(200, "GET", "/task-queues/p/q/claimed?limit=1", nil)
	got := pick(page["tasks"], "taskId")
	page = b.want(200, "GET", "/task-queues/p/q/claimed?limit=1&continuationToken="+page["continuationToken"].(string), nil)
	if diff := cmp.Diff(claimed, append(got, pick(page["tasks"], "taskId")...)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"w2"}, pick(page["tasks"], "workerId")); diff != "" {
		t.Error(diff)
	}
	if counts := b.want(200, "GET", "/task-queues/p/q/counts", nil); counts["pendingTasks"] != 1.0 || counts["claimedTasks"] != 2.0 {
		t.Errorf("counts: %v", counts)
	}
	b.want(400, "GET", "/task-queues/p/q/pending?continuationToken=bm8", nil)
	b.want(400, "GET", "/task-queues/p/q/claimed?continuationToken=bm8", nil)
	b.want(400, "GET", "/task-queues/p%20x/q/claimed", nil)

	// The task queue, its provisioner and its workers are known now.
	if diff := cmp.Diff([]any{"p/q"}, pick(b.want(200, "GET", "/task-queues", nil)["taskQueues"], "taskQueueId")); diff != "" {
		t.Error(diff)
	}
	if q := b.want(200, "GET", "/task-queues/p%2Fq", nil); q["taskQueueId"] != "p/q" {
		t.Errorf("task queue: %v", q)
	}
	b.want(404, "GET", "/task-queues/p/q", nil)
	b.want(404, "GET", "/task-queues/p%2Fother", nil)
	if diff := cmp.Diff([]any{"p"}, pick(b.want(200, "GET", "/provisioners", nil)["provisioners"], "provisionerId")); diff != "" {
		t.Error(diff)
	}
	b.want(200, "GET", "/provisioners/p", nil)
	b.want(404, "GET", "/provisioners/nobody", nil)
	if diff := cmp.Diff([]any{"q"}, pick(b.want(200, "GET", "/provisioners/p/worker-types", nil)["workerTypes"], "workerType")); diff != "" {
		t.Error(diff)
	}
	b.want(200, "GET", "/provisioners/p/worker-types/q", nil)
	workers := b.want(200, "GET", "/provisioners/p/worker-types/q/workers", nil)["workers"].([]any)
	if diff := cmp.Diff([]any{"w1", "w2"}, pick(workers, "workerId")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"taskId": claimed[0], "runId": 0.0}, workers[0].(map[string]any)["latestTask"]); diff != "" {
		t.Error(diff)
	}
	b.Check(t)
}

// TestQuarantineThroughTheDoor: a worker in quarantine gets nothing, keeps what it has, and its share of
// the work goes to others at once.
func TestQuarantineThroughTheDoor(t *testing.T) {
	b := serve(t)
	on := queuetest.OnQueue("p/q")
	has := b.Task(t, task.Pending, on)
	b.claimFor("bad", 1)
	const at = "/provisioners/p/worker-types/q/workers/g/"
	b.want(404, "PUT", at+"unknown", map[string]any{"quarantineUntil": "2100-01-01T00:00:00Z"})
	b.want(400, "PUT", at+"bad", map[string]any{"quarantineUntil": "soon"})
	w := b.want(200, "PUT", at+"bad", map[string]any{"quarantineUntil": "2100-01-01T00:00:00Z", "quarantineInfo": "it lies"})
	if diff := cmp.Diff([]any{"test-client"}, pick(w["quarantineDetails"], "clientId")); diff != "" {
		t.Error(diff)
	}
	lists := func(filter string) []any {
		return pick(b.want(200, "GET", "/provisioners/p/worker-types/q/workers"+filter, nil)["workers"], "workerId")
	}
	b.want(400, "GET", "/provisioners/p/worker-types/q/workers?quarantined=maybe", nil)
	waits := make(chan []any, 1)
	go func() { waits <- b.claimFor("bad", 1) }()
	next := b.Task(t, task.Pending, on)
	if got := b.claimFor("good", 1); len(got) != 1 || got[0].(map[string]any)["status"].(map[string]any)["taskId"] != next {
		t.Errorf("the good worker got %v", got)
	}
	if got := lists("?quarantined=true"); !slices.Equal(got, []any{"bad"}) {
		t.Errorf("in quarantine: %v", got)
	}
	if got := lists("?quarantined=false"); !slices.Equal(got, []any{"good"}) {
		t.Errorf("not in quarantine: %v", got)
	}
	left := b.Task(t, task.Pending, on)
	b.want(200, "POST", "/task/"+has+"/runs/0/reclaim", nil)
	b.want(200, "POST", "/task/"+has+"/runs/0/completed", nil)
	began := time.Now()
	if got := <-waits; len(got) != 0 {
		t.Errorf("the worker in quarantine got %v", got)
	}
	t.Logf("it waited %v more", time.Since(began))
	w = b.want(200, "PUT", at+"bad", map[string]any{"quarantineUntil": "2020-01-01T00:00:00Z"})
	if w["quarantineUntil"] != "2020-01-01T00:00:00.000Z" {
		t.Errorf("lifted: %v", w)
	}
	if got := b.claimFor("bad", 1); len(got) != 1 || got[0].(map[string]any)["status"].(map[string]any)["taskId"] != left {
		t.Errorf("out of quarantine it got %v", got)
	}
	if diff := cmp.Diff([]any{has, left}, pick(b.want(200, "GET", at+"bad", nil)["recentTasks"], "taskId")); diff != "" {
		t.Error(diff)
	}
	b.Check(t)
}

func TestWorkerGoneThroughTheDoor(t *testing.T) {
	b := serve(t)
	on := queuetest.OnQueue("p/q")
	for range 3 {
		b.Task(t, task.Pending, on)
	}
	had, kept := b.claimFor("gone", 2), b.claimFor("stays", 1)
	if answer := b.want(200, "POST", "/workers/g/gone/gone", map[string]any{"taskQueueId": "p/other"}); len(answer["taskIds"].([]any)) != 0 {
		t.Errorf("of another task queue: %v", answer)
	}
	answer := b.want(200, "POST", "/workers/g/gone/gone", map[string]any{})
	if n := len(answer["taskIds"].([]any)); n != 2 {
		t.Errorf("gave back %v", answer)
	}
	for _, k := range had {
		status := k.(map[string]any)["status"].(map[string]any)
		now := b.Status(t, status["taskId"].(string))
		if now.State != task.Pending || now.Runs[0].ReasonResolved != task.ReasonWorkerShutdown || now.Runs[1].ReasonCreated != task.CreatedRetry {
			t.Errorf("given back: %+v", now)
		}
	}
	if id := kept[0].(map[string]any)["status"].(map[string]any)["taskId"].(string); b.Status(t, id).State != task.Running {
		t.Error("another worker's task was given back")
	}
	b.Check(t)
}

// TestClaimWithoutATakerIsGivenBack: the connection of a worker ends while its claim commits.
func TestClaimWithoutATakerIsGivenBack(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	claimed := false
	b := serve(t, func(d *queue.Deps) {
		d.Wake = func() {
			if claimed {
				hangUp()
			}
		}
	})
	id := b.Task(t, task.Pending, queuetest.OnQueue("p/q"))
	claimed = true
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, "POST", "/api/queue/v1/claim-work/p%2Fq", strings.NewReader(`{"workerGroup": "g", "workerId": "left", "tasks": 1}`))
	r.Header.Set("Content-Type", "application/json")
	b.handler("*").ServeHTTP(w, r)
	// Who has left is not waited for: the claim is given back after the answer.
	s := b.Status(t, id)
	for until := time.Now().Add(20 * time.Second); s.State == task.Running && time.Now().Before(until); s = b.Status(t, id) {
		runtime.Gosched()
	}
	if s.State != task.Pending || len(s.Runs) != 2 || s.Runs[0].WorkerID != "left" || s.Runs[0].ReasonResolved != task.ReasonWorkerShutdown {
		t.Errorf("the task: %+v; the answer: %d %s", s, w.Code, w.Body)
	}
	b.Check(t)
}
