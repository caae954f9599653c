// The first page of the newcomer's reading list: a recorded push becomes tasks. Before it,
// watch.go saw the branch move; after it comes templates/render.go, which renders
// .taskcluster.yml, and queue/create.go, which takes the tasks.

package intake

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/stamp"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/templates"
)

const configFile = ".taskcluster.yml"

// takePushes makes tasks of received pushes, as they come.
func (in *Intake) takePushes(ctx context.Context) {
	ticker := time.NewTicker(pollPushes)
	defer ticker.Stop()
	for ctx.Err() == nil {
		pushes, err := in.Push.Undecided(ctx, pushLease, 10)
		if err != nil && ctx.Err() == nil {
			in.Log.ErrorContext(ctx, "look for undecided pushes; tried again soon", "err", err)
		}
		var taken sync.WaitGroup
		for _, p := range pushes { // together, so that a server that is slow keeps nobody else's push waiting
			taken.Go(func() {
				ctx := p.Mark(ctx)
				limited, cancel := context.WithTimeout(ctx, pushLimit)
				defer cancel()
				if err := in.takePush(limited, p); err != nil && ctx.Err() == nil {
					in.Log.WarnContext(ctx, "take push; tried again soon", "attempt", p.Attempts, "err", err)
				}
			})
		}
		taken.Wait()
		if len(pushes) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-in.fresh:
		}
	}
}

// takePush renders the push's .taskcluster.yml and creates its tasks in one batch. What the pusher
// did wrong is recorded with the push; an error returned is ours, and the push is taken again.
func (in *Intake) takePush(ctx context.Context, p push.Push) error {
	repository, tasks, err := in.render(ctx, p)
	if err == nil && len(tasks) > 0 {
		err = in.create(ctx, repository, p, tasks)
	}
	if wrong, ok := errors.AsType[*mistakeError](err); ok {
		state := push.Failed
		if wrong.what.Code == codeNoConfig {
			state = push.Ignored
		}
		in.Log.InfoContext(ctx, "a push becomes no tasks", "state", state, "why", wrong.what.Code)
		return in.Push.SetOutcome(ctx, p.Repository, p.ID, push.Outcome{State: state, Error: &wrong.what, NoGroup: true})
	}
	if err == nil && len(tasks) == 0 {
		return in.Push.SetOutcome(ctx, p.Repository, p.ID, push.Outcome{State: push.Ignored, Error: &push.Error{
			Code: "no-tasks", File: configFile, Message: "The file asks for no task on a push: its tasks_for conditions leave none for " + tasksForPush(repository) + ".",
		}})
	}
	return err
}

// render returns the push's repository, and the tasks that its .taskcluster.yml asks for.
func (in *Intake) render(ctx context.Context, p push.Push) (push.Repository, []templates.Task, error) {
	repository, tree, err := in.open(ctx, p)
	if err != nil {
		return repository, nil, err
	}
	event := templates.LocalPush
	if repository.Kind == push.Mercurial {
		event = templates.MercurialPush
	}
	tasks, err := Asked(tree, event(templates.Push{
		Repository: repository.URL, Project: p.Repository, Role: Role(repository), Level: in.Level(repository, p.Branch),
		Owner: p.Email, Branch: p.Branch, Revision: p.Revision, BaseRevision: p.Base, Comment: p.Message,
		PushID: p.ID, PushlogID: p.Number(), Time: p.Time, Now: time.Now(), DecisionTaskID: DecisionTaskID(p), RootURL: in.RootURL,
	}))
	return repository, tasks, err
}

// open returns the push's repository as it is registered, and its tree at the push's revision.
func (in *Intake) open(ctx context.Context, p push.Push) (push.Repository, Tree, error) {
	repository, err := in.Push.Repository(ctx, p.Repository)
	if err != nil {
		return push.Repository{}, nil, err
	}
	tree, err := in.At(ctx, repository, p.Revision)
	if wrong := MistakeOf(err); wrong != nil && wrong.Code == codeNoRevision && repository.Kind == push.Mercurial && p.Attempts < lagAttempts {
		// One of the machines that answer for the server may not have it yet (vcs-integration 2.2).
		err = fault.New(fault.Unavailable, "the server has told of push %d and does not show its revision yet", p.ID)
	}
	return repository, tree, err
}

// create creates the tasks with what the branch's role may do. It is idempotent: the ids follow from
// the push.
func (in *Intake) create(ctx context.Context, repository push.Repository, p push.Push, tasks []templates.Task) error {
	state := push.Decided
	err := in.Create(ctx, Role(repository)+":branch:"+p.Branch, tasks, func(group string) error {
		if slices.ContainsFunc(tasks, func(t templates.Task) bool { return t.ID == group }) {
			state = push.Deciding // the group has a decision task
		}
		// The group first: the decision may begin before we are back, and finds its push by the group. The
		// push stays Received until its tasks are there, so that a crash in between has it taken again.
		return in.Push.SetOutcome(ctx, p.Repository, p.ID, push.Outcome{State: push.Received, TaskGroupID: group})
	})
	if err != nil {
		return err
	}
	in.Log.InfoContext(ctx, "a push became tasks", stamp.Group, tasks[0].Definition.TaskGroupID, "tasks", len(tasks), "state", state)
	return in.Push.SetOutcome(ctx, p.Repository, p.ID, push.Outcome{State: state})
}

// DecisionTaskID follows from the push, so that taking a push twice makes one decision.
func DecisionTaskID(p push.Push) string {
	return derivedID("decision", p.Repository, strconv.FormatInt(p.ID, 10), p.Revision)
}

// derivedID starts with a letter, so that a command line does not take it for an option.
func derivedID(parts ...string) string {
	id := digest(parts...)
	id[0] &= 0x7f
	return slug.FromBytes(id)
}
