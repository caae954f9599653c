package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// actionTag is the tag kind of action tasks.
const actionTag = "action-callback"

// asked is what an action task is to do: the key action of its payload. On a worker the same stands in
// the environment (docs/reference/actions.md).
type asked struct {
	Callback    string          `json:"callback"`
	TaskGroupID string          `json:"taskGroupId"`
	TaskID      *string         `json:"taskId"` // null for the group
	Input       json.RawMessage `json:"input"`
}

// check returns the task that the action is for, "" for the group, and the input as plain values.
func (a *asked) check() (taskID string, input any, err error) {
	if a.Callback == "" {
		return "", nil, mistake("bad-config", configFile, 0, "payload.action.callback of the action task is missing: it names the action, ${action.cb_name}")
	}
	if !slug.Valid(a.TaskGroupID) {
		return "", nil, mistake("bad-config", configFile, 0, "payload.action.taskGroupId %q of the action task is not the id of a task group", a.TaskGroupID)
	}
	if a.TaskID != nil {
		if taskID = *a.TaskID; !slug.Valid(taskID) {
			return "", nil, mistake("bad-config", configFile, 0, "payload.action.taskId %q of the action task is not the id of a task", taskID)
		}
	}
	if input, err = perform.PlainJSON("payload.action.input", a.Input); err != nil {
		return "", nil, mistake("bad-config", configFile, 0, "%v", err)
	}
	return taskID, input, nil
}

// act does what an action task asks for, with the task's own scopes. What the task is about is taken from
// the record of the push and from the decision, as on a worker; that the task may run the action at
// all follows from the push's repository alone. Doing it again does nothing twice.
func (d *nativeDecision) act(ctx context.Context) error {
	a := d.options.Action
	taskID, input, err := a.check()
	if err != nil {
		return err
	}
	o, tree, err := d.openGroup(ctx, a.TaskGroupID)
	if err != nil {
		return err
	}
	held, err := d.Expand(ctx, append([]string{"assume:anonymous"}, d.claim.Task.Scopes...))
	if err != nil {
		return err
	}
	say := func(line string) { d.say("print: %s", line) }
	hooks, err := taskgraph.ReadHooks(ctx, tree, d.options.Root, say)
	if err != nil {
		return err
	}
	files := star.NewFiles(tree, star.Options{Print: say})
	r := &perform.Performer{
		Server: &rooms{d, scope.NewSet(held)}, Config: hooks.Config(), Own: d.claim.Status.TaskID, Since: d.claim.Task.Created.Time,
		Say: d.say, Decisions: d.decisionsBefore(o.Push),
	}
	p, err := r.Parameters(ctx, a.TaskGroupID)
	if err != nil {
		return err
	}
	registry, err := action.New(ctx, action.Tree{Config: hooks.Config(), Params: p, Files: tree, Star: files})
	if err != nil {
		return asActionMistake(ctx, err)
	}
	if err := d.checkAction(registry, p, o); err != nil {
		return err
	}
	call := action.Call{
		ActionTaskID: r.Own, TaskGroupID: a.TaskGroupID, TaskID: taskID, Input: input, Config: hooks.Config(),
		Push: action.Push{Parameters: p}, Now: r.Since, Index: d.find, Star: files, RootURL: d.RootURL,
	}
	if _, err := registry.Needs(a.Callback, input); err != nil {
		return asActionMistake(ctx, err)
	}
	if err := r.Complete(ctx, registry, a.Callback, &call); err != nil {
		return err
	}
	effects, err := registry.Run(ctx, a.Callback, call)
	if err != nil {
		return asActionMistake(ctx, err)
	}
	if err := r.Apply(ctx, effects); err != nil || effects.Decide == nil {
		return err
	}
	return d.decideFor(ctx, o.Push, tree, effects.Decide)
}

// checkAction holds the permission of the action against the scopes that the task itself names, and the
// parameters, which a decision on a worker may have written as it liked, against the record of the push.
func (d *nativeDecision) checkAction(registry *action.Registry, p *params.Parameters, o Occasion) error {
	callback := d.options.Action.Callback
	definition, ok := registry.Lookup(callback)
	if !ok {
		return nil // Needs says what there is
	}
	if p.String("head_repository") != o.HeadURL() || p.String("head_rev") != o.Push.Revision || p.IsPullRequest() != o.PullRequest() {
		return mistake("forged", "", 0, "The parameters of the decision speak of another repository than the push, or of another revision: %s at %s, not %s at %s.",
			p.String("head_repository"), p.String("head_rev"), o.HeadURL(), o.Push.Revision)
	}
	want := actionScope(o.Repository, o.PullRequest(), definition.Permission)
	if !slices.Contains(d.claim.Task.Scopes, want) {
		return mistake("insufficient-scopes", configFile, 0, "action %s: the action task must hold the scope %s itself, and does not (it holds %s)",
			callback, want, strings.Join(d.claim.Task.Scopes, ", "))
	}
	d.say("Action %s (%s)", callback, definition.Title)
	return nil
}

// PullRequest reports whether it is a change that is not in the repository yet.
func (o Occasion) PullRequest() bool { return strings.HasPrefix(o.TasksFor, "github-pull-request") }

// HeadURL is where the revision can be cloned from: head_repository of the parameters.
func (o Occasion) HeadURL() string {
	if o.Change != nil {
		return o.Change.HeadRepository
	}
	return o.Repository.URL
}

// BaseURL is the repository that the change is for: base_repository of the parameters.
func (o Occasion) BaseURL() string {
	if o.Change != nil {
		return o.Change.BaseRepository
	}
	return o.Repository.URL
}

// Level is how far the change is trusted, 1 to 3.
func (o Occasion) Level() int {
	if o.Change != nil {
		return o.Change.Level
	}
	return o.Repository.Level
}

// actionScope is the scope that an action task on a push to a repository must name.
func actionScope(r push.Repository, pullRequest bool, permission string) string {
	what := ":action:"
	if pullRequest {
		what = ":pr-action:"
	}
	return "assume:" + Role(r) + what + permission
}

// openGroup finds what a task group is for and opens its tree.
func (d *nativeDecision) openGroup(ctx context.Context, group string) (Occasion, Tree, error) {
	o, err := d.Occasion(ctx, group)
	if fault.KindOf(err) == fault.NotFound {
		return o, nil, mistake("no-push", "", 0, "Task queue %s takes actions on recorded pushes and on jobs of .cron.yml only, and none has task group %s.", decisionQueue, group)
	}
	if err != nil {
		return o, nil, err
	}
	d.say("On %s: %s at %s", o.Repository.Name, o.Push.Branch, o.Push.Revision)
	tree, err := d.At(ctx, o.Repository, o.Push.Revision)
	if err != nil {
		return o, nil, err
	}
	return o, tree, tree.Prefetch(d.options.Root, configFile)
}

// maxEarlier is how many pushes are looked through for those of the same branch.
const maxEarlier = 500

// decisionsBefore finds the decisions before a push of its branch, by the record.
func (d *nativeDecision) decisionsBefore(p push.Push) func(context.Context, *params.Parameters, int) ([]string, error) {
	return func(ctx context.Context, _ *params.Parameters, n int) ([]string, error) {
		list, err := d.Push.List(ctx, p.Repository, p.ID, maxEarlier)
		var ids []string
		for _, e := range list {
			if e.Branch == p.Branch && e.TaskGroupID != "" && len(ids) < n {
				ids = append(ids, e.TaskGroupID)
			}
		}
		return ids, err
	}
}

// decideFor makes a whole decision with these parameters, in the group of the action task.
func (d *nativeDecision) decideFor(ctx context.Context, p push.Push, tree Tree, parameters *params.Parameters) error {
	result, err := d.graph(ctx, p, tree, parameters)
	if err != nil {
		return asActionMistake(ctx, err)
	}
	return d.finish(ctx, result)
}

// asActionMistake makes what a tree or its input did wrong a mistake: running an action is a pure
// function, so doing it again helps only when it was interrupted.
func asActionMistake(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	err = asMistake(err)
	if _, ok := errors.AsType[*mistakeError](err); ok {
		return err
	}
	return mistake("bad-action", "", 0, "%v", err)
}

// actionError makes what was wrong with what was asked for a mistake; what is wrong with the server stays.
func actionError(err error) error {
	err = asMistake(err)
	if _, ok := errors.AsType[*mistakeError](err); ok || !isInput(err) {
		return err
	}
	return mistake("bad-action", "", 0, "%s", fmt.Sprint(err))
}
