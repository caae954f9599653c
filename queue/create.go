// The third page of the newcomer's reading list: definitions become rows, dependencies, pending work
// and events, in one transaction. Before it comes templates/render.go; after it comes claim.go.

package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/task"
)

// NewTask is a task to create.
type NewTask = draft.Task

// Create creates a task, and makes it pending at once when it waits for nothing (taskcluster-map 5.3).
// It is idempotent: the same definition again returns the status of the task that is there, another
// definition is fault.Conflict.
func (q *Queue) Create(ctx context.Context, id string, d task.Definition) (task.Status, error) {
	statuses, err := q.CreateBatch(ctx, []NewTask{{ID: id, Definition: d}})
	if err != nil {
		return task.Status{}, err
	}
	return statuses[0], nil
}

// CreateBatch creates up to MaxBatch tasks in one transaction, all or none. They may depend on each
// other, in any order; a cycle of more than one task is refused. The statuses come back in the order of
// the tasks. It is idempotent task by task, like Create.
func (q *Queue) CreateBatch(ctx context.Context, tasks []NewTask) ([]task.Status, error) {
	if len(tasks) > MaxBatch {
		return nil, fault.New(fault.Invalid, "create at most %d tasks at once, not %d", MaxBatch, len(tasks))
	}
	tasks = slices.Clone(tasks)
	for i := range tasks {
		if err := tasks[i].Prepare(); err != nil {
			return nil, err
		}
	}
	if err := draft.CheckGraph(tasks); err != nil {
		return nil, err
	}
	if len(tasks) == 0 {
		return []task.Status{}, nil
	}
	b := &creation{tasks: tasks}
	err := q.change(ctx, b.run)
	// A task that was there already makes the insertion fail. Then look first, and create the rest.
	for try := 0; try < 3 && exists(err); try++ {
		b.look = true
		err = q.change(ctx, b.run)
	}
	if err != nil {
		return nil, fmt.Errorf("queue: create %d tasks (%s, …): %w", len(tasks), tasks[0].ID, err)
	}
	return b.statuses, nil
}

// exists reports whether the tasks could not be inserted because some are there.
func exists(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505"
}

// creation is a batch on its way into the database.
type creation struct {
	tasks    []NewTask
	look     bool // whether to look for tasks of the batch that exist
	statuses []task.Status

	now   time.Time
	known map[string]*record // the tasks of the batch, as they are in the database
}

func (b *creation) run(ctx context.Context, c *change) error {
	b.known = map[string]*record{}
	fresh := b.tasks
	if b.look {
		var err error
		if fresh, err = b.compare(ctx, c); err != nil {
			return err
		}
	}
	if err := b.openGroups(ctx, c, fresh); err != nil {
		return err
	}
	if err := b.checkTimes(); err != nil {
		return err
	}
	if len(fresh) > 0 {
		if err := b.insert(ctx, c, fresh); err != nil {
			return err
		}
	}
	b.statuses = make([]task.Status, len(b.tasks))
	for i, t := range b.tasks {
		b.statuses[i] = b.known[t.ID].Status
	}
	return nil
}

// checkTimes checks the tasks' times against the database's clock, for those that exist too: a replay
// that comes late is refused (taskcluster-map 5.3).
func (b *creation) checkTimes() error {
	for i := range b.tasks {
		if err := b.tasks[i].Definition.CheckTimes(b.now); err != nil {
			return fault.New(fault.Invalid, "Task %s: %v", b.tasks[i].ID, err)
		}
	}
	return nil
}

// compare returns the tasks that do not exist yet. Those that do must have the same definition.
func (b *creation) compare(ctx context.Context, c *change) ([]NewTask, error) {
	ids := make([]string, len(b.tasks))
	for i, t := range b.tasks {
		ids[i] = t.ID
	}
	records, definitions, err := readItems(ctx, c.tx, itemsSQL, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		b.known[r.TaskID] = r
	}
	var fresh []NewTask
	for _, t := range b.tasks {
		there, ok := definitions[t.ID]
		if !ok {
			fresh = append(fresh, t)
			continue
		}
		// What changed the priority since did not make it another task.
		there.Priority = t.Definition.Priority
		if !there.Equal(&t.Definition) {
			return nil, fault.New(fault.Conflict, "Task %s exists already, with another definition.", t.ID)
		}
	}
	return fresh, nil
}

// groupSlack is added to the expiry of a group's tasks, which is rounded up to an hour first: so the
// group's row is seldom written again.
const groupSlack = 2 * time.Hour

// openGroups creates the groups that are missing, and locks all of them against being sealed. It
// reads the clock on the way.
func (b *creation) openGroups(ctx context.Context, c *change, fresh []NewTask) error {
	type want struct {
		scheduler string
		expires   time.Time
	}
	wants := map[string]want{}
	for _, t := range fresh {
		d := &t.Definition
		expires := d.Expires.Truncate(time.Hour).Add(groupSlack)
		w, ok := wants[d.TaskGroupID]
		if ok && w.scheduler != d.SchedulerID {
			return otherScheduler(d.TaskGroupID, w.scheduler, d.SchedulerID)
		}
		if !ok || expires.After(w.expires) {
			wants[d.TaskGroupID] = want{d.SchedulerID, expires}
		}
	}
	ids := make([]string, 0, len(wants))
	for id := range wants {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	schedulers, expires := make([]string, len(ids)), make([]time.Time, len(ids))
	for i, id := range ids {
		schedulers[i], expires[i] = wants[id].scheduler, wants[id].expires
	}
	var batch pgx.Batch
	batch.Queue(nowSQL.Text).QueryRow(func(row pgx.Row) error { return row.Scan(&b.now) })
	batch.Queue(newGroupsSQL.Text, ids, schedulers, expires)
	batch.Queue(extendGroupsSQL.Text, ids, expires)
	batch.Queue(shareGroupsSQL.Text, ids).Query(func(rows pgx.Rows) error {
		groups, err := pgx.CollectRows(rows, scanGroup)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if w := wants[g.TaskGroupID]; w.scheduler != g.SchedulerID {
				return otherScheduler(g.TaskGroupID, g.SchedulerID, w.scheduler)
			}
			if g.Sealed != nil {
				return fault.New(fault.Conflict, "Task group %s was sealed at %s: it takes no more tasks.", g.TaskGroupID, g.Sealed)
			}
		}
		return nil
	})
	shares := make([]line.Share, len(fresh))
	for i := range fresh {
		shares[i] = shareOf(&fresh[i].Definition)
	}
	c.lookTurns(&batch, shares)
	if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("queue: groups: %w", err)
	}
	return nil
}

func otherScheduler(group, has, wants string) error {
	return fault.New(fault.Conflict, "Task group %s belongs to the scheduler %q; a task with schedulerId %q cannot join it.", group, has, wants)
}

// insert writes the tasks that do not exist yet.
func (b *creation) insert(ctx context.Context, c *change, fresh []NewTask) error {
	needs, err := b.needs(ctx, c, fresh)
	if err != nil {
		return err
	}
	// In the order of ids, so that two batches with the same tasks wait for each other in order.
	order := make([]int, len(fresh))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return strings.Compare(fresh[x].ID, fresh[y].ID) })
	w, turns := &creating{}, c.turnsOfNew(fresh, needs)
	for _, i := range order {
		w.add(fresh[i], turns[i], needs[fresh[i].ID])
	}
	if err := c.create(ctx, w); err != nil {
		return err
	}
	for i := range fresh {
		r := b.record(&fresh[i], needs[fresh[i].ID].Ready)
		b.known[r.TaskID] = r
		c.tell(r)
	}
	return nil
}

// turnsOfNew gives the ready ones of new tasks their turns, in the order of the batch; the others get 0.
func (c *change) turnsOfNew(fresh []NewTask, needs map[string]draft.Need) []int64 {
	var (
		out   = make([]int64, len(fresh))
		wants []line.Want
		ready []int
	)
	for i := range fresh {
		if needs[fresh[i].ID].Ready {
			wants, ready = append(wants, line.Want{Share: shareOf(&fresh[i].Definition)}), append(ready, i)
		}
	}
	for k, turn := range c.deal(wants) {
		out[ready[k]] = turn
	}
	return out
}

// record is the task as it was just written.
func (b *creation) record(t *NewTask, ready bool) *record {
	d := &t.Definition
	r := &record{retries: d.Retries, routes: d.Routes, now: b.now}
	r.Status = task.Status{
		TaskID: t.ID, ProvisionerID: d.ProvisionerID, WorkerType: d.WorkerType, TaskQueueID: d.TaskQueueID,
		SchedulerID: d.SchedulerID, ProjectID: d.ProjectID, TaskGroupID: d.TaskGroupID, Priority: d.Priority,
		Deadline: d.Deadline, Expires: d.Expires, RetriesLeft: d.Retries, State: task.Unscheduled, Runs: []task.Run{},
	}
	r.tags = tagsOf(d)
	r.tell(kindDefined, 0)
	if ready {
		r.schedule()
	}
	return r
}
