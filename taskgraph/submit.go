package taskgraph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/reldate"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Submission is a task as the queue is to be given it.
type Submission struct {
	TaskID, Label string
	// Definition is complete: dates are dates, references resolved, group and scheduler set.
	Definition map[string]any
}

// MaxDuplicates is how many copies of one task a graph may ask for.
const MaxDuplicates = 1000

// Submissions makes the definitions of all tasks of the morphed graph, each after those it
// depends on. Dates count from now. A task without a dependency in the graph depends on the
// decision's, so that nothing runs before the decision has succeeded (taskgraph-map 17.1). The
// attribute task_duplicates asks for several tasks of one kind; their ids follow from the first.
func (r *Result) Submissions(now time.Time, decisionTaskID string) ([]Submission, error) {
	if r.Morphed == nil {
		return nil, errors.New("taskgraph: the graph is not finished: generate up to Morphed first")
	}
	order, err := r.Morphed.Postorder()
	if err != nil {
		return nil, err
	}
	scheduler := r.Config.TrustDomain() + "-level-" + r.Parameters.String("level")
	out := make([]Submission, 0, len(order))
	for _, id := range order {
		t := r.Morphed.Task(id)
		def, err := r.definition(t, now, decisionTaskID)
		if err != nil {
			return nil, err
		}
		def["taskGroupId"], def["schedulerId"] = decisionTaskID, scheduler
		out = append(out, Submission{TaskID: id, Label: t.Label, Definition: def})
		copies, err := duplicates(t)
		if err != nil {
			return nil, err
		}
		for n := int64(1); n < copies; n++ {
			out = append(out, Submission{TaskID: TaskID(id, fmt.Sprintf("%s %d", t.Label, n)), Label: t.Label, Definition: maps.Clone(def)})
		}
	}
	return out, nil
}

func (r *Result) definition(t *graph.Task, now time.Time, decisionTaskID string) (map[string]any, error) {
	v, err := reldate.Replace(t.Definition, now)
	if err != nil {
		return nil, faultOf(t, "%v", err)
	}
	replaced, ok := v.(map[string]any)
	if !ok {
		return nil, faultOf(t, "its definition must be a mapping, not %s", value.Kind(v))
	}
	def := maps.Clone(replaced)
	dependencies := value.List(def, "dependencies")
	inside := slices.ContainsFunc(dependencies, func(d any) bool {
		id, _ := d.(string)
		return r.Morphed.Has(id)
	})
	named := slices.Contains(dependencies, any(decisionTaskID)) // by an action task in a group of its own
	if !inside && !named && decisionTaskID != "" {
		def["dependencies"] = value.Append(dependencies, decisionTaskID)
	}
	return def, nil
}

func duplicates(t *graph.Task) (int64, error) {
	n, ok := t.Attributes["task_duplicates"].(int64)
	if !ok {
		return 1, nil
	}
	if n > MaxDuplicates {
		return 0, faultOf(t, "asks for %d copies of itself (task_duplicates); the limit is %d", n, MaxDuplicates)
	}
	return n, nil
}
