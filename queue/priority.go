package queue

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/message"
	"github.com/treeline-ci/treeline/task"
)

// ChangePriority gives an unresolved task another priority (taskcluster-map 5.5). A pending task gets
// a new turn in the line of that priority; a running one keeps its worker, and a retry of it will have
// the new priority. The priority that the task has already is no error and tells nothing; a resolved
// task is fault.Conflict.
func (q *Queue) ChangePriority(ctx context.Context, id string, to task.Priority) (status task.Status, err error) {
	if err := isPriority(to); err != nil {
		return task.Status{}, err
	}
	err = q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.one(ctx, id)
		if err != nil {
			return err
		}
		if r.State.Resolved() {
			return fault.New(fault.Conflict, "The priority of task %s cannot be changed: it is %s.", id, r.State)
		}
		defer func() { status = r.Status }()
		if !r.reprioritize(to) {
			return nil
		}
		return c.save(ctx, []*record{r})
	})
	return status, err
}

func isPriority(p task.Priority) error {
	if p.Rank() == 0 {
		return fault.New(fault.Invalid, "%q is no priority; there are %s", p, task.Priorities())
	}
	return nil
}

// Reprioritized is the outcome of ChangeGroupPriority.
type Reprioritized struct {
	TaskGroupID   string        `json:"taskGroupId"`
	SchedulerID   string        `json:"schedulerId"`
	NewPriority   task.Priority `json:"newPriority"`
	TasksAffected int           `json:"tasksAffected"`
	TaskIDs       []string      `json:"taskIds"` // those changed by this call
}

// priorityBatch is how many tasks ChangeGroupPriority changes in one transaction.
const priorityBatch = 500

// ChangeGroupPriority gives every unresolved task of a group another priority, some hundred in one
// transaction, each as ChangePriority does. At the end it tells how many it changed. Tasks that
// join the group meanwhile may keep the priority they come with; the same call again finds them,
// and whatever a call that broke off has left.
func (q *Queue) ChangeGroupPriority(ctx context.Context, id string, to task.Priority) (Reprioritized, error) {
	if err := isPriority(to); err != nil {
		return Reprioritized{}, err
	}
	g, err := q.Group(ctx, id)
	if err != nil {
		return Reprioritized{}, err
	}
	out := Reprioritized{TaskGroupID: id, SchedulerID: g.SchedulerID, NewPriority: to, TaskIDs: []string{}}
	for after := ""; ; {
		var seen, changed []string
		err := q.change(ctx, func(ctx context.Context, c *change) (err error) {
			if seen, err = c.ids(ctx, otherPrioritySQL, id, after, to.Rank(), priorityBatch); err != nil {
				return err
			}
			changed, err = c.reprioritize(ctx, seen, to)
			return err
		})
		if err != nil {
			return Reprioritized{}, fmt.Errorf("queue: priority of group %s: %w", id, err)
		}
		if len(seen) == 0 {
			break
		}
		after = seen[len(seen)-1]
		out.TaskIDs = append(out.TaskIDs, changed...)
	}
	out.TasksAffected = len(out.TaskIDs)
	err = q.change(ctx, func(_ context.Context, c *change) error {
		c.addGroupBody(kindGroupPriority, id, message.GroupPriority{
			TaskGroupID: id, SchedulerID: g.SchedulerID, NewPriority: to, TasksAffected: out.TasksAffected, Version: message.Version,
		})
		return nil
	})
	return out, err
}

func (c *change) reprioritize(ctx context.Context, ids []string, to task.Priority) (changed []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	records, err := c.lock(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var moved []*record
	for _, r := range records {
		if !r.State.Resolved() && r.reprioritize(to) {
			moved, changed = append(moved, r), append(changed, r.TaskID)
		}
	}
	return changed, c.save(ctx, moved)
}

var otherPrioritySQL = pg.Statement{Name: "queue.other-priority", Text: `
SELECT task_id FROM tasks
WHERE task_group_id = $1 AND task_id > $2 AND priority <> $3 AND state IN ('unscheduled', 'pending', 'running')
ORDER BY task_id LIMIT $4`}
