package task_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/task"
)

const minimal = `{"taskQueueId": "local/work", "created": "2026-11-21T10:00:00Z", "deadline": "2026-11-22T10:00:00+00:00",
	"payload": {"n": 1.0}, "metadata": {"name": "n", "description": "d", "owner": "o", "source": "https://example.com"}}`

var now = time.Date(2026, 11, 21, 10, 1, 0, 0, time.UTC)

func parse(t *testing.T, text string) task.Definition {
	t.Helper()
	var d task.Definition
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDefaultsAreFilled(t *testing.T) {
	d := parse(t, minimal)
	if err := d.Complete("fN1SbArXTPSVFNUvaOlinQ"); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"provisionerId":"local","workerType":"work","taskQueueId":"local/work","schedulerId":"-","projectId":"none",` +
		`"taskGroupId":"fN1SbArXTPSVFNUvaOlinQ","dependencies":[],"requires":"all-completed","routes":[],"priority":"lowest","retries":5,` +
		`"created":"2026-11-21T10:00:00.000Z","deadline":"2026-11-22T10:00:00.000Z","expires":"2027-11-22T10:00:00.000Z",` +
		`"scopes":[],"payload":{"n":1.0},"metadata":{"name":"n","description":"d","owner":"o","source":"https://example.com"},"tags":{},"extra":{}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestTaskQueueNamesMustAgree(t *testing.T) {
	for _, c := range []struct {
		queue, provisioner, worker, want string
	}{
		{"a/b", "", "", ""},
		{"", "a", "b", ""},
		{"a/b", "a", "b", ""},
		{"a/b", "a", "c", "contradicts"},
		{"a/b", "c", "", "contradicts"},
		{"a", "", "", "of the form"},
		{"a/b/c", "", "", "of the form"},
		{"", "a", "", "or both"},
	} {
		d := task.Definition{TaskQueueID: c.queue, ProvisionerID: c.provisioner, WorkerType: c.worker}
		err := d.Complete("x")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestTimesMustFit(t *testing.T) {
	for _, c := range []struct {
		name                       string
		created, deadline, expires time.Duration // from now
		want                       string
	}{
		{"an ordinary task", 0, time.Hour, 24 * time.Hour, ""},
		{"created too long ago", -16 * time.Minute, time.Hour, 24 * time.Hour, "in the past"},
		{"created too far ahead", 16 * time.Minute, time.Hour, 24 * time.Hour, "in the future"},
		{"deadline before created", 5 * time.Minute, 4 * time.Minute, time.Hour, "before created"},
		{"deadline in the past", -5 * time.Minute, -time.Minute, time.Hour, "lies in the past"},
		{"deadline just allowed", 0, task.MaxDeadline + 14*time.Minute, 6 * 24 * time.Hour, ""},
		{"deadline too far ahead", 0, task.MaxDeadline + 16*time.Minute, 6 * 24 * time.Hour, "5 days"},
		{"expires before deadline", 0, time.Hour, 30 * time.Minute, "before deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := task.Definition{Created: task.At(now.Add(c.created)), Deadline: task.At(now.Add(c.deadline)), Expires: task.At(now.Add(c.expires))}
			err := d.CheckTimes(now)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEqualComparesUserJSONByValue(t *testing.T) {
	for _, c := range []struct {
		old, new string
		equal    bool
	}{
		{`{"n": 1.0}`, `{"n": 1}`, true},
		{`{"n": 1.0}`, `{"n":2}`, false},
		{`"priority"`, `"x"`, true}, // not there: nothing replaced
		{`"owner": "o"`, `"owner": "p"`, false},
		{`{"n": 1.0}`, `{"n": 1, "m": null}`, false},
		{`{"n": 1.0}`, `{"n": "1"}`, false},
		{`{"n": 1.0}`, `[1]`, false},
	} {
		a, b := parse(t, minimal), parse(t, strings.Replace(minimal, c.old, c.new, 1))
		if got := a.Equal(&b); got != c.equal {
			t.Errorf("%s for %s: Equal = %v", c.new, c.old, got)
		}
	}
}

func TestBadDefinitionsAreRefused(t *testing.T) {
	for _, text := range []string{`{"surprise": 1}`, `{"created": "yesterday"}`, `{"created": 5}`, `[]`, `{"retries": "x"}`} {
		var d task.Definition
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
	if err := (&task.Definition{Scopes: []string{"a*", "b**"}}).CheckScopes(); err == nil {
		t.Error("a scope ending in ** was accepted")
	}
}

func TestStates(t *testing.T) {
	if got := task.Highest.Rank()*10 + task.Lowest.Rank(); got != 71 || task.Priority("normal").Rank() != 0 {
		t.Errorf("ranks are wrong: %d", got)
	}
	for _, c := range []struct {
		requires task.Requires
		state    task.State
		met      bool
	}{
		{task.AllCompleted, task.Completed, true},
		{task.AllCompleted, task.Failed, false},
		{task.AllResolved, task.Failed, true},
		{task.AllResolved, task.Exception, true},
		{task.AllResolved, task.Running, false},
	} {
		if got := c.requires.Met(c.state); got != c.met {
			t.Errorf("%s with a dependency %s: %v", c.requires, c.state, got)
		}
	}
	if why, again := task.ReasonIntermittentTask.Retry(); !again || why != task.CreatedTaskRetry {
		t.Error("intermittent-task must be retried as task-retry")
	}
	if _, again := task.ReasonMalformedPayload.Retry(); again || !task.ReasonMalformedPayload.Reportable() || task.ReasonCanceled.Reportable() {
		t.Error("malformed-payload is final and reportable, canceled is not reportable")
	}
}
