package action

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/reldate"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// label is the label of the task acted on: its name, or what its push calls it.
func (r *run) label() string {
	for _, label := range slices.Sorted(maps.Keys(r.Push.LabelToTaskID)) {
		if r.Push.LabelToTaskID[label] == r.TaskID {
			return label
		}
	}
	return value.String(value.Map(r.Definition, "metadata"), "name")
}

// retrigger makes the task again, and with downstream what depends on it and ever ran.
func retrigger(ctx context.Context, r *run) error {
	label := r.label()
	t := r.Push.Full.Task(label)
	if t == nil {
		return unknownLabel(r.Push, label)
	}
	if !value.Truthy(t.Attribute("retrigger")) && !value.Truthy(r.input["force"]) {
		return fmt.Errorf("%s is not meant to be retriggered: its kind does not give it the attribute retrigger; rerun it, or give force: true", label)
	}
	toRun, with := []string{label}, ""
	if value.Truthy(r.input["downstream"]) {
		toRun, with = r.downstream(label), " with what depends on it"
	}
	n := count(r.input)
	if err := r.createTimes(ctx, order{push: r.Push, labels: toRun}, n); err != nil {
		return err
	}
	r.say("retriggered %s%s %d times: %d tasks", label, with, n, len(r.effects.Tasks))
	return nil
}

// downstream gives the label and all that depend on it, near and far, as far as they ever ran.
func (r *run) downstream(label string) []string {
	seen, todo := map[string]bool{label: true}, []string{label}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, user := range r.Push.Full.Users(next) {
			if !seen[user] {
				seen[user] = true
				todo = append(todo, user)
			}
		}
	}
	var out []string
	for l := range seen {
		if _, ran := r.Push.LabelToTaskID[l]; ran || l == label {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

// count is how many times the input asks for.
func count(input map[string]any) int64 {
	if n, ok := input["times"].(int64); ok {
		return n
	}
	return 1
}

// retriggerDecision makes a decision, action or cron task again: the same definition, its dates
// shifted to now.
func retriggerDecision(_ context.Context, r *run) error {
	created, err := reldate.Resolve(r.Definition["created"], r.Now)
	if err != nil {
		return fmt.Errorf("task %s: created: %w", r.TaskID, err)
	}
	name := value.String(value.Map(r.Definition, "metadata"), "name")
	definition, _ := shifted(r.Definition, r.Now.Sub(created)).(map[string]any)
	id := taskgraph.TaskID(r.ActionTaskID, "retrigger-decision\x00"+r.TaskID)
	r.effects.Tasks = append(r.effects.Tasks, NewTask{TaskID: id, Label: name, Definition: definition})
	r.say("created %s (%s) like %s", id, name, r.TaskID)
	return nil
}

var datestamp = regexp.MustCompile(`\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z`)

// shifted gives a copy of v with every date in it moved by d.
func shifted(v any, d time.Duration) any {
	switch v := v.(type) {
	case string:
		if !datestamp.MatchString(v) {
			return v
		}
		t, err := time.Parse(reldate.Layout, v)
		if err != nil {
			return v
		}
		return t.Add(d).UTC().Format(reldate.Layout)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = shifted(e, d)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = shifted(e, d)
		}
		return out
	}
	return v
}

// retriggerMultiple serves lists of tasks: those that may be retriggered are made anew, the others
// run again.
func retriggerMultiple(ctx context.Context, r *run) error {
	for i, v := range value.List(r.input, "requests") {
		request, _ := v.(map[string]any) // as the schema has it
		wanted, _ := value.Strings(request["tasks"])
		var anew []string
		for _, label := range wanted {
			t := r.Push.Full.Task(label)
			if t != nil && value.Truthy(t.Attribute("retrigger")) {
				anew = append(anew, label)
				continue
			}
			id, ran := r.Push.LabelToTaskID[label]
			if !ran {
				return fmt.Errorf("requests[%d]: no task %s ran in the push, so there is none to rerun", i, label)
			}
			r.say("%s is not meant to be retriggered; its task %s is run again", label, id)
			r.effects.Rerun = append(r.effects.Rerun, OnTask{TaskID: id, Label: label})
		}
		if len(anew) == 0 {
			continue
		}
		if err := r.createTimes(ctx, order{push: r.Push, labels: anew, suffix: fmt.Sprintf("%d-", i)}, count(request)); err != nil {
			return err
		}
		r.say("retriggered %d tasks %d times", len(anew), count(request))
	}
	return nil
}
