package intake

import (
	"context"
	"errors"
	"io/fs"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/templates"
)

// Asked returns the tasks that a tree's .taskcluster.yml asks for in an event. What is wrong with the
// file is an error that MistakeOf knows.
func Asked(tree Tree, e templates.Event) ([]templates.Task, error) {
	source, err := tree.ReadFile(configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mistake(codeNoConfig, configFile, 0, "The repository has no %s at this revision. Add one to tell Treeline what to do; docs/reference/taskcluster-yml.md has one to start from.", configFile)
	}
	if errors.Is(err, fault.TooLarge) {
		return nil, mistake("bad-config", configFile, 0, "The file is too large: %s.", fault.Message(err))
	}
	if err != nil {
		return nil, err
	}
	file, err := templates.Parse(source, configFile)
	if err != nil {
		return nil, asMistake(err)
	}
	tasks, err := file.Render(e)
	if err != nil {
		return nil, asMistake(err)
	}
	return tasks, nil
}

// Create checks that a role may create the tasks, and creates all or none, with the scopes of the role
// and of nobody else. It is idempotent where the ids are the same each time. When all is checked and
// nothing made, before is called with the task group of the first: what a decision is for must be known
// by its group when it begins. What is wrong with the tasks is an error that MistakeOf knows. more are
// scopes that the role need not have.
func (in *Intake) Create(ctx context.Context, role string, tasks []templates.Task, before func(group string) error, more ...string) error {
	held, err := in.Expand(ctx, append([]string{"assume:" + role}, more...))
	if err != nil {
		return err
	}
	batch := make([]queue.NewTask, len(tasks))
	for i, t := range tasks {
		batch[i] = queue.NewTask{ID: t.ID, Definition: t.Definition}
		if err := batch[i].Prepare(); err != nil {
			return mistake("bad-task", configFile, t.Line, "%s", fault.Message(err))
		}
		if err := scope.Check(role, false, held, scopes.Create(batch[i].Definition)); err != nil {
			return mistake("insufficient-scopes", configFile, t.Line, "%s", fault.Message(err))
		}
	}
	if err := before(batch[0].Definition.TaskGroupID); err != nil {
		return err
	}
	if err := in.createOnce(ctx, batch); isInput(err) {
		return mistake("bad-task", configFile, tasks[0].Line, "%s", fault.Message(err))
	} else if err != nil {
		return err
	}
	return nil
}

// createOnce creates the tasks, unless an interrupted earlier try did.
func (in *Intake) createOnce(ctx context.Context, batch []queue.NewTask) error {
	_, err := in.Queue.Status(ctx, batch[0].ID)
	if errors.Is(err, fault.NotFound) {
		_, err = in.Queue.CreateBatch(ctx, batch)
	}
	return err
}

// MistakeOf returns what err says to the person who wrote the tree; nil when err is no mistake of theirs.
func MistakeOf(err error) *push.Error {
	if wrong, ok := errors.AsType[*mistakeError](err); ok {
		return &wrong.what
	}
	return nil
}

// Mistake is an error that MistakeOf knows.
func Mistake(what push.Error) error { return &mistakeError{what} }

// AsMistake turns what the readers of a tree find wrong into an error that MistakeOf knows; other errors
// stay.
func AsMistake(err error) error { return asMistake(err) }
