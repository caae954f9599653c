package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
)

// rooms is the server as an action task that is done in it sees it: each call needs the scope that it
// needs at the door, of the action task itself.
type rooms struct {
	*nativeDecision
	may scope.Set
}

// maxRead is how many bytes of an artifact are read.
const maxRead = 512 << 20

func (r *rooms) allow(want scope.Expr) error { return r.may.Check("the action task", false, want) }

func (r *rooms) Artifact(ctx context.Context, taskID, name string) ([]byte, error) {
	a, names, err := r.Queue.FollowLinks(ctx, taskID, queue.LatestRun, "public/"+name)
	for _, n := range names {
		if err := r.allow(scope.String("queue:get-artifact:" + n)); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if !a.StorageType.Stored() {
		return nil, fault.New(fault.NotFound, "artifact %s of task %s is not stored here", name, taskID)
	}
	_, content, err := r.Objects.Open(ctx, a.ObjectName())
	if err != nil {
		return nil, err
	}
	defer content.Close()
	b, err := io.ReadAll(io.LimitReader(content, maxRead+1))
	if err == nil && len(b) > maxRead {
		err = fault.New(fault.TooLarge, "artifact %s of task %s has more than %d bytes", name, taskID, maxRead)
	}
	return b, err
}

func (r *rooms) Definition(ctx context.Context, taskID string) (map[string]any, error) {
	if err := r.allow(scope.String("queue:get-task:" + taskID)); err != nil {
		return nil, err
	}
	d, err := r.Queue.Task(ctx, taskID)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return perform.PlainObject(b)
}

func (r *rooms) Status(ctx context.Context, taskID string) (task.Status, error) {
	if err := r.allow(scope.String("queue:status:" + taskID)); err != nil {
		return task.Status{}, err
	}
	return r.Queue.Status(ctx, taskID)
}

func (r *rooms) States(ctx context.Context, ids []string) (map[string]task.Status, error) {
	for _, id := range ids {
		if err := r.allow(scope.String("queue:status:" + id)); err != nil {
			return nil, err
		}
	}
	list, err := r.Queue.Statuses(ctx, ids)
	out := make(map[string]task.Status, len(list))
	for _, s := range list {
		out[s.TaskID] = s
	}
	return out, err
}

func (r *rooms) Group(ctx context.Context, id string) ([]perform.Member, error) {
	if err := r.allow(scope.String("queue:list-task-group:" + id)); err != nil {
		return nil, err
	}
	var list []perform.Member
	for token := ""; ; {
		page, err := r.Queue.ListGroup(ctx, id, 0, token)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Tasks {
			list = append(list, perform.Member{Status: i.Status, Name: i.Task.Metadata.Name, Tags: i.Task.Tags})
		}
		if token = page.Next; token == "" {
			return list, nil
		}
	}
}

func (r *rooms) Indexed(ctx context.Context, paths []string) (map[string]string, error) {
	for _, p := range paths {
		if err := r.allow(scope.String("index:find-task:" + p)); err != nil {
			return nil, err
		}
	}
	return r.Index(ctx, paths)
}

func (r *rooms) IndexedIn(ctx context.Context, namespace string) ([]string, error) {
	if err := r.allow(scope.String("index:list-tasks:" + namespace)); err != nil {
		return nil, err
	}
	return r.Deps.IndexedIn(ctx, namespace)
}

// Ancestors has no answer: pushes before another are known by their record.
func (r *rooms) Ancestors(context.Context, string, int) ([]string, error) { return nil, nil }

func (r *rooms) Publish(ctx context.Context, files map[string][]byte) error {
	public := make(map[string][]byte, len(files))
	for name, content := range files {
		public["public/"+name] = content
	}
	return r.publish(ctx, public)
}

// Create checks each task against what the action task may do, and creates all or none.
func (r *rooms) Create(ctx context.Context, tasks []action.NewTask, say func(format string, args ...any)) error {
	batch := make([]queue.NewTask, len(tasks))
	for i, t := range tasks {
		var err error
		if batch[i], err = newTask(taskgraph.Submission{TaskID: t.TaskID, Label: t.Label, Definition: t.Definition}); err != nil {
			return mistake("bad-task", "", 0, "%s is not a valid task: %s", t.Label, fault.Message(err))
		}
		if err := notHeld(t.Label, "the action task", "", 0, r.may, scopes.Create(batch[i].Definition)); err != nil {
			return err
		}
	}
	if _, err := r.Queue.CreateBatch(ctx, batch); err != nil {
		return fmt.Errorf("create tasks: %w", err)
	}
	for _, t := range tasks {
		say("created %s (%s)", t.TaskID, t.Label)
	}
	return nil
}

func (r *rooms) Rerun(ctx context.Context, taskID string) error {
	return r.steer(ctx, taskID, "rerun", scopes.Rerun, r.Queue.Rerun)
}

func (r *rooms) Cancel(ctx context.Context, taskID string) error {
	return r.steer(ctx, taskID, "cancel", scopes.Cancel, r.Queue.Cancel)
}

func (r *rooms) steer(ctx context.Context, taskID, what string, need func(task.Status) scope.Expr, do func(context.Context, string) (task.Status, error)) error {
	status, err := r.Queue.Status(ctx, taskID)
	if err != nil {
		return err
	}
	if err := notHeld("To "+what+" task "+taskID, "the action task", "", 0, r.may, need(status)); err != nil {
		return err
	}
	_, err = do(ctx, taskID)
	return err
}
