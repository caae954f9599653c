package star

import (
	"context"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// What an Effect does.
const (
	CreateTasks = "create-tasks" // tasks of the full graph by label, with what they need
	CreateTask  = "create-task"  // one task of a definition
	RerunTask   = "rerun-task"
	CancelTask  = "cancel-task"
	CancelGroup = "cancel-group" // all unresolved tasks of a group
	Decide      = "decide"       // a decision anew, with changed parameters
)

// Effect is one thing that the callback of an action asks for. Which fields count depends on Do.
type Effect struct {
	Do          string
	Labels      []string       // CreateTasks
	Times       int            // CreateTasks, CreateTask: how often, at least 1
	Definition  map[string]any // CreateTask
	TaskID      string         // RerunTask, CancelTask
	TaskGroupID string         // CancelGroup
	Parameters  map[string]any // Decide: those that change

	run    *invocation
	modify *starlark.Function
}

// ActionCall is what the callback of an action sees.
type ActionCall struct {
	Params, GraphConfig map[string]any
	Input               any
	TaskID, TaskGroupID string         // TaskID is "" for an action on the group
	Definition          map[string]any // of TaskID; nil for an action on the group
	// Labels are those of the full graph of the push; Task gives one task in its JSON form.
	Labels        []string
	Task          func(label string) (map[string]any, bool)
	LabelToTaskID map[string]string
}

func (c ActionCall) value() starlark.Value {
	orNone := func(s string) starlark.Value {
		if s == "" {
			return starlark.None
		}
		return starlark.String(s)
	}
	var definition any
	if c.Definition != nil {
		definition = c.Definition
	}
	return &bounded.Record{Name: "context", Fields: map[string]func() (starlark.Value, error){
		"params": bounded.LazyField(c.Params), "graph_config": bounded.LazyField(c.GraphConfig), "input": bounded.LazyField(c.Input),
		"task_id": bounded.Constant(orNone(c.TaskID)), "task_group_id": bounded.Constant(orNone(c.TaskGroupID)), "task": bounded.LazyField(definition),
		"tasks": bounded.Constant(newTable(c.Labels, c.Task)), "label_to_task_id": bounded.LazyField(c.LabelToTaskID),
	}}
}

// Run calls the action's callback and gives the effects it asks for, in its order. The effects'
// Modify belong to the goroutine that called Run. Errors are *Error.
func (d ActionDef) Run(ctx context.Context, call ActionCall) ([]Effect, error) {
	if d.module == nil {
		return nil, errors.New("star: the action is not one that Actions gave")
	}
	v := d.module.invokeFunction(ctx, d.callback, len(call.Labels))
	v.label = call.TaskID
	res, err := v.call(call.value())
	if err != nil {
		return nil, err
	}
	var effects []Effect
	take := func(x starlark.Value) error {
		e, ok := x.(*effect)
		if !ok {
			return v.fail(v.gave(x, "an effect (effect.create_tasks(…), effect.rerun_task(…), …), a list of effects, or None"))
		}
		out, err := e.finish(v, call)
		if err != nil {
			return v.fail(err)
		}
		effects = append(effects, out)
		return nil
	}
	switch res := res.(type) {
	case starlark.NoneType:
	case *starlark.List:
		if res.Len() > maxEffects {
			return nil, v.fail(bounded.Limitf("gives %d effects, the limit is %d", res.Len(), maxEffects))
		}
		for i := range res.Len() {
			if err := take(res.Index(i)); err != nil {
				return nil, err
			}
		}
	default:
		if err := take(res); err != nil {
			return nil, err
		}
	}
	return effects, nil
}

// Modifies reports whether the callback gave a function that changes the tasks to be created.
func (e Effect) Modifies() bool { return e.modify != nil }

// Modify changes a task that is to be created, in its JSON form, as the callback asked; without
// a function it gives task itself. task is not written to.
func (e Effect) Modify(label string, task map[string]any) (map[string]any, error) {
	if e.modify == nil {
		return task, nil
	}
	v := *e.run
	v.fn, v.label = e.modify, label
	in, err := bounded.Lazily(task)
	if err != nil {
		return nil, v.fail(err)
	}
	v.subject = in
	res, err := v.call(in)
	if err != nil {
		return nil, err
	}
	if !bounded.IsDict(res) {
		return nil, v.fail(v.gave(res, "the task (a dict)"))
	}
	out, err := v.budget.FromStarlark().Mapping(res, task)
	if err != nil {
		return nil, v.fail(err)
	}
	return out, nil
}

// effect is the Starlark value of an Effect.
type effect struct {
	Effect
	definition, parameters starlark.Value
}

func (e *effect) String() string        { return "<effect " + e.Do + ">" }
func (e *effect) Type() string          { return "effect" }
func (e *effect) Freeze()               {} // read-only from the start
func (e *effect) Truth() starlark.Bool  { return true }
func (e *effect) Hash() (uint32, error) { return 0, errors.New("unhashable: effect") }

// finish converts what the effect holds once the callback is done.
func (e *effect) finish(v *invocation, call ActionCall) (Effect, error) {
	out := e.Effect
	out.run = v
	for _, label := range out.Labels {
		if call.Task != nil {
			if _, ok := call.Task(label); ok {
				continue
			}
		}
		return out, fmt.Errorf("effect.create_tasks: the graph has no task %q", label)
	}
	for _, part := range []struct {
		from starlark.Value
		to   *map[string]any
		was  map[string]any
	}{{e.definition, &out.Definition, call.Definition}, {e.parameters, &out.Parameters, nil}} {
		if part.from == nil {
			continue
		}
		m, err := v.budget.FromStarlark().Mapping(part.from, part.was)
		if err != nil {
			return out, err
		}
		*part.to = m
	}
	return out, nil
}

// effects is the module effect.
func effects() *bounded.Record {
	return bounded.Module("effect",
		starlark.NewBuiltin("effect.create_tasks", createTasks), starlark.NewBuiltin("effect.create_task", createTask),
		starlark.NewBuiltin("effect.rerun_task", onTask(RerunTask)), starlark.NewBuiltin("effect.cancel_task", onTask(CancelTask)),
		starlark.NewBuiltin("effect.cancel_group", cancelGroup), starlark.NewBuiltin("effect.decide", decide))
}

// maxEffects is how many effects one callback may ask for.
const maxEffects = 10_000

// maxTimes is how often one effect may create its tasks.
const maxTimes = 100

func checkTimes(n int) error {
	if n < 1 || n > maxTimes {
		return fmt.Errorf("times is %d, not between 1 and %d", n, maxTimes)
	}
	return nil
}

func createTasks(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	e := &effect{Effect: Effect{Do: CreateTasks, Times: 1}}
	var labels *starlark.List
	var modify starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "labels", &labels, "times?", &e.Times, "modify?", &modify); err != nil {
		return nil, err
	}
	if err := bounded.BudgetOf(t).Elements(t, labels.Len()); err != nil {
		return nil, err
	}
	seen := make(map[string]bool, labels.Len())
	for i := range labels.Len() {
		s, ok := starlark.AsString(labels.Index(i))
		if !ok {
			return nil, fmt.Errorf("%s: labels[%d] is a %s, not a string", b.Name(), i, labels.Index(i).Type())
		}
		if !seen[s] {
			seen[s] = true
			e.Labels = append(e.Labels, s)
		}
	}
	switch fn := modify.(type) {
	case nil, starlark.NoneType:
	case *starlark.Function:
		e.modify = fn
	default:
		return nil, fmt.Errorf("%s: modify is a %s, not a function", b.Name(), modify.Type())
	}
	return e, checkTimes(e.Times)
}

func createTask(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	e := &effect{Effect: Effect{Do: CreateTask, Times: 1}}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "definition", &e.definition, "times?", &e.Times); err != nil {
		return nil, err
	}
	return e, checkTimes(e.Times)
}

func onTask(do string) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		e := &effect{Effect: Effect{Do: do}}
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "task_id", &e.TaskID); err != nil {
			return nil, err
		}
		return e, nil
	}
}

func cancelGroup(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	e := &effect{Effect: Effect{Do: CancelGroup}}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "task_group_id", &e.TaskGroupID); err != nil {
		return nil, err
	}
	return e, nil
}

func decide(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	e := &effect{Effect: Effect{Do: Decide}}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "parameters", &e.parameters); err != nil {
		return nil, err
	}
	return e, nil
}
