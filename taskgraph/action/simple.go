package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/value"
)

// addNewJobs creates the labels listed.
func addNewJobs(ctx context.Context, r *run) error {
	wanted, _ := value.Strings(r.input["tasks"])
	if len(wanted) == 0 {
		return errors.New("the input names no tasks: give tasks, a list of labels")
	}
	if err := r.createTimes(ctx, order{push: r.Push, labels: wanted}, count(r.input)); err != nil {
		return err
	}
	r.say("added %d tasks %d times: %d created with what they need", len(wanted), count(r.input), len(r.effects.Tasks))
	return nil
}

// rebuildCached creates all tasks whose results others find in the index.
func rebuildCached(ctx context.Context, r *run) error {
	var cached []string
	for label, t := range r.Push.Full.All() {
		if value.Truthy(t.Attribute("cached_task")) {
			cached = append(cached, label)
		}
	}
	if len(cached) == 0 {
		r.say("the graph has no cached tasks")
		return nil
	}
	if _, err := r.create(ctx, order{push: r.Push, labels: cached}); err != nil {
		return err
	}
	r.say("rebuilt %d cached tasks", len(cached))
	return nil
}

// rerun runs a failed task of the push again. Tasks of other pushes are refused, unless this push
// uses them.
func rerun(_ context.Context, r *run) error {
	group := value.String(r.Definition, "taskGroupId")
	if group != r.TaskGroupID && !slices.Contains(slices.Collect(maps.Values(r.Push.LabelToTaskID)), r.TaskID) {
		return fmt.Errorf("task %s is of task group %s, and decision %s does not use it: it is not rerun", r.TaskID, group, r.Push.DecisionTaskID)
	}
	r.effects.Rerun = append(r.effects.Rerun, OnTask{TaskID: r.TaskID, Label: r.label()})
	return nil
}

func cancel(_ context.Context, r *run) error {
	r.effects.Cancel = append(r.effects.Cancel, OnTask{TaskID: r.TaskID, Label: r.label()})
	return nil
}

func cancelAll(_ context.Context, r *run) error {
	r.effects.CancelGroups = append(r.effects.CancelGroups, r.TaskGroupID)
	return nil
}

// runMissing creates those of the targets of the given kinds that optimization left out.
func runMissing(kinds []string) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		var missing []string
		ran := 0
		for _, label := range r.Push.Targets {
			t := r.Push.Full.Task(label)
			if t == nil || !slices.Contains(kinds, t.Kind) {
				continue
			}
			if _, has := r.Push.LabelToTaskID[label]; has {
				ran++
				continue
			}
			missing = append(missing, label)
		}
		r.say("of %d tests selected, %d exist and %d are created", ran+len(missing), ran, len(missing))
		if len(missing) == 0 {
			return nil
		}
		_, err := r.create(ctx, order{push: r.Push, labels: missing})
		return err
	}
}
