package actioncmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// applier does what an action wants done, through a server's API. Doing it again, because the action
// task was killed half way, changes nothing that is done already.
type applier struct {
	client *client.Client
	own    string    // the action task
	since  time.Time // when it was created
	dir    string    // where artifacts go
	out    io.Writer // what is done, a line each
}

func (a *applier) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// apply does everything but a decision.
func (a *applier) apply(ctx context.Context, e action.Effects) error {
	for _, line := range e.Log {
		a.say("%s", line)
	}
	if err := a.publish(e.Artifacts); err != nil {
		return err
	}
	if err := a.create(ctx, e.Tasks); err != nil {
		return err
	}
	for _, t := range e.Rerun {
		if err := a.rerun(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range e.Cancel {
		if err := a.cancel(ctx, t.TaskID, t.Label); err != nil {
			return err
		}
	}
	for _, group := range e.CancelGroups {
		if err := a.cancelGroup(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// publish leaves the artifacts where the worker takes them from.
func (a *applier) publish(artifacts map[string][]byte) error {
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(artifacts)) {
		if err := os.WriteFile(filepath.Join(a.dir, name), artifacts[name], 0o644); err != nil {
			return fmt.Errorf("artifact %s: %w", name, err)
		}
	}
	return nil
}

// create makes the tasks: all or none where the server can, else one after another. Some that are
// there were made by an earlier run of this action task, as ids follow from its own; where tasks are
// made all or none, all that it wanted are there then.
func (a *applier) create(ctx context.Context, list []action.NewTask) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	batch := make([]client.NewTask, len(list))
	for i, t := range list {
		ids[i], batch[i] = t.TaskID, client.NewTask{TaskID: t.TaskID, Task: t.Definition}
	}
	there, err := states(ctx, a.client, ids)
	if err != nil {
		return fmt.Errorf("create tasks: %w", err)
	}
	if len(there) == 0 {
		_, err = a.client.CreateTasks(ctx, batch)
	} else {
		_, err = a.client.CreateTasks(ctx, []client.NewTask{}) // asks only whether the server has the method
		if fault.KindOf(err) == fault.BadInput {
			err = nil
		}
	}
	if unknownMethod(err) {
		return a.createEach(ctx, list, there)
	}
	if err != nil {
		return fmt.Errorf("create tasks: %w", err)
	}
	if len(there) > 0 {
		a.say("%d tasks were created by an earlier run of this action", len(there))
		return nil
	}
	for _, t := range list {
		a.say("created %s (%s)", t.TaskID, t.Label)
	}
	return nil
}

func (a *applier) createEach(ctx context.Context, list []action.NewTask, there map[string]task.Status) error {
	for i, t := range list {
		if _, ok := there[t.TaskID]; ok {
			a.say("%s (%s) was created by an earlier run of this action", t.TaskID, t.Label)
			continue
		}
		if _, err := a.client.CreateTask(ctx, t.TaskID, t.Definition); err != nil {
			return fmt.Errorf("create task %s (%s), after %d others: %w", t.TaskID, t.Label, i, err)
		}
		a.say("created %s (%s)", t.TaskID, t.Label)
	}
	return nil
}

// rerun runs a task again that failed or ended in an exception. A rerun asked for since the action
// task was created is taken for the one that it asks for.
func (a *applier) rerun(ctx context.Context, t action.OnTask) error {
	status, err := a.client.Status(ctx, t.TaskID)
	if err != nil {
		return fmt.Errorf("rerun %s: %w", t.TaskID, err)
	}
	for _, run := range status.Runs {
		if run.ReasonCreated == task.CreatedRerun && !run.Scheduled.Before(a.since) {
			a.say("%s %s: run %d was asked for already", t.TaskID, t.Label, run.RunID)
			return nil
		}
	}
	if status.State != task.Failed && status.State != task.Exception {
		a.say("%s %s: there is no need to rerun it, it is %s", t.TaskID, t.Label, status.State)
		return nil
	}
	if _, err := a.client.Rerun(ctx, t.TaskID); err != nil {
		return fmt.Errorf("rerun %s: %w", t.TaskID, err)
	}
	a.say("%s %s: rerun", t.TaskID, t.Label)
	return nil
}

// cancel ends a task; one that can no more be canceled is left alone.
func (a *applier) cancel(ctx context.Context, id, label string) error {
	_, err := a.client.Cancel(ctx, id)
	switch {
	case fault.KindOf(err) == fault.Conflict:
		a.say("%s %s: cannot be canceled any more", id, label)
	case err != nil:
		return fmt.Errorf("cancel %s: %w", id, err)
	default:
		a.say("%s %s: canceled", id, label)
	}
	return nil
}

// cancelGroup ends every unresolved task of a group but the action task itself.
func (a *applier) cancelGroup(ctx context.Context, group string) error {
	type member struct{ id, name string }
	var open []member
	for t, err := range a.client.GroupTasks(ctx, group) {
		if err != nil {
			return fmt.Errorf("tasks of group %s: %w", group, err)
		}
		if t.Status.TaskID != a.own && !t.Status.State.Resolved() {
			open = append(open, member{t.Status.TaskID, t.Task.Metadata.Name})
		}
	}
	slices.SortFunc(open, func(x, y member) int { return strings.Compare(x.id, y.id) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	lines := make([]bytes.Buffer, len(open))
	for i, m := range open {
		g.Go(func() error {
			one := *a
			one.out = &lines[i]
			return one.cancel(gctx, m.id, m.name)
		})
	}
	err := g.Wait()
	for i := range lines {
		if _, werr := lines[i].WriteTo(a.out); werr != nil {
			return werr
		}
	}
	a.say("%d tasks of group %s were open", len(open), group)
	return err
}
