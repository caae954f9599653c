package action

import (
	"context"
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/reldate"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// starlarkActions are those that the tree's files register.
func starlarkActions(ctx context.Context, t Tree) ([]Definition, error) {
	if t.Files == nil || t.Params == nil {
		return nil, nil
	}
	names, err := star.ActionFiles(t.Files, t.Config.Root)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	files := t.Star
	if files == nil {
		files = star.NewFiles(t.Files, star.Options{})
	}
	found, err := files.Actions(ctx, names, star.ActionConfig{Params: t.Params.Map(), GraphConfig: t.Config.Values})
	if err != nil {
		return nil, treeFault(err)
	}
	out := make([]Definition, len(found))
	for i, d := range found {
		if d.Schema != nil {
			if err := CompileSchema(d.Schema); err != nil {
				return nil, &graph.Error{File: d.File, Line: d.Line, Message: fmt.Sprintf("action %q: schema: %v", d.Callback, err)}
			}
		}
		out[i] = Definition{
			Name: d.Name, Callback: d.Callback, Title: d.Title, Symbol: d.Symbol, Description: d.Description, Permission: d.Permission,
			Order: d.Order, Context: d.Context, Schema: d.Schema, File: d.File, Line: d.Line,
			hidden: !d.Available, needs: graphOnly, run: ofStarlark(d),
		}
	}
	return out, nil
}

// treeFault gives an error of Starlark the form that all faults of a tree have.
func treeFault(err error) error {
	e, ok := errors.AsType[*star.Error](err)
	if !ok {
		return err
	}
	return &graph.Error{File: e.File, Line: e.Line, Label: e.Label, Message: "Starlark", Err: err}
}

// ofStarlark runs the callback of the tree and carries out what it asks for.
func ofStarlark(d star.ActionDef) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		effects, err := d.Run(ctx, star.ActionCall{
			Params: r.Push.Parameters.Map(), GraphConfig: r.Config.Values, Input: r.input,
			TaskID: r.TaskID, TaskGroupID: r.TaskGroupID, Definition: r.Definition,
			Labels: r.Push.Full.Keys(), LabelToTaskID: r.Push.LabelToTaskID,
			Task: func(label string) (map[string]any, bool) {
				t := r.Push.Full.Task(label)
				if t == nil {
					return nil, false
				}
				return t.JSON(), true
			},
		})
		if err != nil {
			return treeFault(err)
		}
		for i, e := range effects {
			if err := r.starlark(ctx, i, e); err != nil {
				return err
			}
		}
		return nil
	}
}

// starlark carries out one effect, the i-th of the callback.
func (r *run) starlark(ctx context.Context, i int, e star.Effect) error {
	switch e.Do {
	case star.CreateTasks:
		o := order{push: r.Push, labels: e.Labels, suffix: fmt.Sprintf("%d-", i)}
		if e.Modifies() {
			o.modify = func(t *graph.Task) (*graph.Task, error) { return modified(e, t) }
		}
		if err := r.createTimes(ctx, o, int64(e.Times)); err != nil {
			return err
		}
		r.say("created %d tasks %d times", len(e.Labels), e.Times)
	case star.CreateTask:
		for n := range e.Times {
			if err := r.createOne(fmt.Sprintf("%d-%d", i, n), e.Definition); err != nil {
				return err
			}
		}
	case star.RerunTask:
		r.effects.Rerun = append(r.effects.Rerun, OnTask{TaskID: e.TaskID})
	case star.CancelTask:
		r.effects.Cancel = append(r.effects.Cancel, OnTask{TaskID: e.TaskID})
	case star.CancelGroup:
		r.effects.CancelGroups = append(r.effects.CancelGroups, e.TaskGroupID)
	case star.Decide:
		if r.effects.Decide != nil {
			return errors.New("an action can ask for one decision only")
		}
		p, err := r.Push.Parameters.Merge(e.Parameters)
		if err != nil {
			return err
		}
		r.effects.Decide = p
	default:
		return fmt.Errorf("the effect %q is not known", e.Do)
	}
	return nil
}

func modified(e star.Effect, t *graph.Task) (*graph.Task, error) {
	m, err := e.Modify(t.Label, t.JSON())
	if err != nil {
		return nil, treeFault(err)
	}
	out, err := graph.FromJSON(m)
	if err != nil {
		return nil, &graph.Error{Label: t.Label, Message: err.Error()}
	}
	out.Provenance = t.Provenance
	return out, nil
}

// createOne makes a task of a definition in the group of the push.
func (r *run) createOne(name string, definition map[string]any) error {
	label := value.String(value.Map(definition, "metadata"), "name")
	t := r.withParent(&graph.Task{Label: label, Definition: definition})
	v, err := reldate.Replace(t.Definition, r.Now)
	if err != nil {
		return fmt.Errorf("effect.create_task: %w", err)
	}
	d, ok := v.(map[string]any)
	if !ok {
		return errors.New("effect.create_task: the definition must be a mapping")
	}
	d["taskGroupId"] = r.TaskGroupID
	if value.String(d, "schedulerId") == "" {
		d["schedulerId"] = r.Config.TrustDomain() + "-level-" + r.Push.Parameters.String("level")
	}
	id := taskgraph.TaskID(r.ActionTaskID, name)
	r.effects.Tasks = append(r.effects.Tasks, NewTask{TaskID: id, Label: label, Definition: d})
	r.say("created %s (%s)", id, label)
	return nil
}
