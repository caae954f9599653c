package perform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// Apply does everything but a decision.
func (r *Performer) Apply(ctx context.Context, e action.Effects) error {
	for _, line := range e.Log {
		r.Say("%s", line)
	}
	if err := r.publish(ctx, e.Artifacts); err != nil {
		return err
	}
	if err := r.create(ctx, e.Tasks); err != nil {
		return err
	}
	for _, t := range e.Rerun {
		if err := r.rerun(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range e.Cancel {
		if err := r.cancel(ctx, t.TaskID, t.Label); err != nil {
			return err
		}
	}
	for _, group := range e.CancelGroups {
		if err := r.cancelGroup(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

func (r *Performer) publish(ctx context.Context, files map[string][]byte) error {
	if len(files) == 0 {
		return nil
	}
	return r.Publish(ctx, files)
}

// create makes the tasks that no earlier run of this action task made.
func (r *Performer) create(ctx context.Context, list []action.NewTask) error {
	ids := make([]string, len(list))
	for i, t := range list {
		ids[i] = t.TaskID
	}
	there, err := r.States(ctx, ids)
	if err != nil {
		return fmt.Errorf("create tasks: %w", err)
	}
	todo := slices.DeleteFunc(slices.Clone(list), func(t action.NewTask) bool { _, ok := there[t.TaskID]; return ok })
	if len(there) > 0 {
		r.Say("%d tasks were created by an earlier run of this action", len(there))
	}
	if len(todo) == 0 {
		return nil
	}
	return r.Create(ctx, todo, r.Say)
}

// rerun runs a task again that failed or ended in an exception. A rerun asked for since the action
// task was created is taken for the one that it asks for.
func (r *Performer) rerun(ctx context.Context, t action.OnTask) error {
	status, err := r.Status(ctx, t.TaskID)
	if err != nil {
		return fmt.Errorf("rerun %s: %w", t.TaskID, err)
	}
	for _, run := range status.Runs {
		if run.ReasonCreated == task.CreatedRerun && !run.Scheduled.Before(r.Since) {
			r.Say("%s %s: run %d was asked for already", t.TaskID, t.Label, run.RunID)
			return nil
		}
	}
	if status.State != task.Failed && status.State != task.Exception {
		r.Say("%s %s: there is no need to rerun it, it is %s", t.TaskID, t.Label, status.State)
		return nil
	}
	if err := r.Rerun(ctx, t.TaskID); err != nil {
		return fmt.Errorf("rerun %s: %w", t.TaskID, err)
	}
	r.Say("%s %s: rerun", t.TaskID, t.Label)
	return nil
}

// cancel ends a task; one that can no more be canceled is left alone.
func (r *Performer) cancel(ctx context.Context, id, label string) error {
	err := r.Cancel(ctx, id)
	switch {
	case fault.KindOf(err) == fault.Conflict:
		r.Say("%s %s: cannot be canceled any more", id, label)
	case err != nil:
		return fmt.Errorf("cancel %s: %w", id, err)
	default:
		r.Say("%s %s: canceled", id, label)
	}
	return nil
}

// cancelGroup ends every unresolved task of a group but the action task itself.
func (r *Performer) cancelGroup(ctx context.Context, group string) error {
	members, err := r.Group(ctx, group)
	if err != nil {
		return fmt.Errorf("tasks of group %s: %w", group, err)
	}
	open := slices.DeleteFunc(members, func(m Member) bool { return m.Status.TaskID == r.Own || m.Status.State.Resolved() })
	slices.SortFunc(open, func(x, y Member) int { return strings.Compare(x.Status.TaskID, y.Status.TaskID) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	said := make([][]string, len(open))
	for i, m := range open {
		g.Go(func() error {
			one := *r
			one.Say = func(format string, args ...any) { said[i] = append(said[i], fmt.Sprintf(format, args...)) }
			return one.cancel(gctx, m.Status.TaskID, m.Name)
		})
	}
	err = g.Wait()
	for _, line := range slices.Concat(said...) {
		r.Say("%s", line)
	}
	r.Say("%d tasks of group %s were open", len(open), group)
	return err
}
