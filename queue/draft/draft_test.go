package draft_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/task"
)

func define(change func(*task.Definition)) draft.Task {
	var d task.Definition
	err := json.Unmarshal([]byte(`{"taskQueueId": "a/b", "created": "2026-11-21T10:00:00Z", "deadline": "2026-11-22T10:00:00Z", "payload": {},
		"metadata": {"name": "n", "description": "d", "owner": "o", "source": "https://example.com"}}`), &d)
	if err != nil {
		panic(err)
	}
	change(&d)
	return draft.Task{ID: slug.New(), Definition: d}
}

func TestPrepare(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("r", i))
		}
		return list
	}
	for _, c := range []struct {
		name   string
		change func(*task.Definition)
		want   string // "" when it is fine
	}{
		{"a plain task", func(*task.Definition) {}, ""},
		{"the longest names", func(d *task.Definition) {
			d.TaskQueueID = strings.Repeat("P", 38) + "/" + strings.Repeat("w", 38)
			d.SchedulerID, d.ProjectID = strings.Repeat("s", 38), strings.Repeat("p/", 250)
			d.Routes = []string{strings.Repeat("ü", 249)}
		}, ""},
		{"no queue", func(d *task.Definition) { d.TaskQueueID = "" }, "taskQueueId"},
		{"a long worker type", func(d *task.Definition) { d.TaskQueueID = "a/" + strings.Repeat("w", 39) }, "taskQueueId"},
		{"a worker type ending in a dash", func(d *task.Definition) { d.TaskQueueID = "a/b-" }, "taskQueueId"},
		{"a bad group", func(d *task.Definition) { d.TaskGroupID = "x" }, "taskGroupId"},
		{"a bad scheduler", func(d *task.Definition) { d.SchedulerID = "a b" }, "schedulerId"},
		{"a bad project", func(d *task.Definition) { d.ProjectID = "" }, "projectId"},
		{"too many retries", func(d *task.Definition) { d.Retries = 50 }, "retries"},
		{"a bad requirement", func(d *task.Definition) { d.Requires = "some" }, "requires"},
		{"a dependency that is no id", func(d *task.Definition) { d.Dependencies = []string{"x"} }, "dependency"},
		{"too many routes", func(d *task.Definition) { d.Routes = many(65) }, "routes"},
		{"a long route", func(d *task.Definition) { d.Routes = []string{strings.Repeat("r", 250)} }, "route"},
		{"a route twice", func(d *task.Definition) { d.Routes = []string{"r", "r"} }, "twice"},
		{"a route that is not UTF-8", func(d *task.Definition) { d.Routes = []string{"\xff"} }, "route"},
		{"a long name", func(d *task.Definition) { d.Metadata.Name = strings.Repeat("n", 256) }, "metadata.name"},
		{"a long tag", func(d *task.Definition) { d.Tags = map[string]string{"k": strings.Repeat("v", 4097)} }, "tag"},
		{"too many tags", func(d *task.Definition) {
			for i := range 100 {
				d.Tags[fmt.Sprint(i)] = strings.Repeat("v", 4096)
			}
		}, "tags"},
		{"a scope that is not ASCII", func(d *task.Definition) { d.Scopes = []string{"ü"} }, "scope"},
		{"extra that is no object", func(d *task.Definition) { d.Extra = json.RawMessage(`1`) }, "extra"},
		{"no extra", func(d *task.Definition) { d.Extra = nil }, ""},
		{"a payload that is not UTF-8", func(d *task.Definition) { d.Payload = json.RawMessage("{\"a\": \"\xff\"}") }, "payload"},
		{"brackets in strings", func(d *task.Definition) {
			d.Payload = json.RawMessage(`{"a": "` + strings.Repeat(`[\"`, 600) + `"}`)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := define(c.change)
			err := n.Prepare()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheckGraphStaysFastAndFlat(t *testing.T) {
	const n = 50000
	tasks := make([]draft.Task, n)
	for i := range tasks {
		tasks[i].ID = fmt.Sprint(i)
		for _, j := range []int{i + 1, i + 2, i} { // itself is allowed
			if j < n {
				tasks[i].Definition.Dependencies = append(tasks[i].Definition.Dependencies, fmt.Sprint(j))
			}
		}
	}
	begin := time.Now()
	if err := draft.CheckGraph(tasks); err != nil {
		t.Fatal(err)
	}
	tasks[n-1].Definition.Dependencies = []string{"0"}
	err := draft.CheckGraph(tasks)
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "circle: 0 depends on 1 depends on") {
		t.Errorf("the circle: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
