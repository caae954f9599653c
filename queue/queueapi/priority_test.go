package queueapi_test

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// Every answer here is also checked against its schema.
func TestPrioritiesThroughTheDoor(t *testing.T) {
	b := serve(t)
	id := b.Task(t, task.Pending)
	b.Task(t, task.Pending, queuetest.In(id))
	to := func(p string) map[string]any { return map[string]any{"newPriority": p} }
	for range 2 {
		if got := b.want(200, "POST", "/task/"+id+"/priority", to("high"))["status"].(map[string]any)["priority"]; got != "high" {
			t.Errorf("priority %v", got)
		}
	}
	b.want(400, "POST", "/task/"+id+"/priority", to("normal"))
	b.want(404, "POST", "/task/"+slug.New()+"/priority", to("high"))
	b.want(409, "POST", "/task/"+b.Task(t, task.Completed)+"/priority", to("high"))
	if got := b.want(200, "POST", "/task-group/"+id+"/priority", to("high")); got["tasksAffected"] != 1.0 {
		t.Errorf("changed %v", got)
	}
	b.want(404, "POST", "/task-group/"+slug.New()+"/priority", to("high"))

	weight := func(n int) map[string]any { return map[string]any{"weight": n} }
	if got := b.want(200, "PUT", "/task-group/"+id+"/weight", weight(100)); got["weight"] != 100.0 || got["tasksMoved"] != 1.0 {
		t.Errorf("weighed %v", got)
	}
	b.want(400, "PUT", "/task-group/"+id+"/weight", weight(101))
	b.want(400, "PUT", "/task-group/"+id+"/weight", weight(0))
	b.want(404, "PUT", "/task-group/"+slug.New()+"/weight", weight(1))
	b.Check(t)
}

func TestWhyThroughTheDoor(t *testing.T) {
	b := serve(t)
	first := b.Task(t, task.Pending)
	b.want(200, "POST", "/task/"+b.Task(t, task.Pending)+"/runs/0/claim", map[string]any{"workerGroup": "g", "workerId": "w"})
	second := b.Task(t, task.Pending)
	line := b.want(200, "GET", "/task/"+second+"/why", nil)["line"].(map[string]any)
	if line["place"] != 2.0 || line["busyWorkers"] != 1.0 || line["groups"].([]any)[0].(map[string]any)["taskGroupId"] != first {
		t.Errorf("%v", line)
	}
	if unmet := b.want(200, "GET", "/task/"+b.Task(t, task.Unscheduled, queuetest.After(first))+"/why", nil)["unmet"].([]any); len(unmet) != 1 {
		t.Errorf("unmet: %v", unmet)
	}
	b.want(200, "GET", "/task/"+b.Task(t, task.Failed)+"/why", nil)
	b.want(404, "GET", "/task/"+slug.New()+"/why", nil)
}

func TestClaimTaskThroughTheDoor(t *testing.T) {
	b := serve(t)
	id := b.Task(t, task.Pending)
	worker := map[string]any{"workerGroup": "g", "workerId": "w"}
	claim := "/task/" + id + "/runs/0/claim"
	first := b.want(200, "POST", claim, worker)
	if again := b.want(200, "POST", claim, worker); again["takenUntil"] != first["takenUntil"] {
		t.Errorf("again: %v", again)
	}
	b.want(409, "POST", claim, map[string]any{"workerGroup": "g", "workerId": "x"})
	b.want(404, "POST", "/task/"+id+"/runs/1/claim", worker)
	b.want(400, "POST", claim, map[string]any{"workerGroup": "g"})
	b.Check(t)
}

func TestScopesOfThePriorityEndpoints(t *testing.T) {
	b := serve(t)
	id := b.Task(t, task.Pending)
	high, two := map[string]any{"newPriority": "high"}, map[string]any{"weight": 2}
	for _, c := range []struct {
		method, path string
		body         any
		scopes       []string
	}{
		{"POST", "/task/" + id + "/priority", high, []string{"queue:change-task-priority:" + id}},
		{"POST", "/task/" + id + "/priority", high, []string{"queue:change-task-priority-in-queue:" + queuetest.TaskQueueID}},
		{"POST", "/task-group/" + id + "/priority", high, []string{"queue:change-task-group-priority:-/" + id}},
		{"PUT", "/task-group/" + id + "/weight", two, []string{"queue:weigh-task-group:-/" + id}},
		{"GET", "/task/" + id + "/why", nil, []string{"queue:status:" + id}},
		{"POST", "/task/" + id + "/runs/0/claim", map[string]any{"workerGroup": "g", "workerId": "w"},
			[]string{"queue:claim-task:" + queuetest.TaskQueueID, "queue:worker-id:g/w"}},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			lacking := append([]string{"queue:other"}, c.scopes[1:]...)
			if status, answer, _ := b.send(c.method, b.as(lacking...)+c.path, c.body); status != 403 || answer["code"] != "InsufficientScopes" {
				t.Errorf("without %s: %d %v", c.scopes[0], status, answer)
			}
			if status, answer, _ := b.send(c.method, b.as(c.scopes...)+c.path, c.body); status != 200 {
				t.Errorf("with them: %d %v", status, answer)
			}
		})
	}
}
