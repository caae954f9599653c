package action

import (
	"context"
	"fmt"
	"maps"
	"regexp"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func backfillSchema() map[string]any {
	s := object(
		"depth", map[string]any{"type": "integer", "title": "Depth", "default": int64(19), "minimum": int64(1), "maximum": int64(25),
			"description": "How many pushes before this one get the task."},
		"inclusive", map[string]any{"type": "boolean", "title": "Inclusive Range", "default": false,
			"description": "If true, this push gets the task once more, too."},
		"times", times(10),
		"retrigger", map[string]any{"type": "boolean", "title": "Retrigger", "default": true,
			"description": "If false, pushes in which the task ran are left out."},
	)
	s["additionalProperties"] = false
	return s
}

func backfillNeeds(input map[string]any) Needs {
	depth, _ := input["depth"].(int64)
	return Needs{Graph: true, Earlier: int(depth)}
}

// backfill makes the task in earlier pushes, each in the group of that push's decision. All tasks of
// all pushes are created at once, or none.
func backfill(ctx context.Context, r *run) error {
	label := r.label()
	pushes := r.Earlier
	if value.Truthy(r.input["inclusive"]) {
		pushes = append([]Push{r.Push}, pushes...)
	}
	if len(pushes) == 0 {
		return fmt.Errorf("no decision of an earlier push of %s is known to the index", r.Push.Parameters.String("project"))
	}
	for i, p := range pushes {
		revision := p.Parameters.String("head_rev")
		found, ok := sameTest(p.Full, label)
		switch {
		case !ok:
			r.say("%s: has no task %s", revision, label)
			continue
		case p.LabelToTaskID[found] != "" && !value.Truthy(r.input["retrigger"]):
			r.say("%s: %s ran already", revision, found)
			continue
		}
		o := order{push: p, labels: []string{found}, suffix: fmt.Sprintf("%d-", i), modify: func(t *graph.Task) (*graph.Task, error) {
			if t.Label != found {
				return t, nil
			}
			return r.backfilled(t), nil
		}}
		if err := r.createTimes(ctx, o, count(r.input)); err != nil {
			return fmt.Errorf("push %s: %w", revision, err)
		}
		r.say("%s: created %s %d times", revision, found, count(r.input))
	}
	if len(r.effects.Tasks) == 0 {
		return fmt.Errorf("none of %d pushes got the task", len(pushes))
	}
	return nil
}

var chunk = regexp.MustCompile(`-\d+(-|$)`)

// sameTest finds the task in the graph of another push: by its label, or as the first chunk of it
// where the chunk does not exist.
func sameTest(full *graph.Graph, label string) (string, bool) {
	if full.Has(label) {
		return label, true
	}
	if at := chunk.FindAllStringIndex(label, -1); len(at) > 0 {
		last := at[len(at)-1]
		first := label[:last[0]] + "-1" + label[last[0]:][len(trimDigits(label[last[0]:])):]
		return first, full.Has(first)
	}
	return "", false
}

// trimDigits is the dash and the digits that s begins with.
func trimDigits(s string) string {
	end := 1
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	return s[:end]
}

// shortRevision is how much of a revision a symbol shows.
const shortRevision = 11

// backfilled marks a task as made for another push, and gives it the tests of that push's task: with
// other chunks the same tests may stand elsewhere.
func (r *run) backfilled(t *graph.Task) *graph.Task {
	t = t.Clone()
	if treeherder := value.Map(value.Map(t.Definition, "extra"), "treeherder"); treeherder != nil {
		revision := r.Push.Parameters.String("head_rev")
		marked := maps.Clone(treeherder)
		marked["symbol"] = fmt.Sprintf("%s-%s-bk", r.symbol("symbol", treeherder), revision[:min(shortRevision, len(revision))])
		if group := r.symbol("groupSymbol", treeherder); group != "" {
			marked["groupSymbol"] = group + "-bk"
		}
		extra := maps.Clone(value.Map(t.Definition, "extra"))
		extra["treeherder"] = marked
		t.Definition["extra"] = extra
	}
	const manifests = "MOZHARNESS_TEST_PATHS"
	if paths := value.String(value.Map(value.Map(r.Definition, "payload"), "env"), manifests); paths != "" {
		payload := maps.Clone(value.Map(t.Definition, "payload"))
		env := maps.Clone(value.Map(payload, "env"))
		if payload != nil && env != nil {
			env[manifests] = paths
			payload["env"], t.Definition["payload"] = env, payload
		}
	}
	return t
}

// symbol is that of the task acted on, or without one that of its like.
func (r *run) symbol(key string, like map[string]any) string {
	if own, ok := value.Get(r.Definition, "extra.treeherder."+key); ok {
		if s, ok := own.(string); ok {
			return s
		}
	}
	return value.String(like, key)
}
