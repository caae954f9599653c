package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// Push is what a decision and the action and cron tasks after it made of a push.
type Push struct {
	DecisionTaskID string
	Parameters     *params.Parameters
	Full           *graph.Graph // by label
	Targets        []string     // the target set of the decision
	// LabelToTaskID holds the newest task of each label: those of the decision, with those of later
	// action and cron tasks in their place.
	LabelToTaskID map[string]string
}

// Needs says what a callback looks at besides the parameters, so that only that is fetched.
type Needs struct {
	Graph   bool     // Call.Push whole, not only its parameters
	Earlier int      // this many pushes before it
	Graphs  []string // Call.Graphs of these decision and action tasks
}

// Call is everything that a callback may look at.
type Call struct {
	// ActionTaskID is the task that the action runs as: new tasks depend on it and their ids follow
	// from it.
	ActionTaskID string
	TaskGroupID  string
	TaskID       string         // "" for an action on the group
	Definition   map[string]any // of TaskID as plain values; nil without
	Input        any            // plain values; nil for none
	Config       *config.GraphConfig
	Push         Push
	Earlier      []Push // newest first
	Graphs       []Push // of decision and action tasks that the input names, in its order
	Now          time.Time
	// Index answers optimizations; nil: the index knows nothing.
	Index   optimize.IndexFinder
	Star    *star.Files // for strategies of the tree; nil: there are none
	RootURL string      // for artifact references
}

// NewTask is a task to be created.
type NewTask struct {
	TaskID     string         `json:"taskId"`
	Label      string         `json:"label"`
	Definition map[string]any `json:"task"`
}

// OnTask is a task to be rerun or canceled.
type OnTask struct {
	TaskID string `json:"taskId"`
	Label  string `json:"label,omitempty"`
}

// Effects are what an action wants done. Whoever applies them goes through the fields in order.
type Effects struct {
	// Artifacts are to be published by the action task below public/, by name.
	Artifacts map[string][]byte `json:"-"`
	// Tasks are to be created all or none, each after those it depends on.
	Tasks []NewTask `json:"create,omitempty"`
	// Rerun tasks that failed or ended in an exception, unless a rerun was asked for since the
	// action task was created; the others are left alone.
	Rerun []OnTask `json:"rerun,omitempty"`
	// Cancel tasks; those that are resolved stay as they are.
	Cancel []OnTask `json:"cancel,omitempty"`
	// CancelGroups are task groups whose unresolved tasks are to be canceled, the action task apart.
	CancelGroups []string `json:"cancelGroups,omitempty"`
	// Decide asks for a whole decision with these parameters, in the group of the action task.
	Decide *params.Parameters `json:"decide,omitempty"`
	// Log says what the callback did and why, for people.
	Log []string `json:"log,omitempty"`
}

// run is one call under way.
type run struct {
	Call
	action  Definition
	input   map[string]any
	effects Effects
	sets    []set
}

func (r *run) say(format string, args ...any) {
	r.effects.Log = append(r.effects.Log, fmt.Sprintf(format, args...))
}

// Needs says what Run will want to see for this action with this input. A wrong input is an error.
func (r *Registry) Needs(callback string, input any) (Needs, error) {
	d, err := r.lookup(callback)
	if err != nil {
		return Needs{}, err
	}
	in, err := d.CheckInput(input)
	if err != nil || d.needs == nil {
		return Needs{}, err
	}
	return d.needs(in), nil
}

// Run runs the callback of that name and says what it wants done. Nothing has happened when it
// returns. Faults of what people asked for and of the tree are told in the error.
func (r *Registry) Run(ctx context.Context, callback string, c Call) (Effects, error) {
	d, err := r.lookup(callback)
	if err != nil {
		return Effects{}, err
	}
	in, err := d.CheckInput(c.Input)
	if err != nil {
		return Effects{}, err
	}
	if err := d.check(c); err != nil {
		return Effects{}, fmt.Errorf("action %s: %w", callback, err)
	}
	state := &run{Call: c, action: d, input: in, effects: Effects{Artifacts: map[string][]byte{}}}
	if err := errors.Join(ctx.Err(), d.run(ctx, state)); err != nil {
		return Effects{}, fmt.Errorf("action %s: %w", callback, err)
	}
	if err := state.combine(); err != nil {
		return Effects{}, fmt.Errorf("action %s: %w", callback, err)
	}
	return state.effects, nil
}

// check refuses a call that the action's context does not fit.
func (d Definition) check(c Call) error {
	switch {
	case c.Push.Parameters == nil || c.Config == nil:
		return errors.New("a call needs parameters and a configuration")
	case d.OnGroup():
		return nil
	case c.TaskID == "" || c.Definition == nil:
		return fmt.Errorf("%q is an action on a task, and none is given", d.Title)
	case !Matches(d.Context, tags(c.Definition)):
		return fmt.Errorf("%q is not for task %s: its tags are %v", d.Title, c.TaskID, tags(c.Definition))
	}
	return nil
}

// tags are the tags of a definition.
func tags(definition map[string]any) map[string]string {
	out := map[string]string{}
	m, _ := definition["tags"].(map[string]any)
	for name, v := range m {
		if s, ok := v.(string); ok {
			out[name] = s
		}
	}
	return out
}
