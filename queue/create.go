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

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/combine"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/queue/insert"
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

// CreateBatch creates up to MaxBatch tasks in one transaction, all or none; that of a small batch may be
// shared with other calls, which does not show. They may depend on each
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
	switch {
	case len(tasks) == 0:
		return []task.Status{}, nil
	case len(tasks) <= fewTasks:
		return q.together.creates.Do(ctx, tasks)
	}
	answers, err := q.createTogether(ctx, []combine.Call[[]NewTask]{{Item: tasks}})
	if err != nil {
		return nil, err
	}
	return answers[0].Value, answers[0].Err
}

// fewTasks is how many tasks a batch may have to share its transaction with others'.
const fewTasks = 50

// createTogether creates the tasks of several calls in one transaction, each call's all or none. Calls
// that are refused, or do not go together with those before them, cost the others another transaction.
func (q *Queue) createTogether(ctx context.Context, calls []combine.Call[[]NewTask]) ([]combine.Answer[[]task.Status], error) {
	answers := make([]combine.Answer[[]task.Status], len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		b, rest := newCreation(calls, todo)
		if err := q.createAll(ctx, b); err != nil && len(b.refused) == 0 {
			return nil, fmt.Errorf("queue: create %d tasks (%s, …): %w", len(b.tasks), b.tasks[0].ID, err)
		}
		for call, cause := range b.refused {
			answers[call].Err = fmt.Errorf("queue: create %d tasks (%s, …): %w", len(calls[call].Item), calls[call].Item[0].ID, cause)
		}
		if len(b.refused) > 0 { // nothing was written
			todo = slices.DeleteFunc(todo, func(call int) bool { return b.refused[call] != nil })
			continue
		}
		for i, t := range b.tasks {
			answers[b.calls[i]].Value = append(answers[b.calls[i]].Value, b.known[t.ID].Status)
		}
		todo = rest
	}
	return answers, nil
}

// createAll writes the creation, unless some of it is refused.
func (q *Queue) createAll(ctx context.Context, b *creation) error {
	err := q.change(ctx, b.run)
	// A task that was there already makes the insertion fail. Then look first, and create the rest.
	for try := 0; try < 3 && (exists(err) || errors.Is(err, errMoved)); try++ {
		b.look = b.look || exists(err)
		err = q.change(ctx, b.run)
	}
	return err
}

// exists reports whether the tasks could not be inserted because some are there.
func exists(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505"
}

// errMoved ends a transaction that met something else than it expected, to be tried again.
var errMoved = fault.New(fault.Unavailable, "what the new tasks refer to is changing at this moment")

// creation is the tasks of one or several calls on their way into the database.
type creation struct {
	tasks   []NewTask
	calls   []int         // of which call each task is
	look    bool          // whether to look for tasks of the creation that exist
	refused map[int]error // by call

	now   time.Time
	known map[string]*record // the tasks of the creation, as they are in the database
}

// newCreation takes those of the calls that go together: no task twice, none that depends on one of
// an earlier call, one scheduler for each group. The others must wait for the outcome.
func newCreation(calls []combine.Call[[]NewTask], todo []int) (b *creation, rest []int) {
	b = &creation{}
	if len(todo) == 1 {
		b.add(todo[0], calls[todo[0]].Item)
		return b, nil
	}
	taken, schedulers := map[string]bool{}, map[string]string{}
	clash := func(t *NewTask) bool {
		s, ok := schedulers[t.Definition.TaskGroupID]
		return taken[t.ID] || ok && s != t.Definition.SchedulerID ||
			slices.ContainsFunc(t.Definition.Dependencies, func(id string) bool { return taken[id] })
	}
	for _, call := range todo {
		tasks := calls[call].Item
		if slices.ContainsFunc(tasks, func(t NewTask) bool { return clash(&t) }) {
			rest = append(rest, call)
			continue
		}
		for i := range tasks {
			taken[tasks[i].ID], schedulers[tasks[i].Definition.TaskGroupID] = true, tasks[i].Definition.SchedulerID
		}
		b.add(call, tasks)
	}
	return b, rest
}

func (b *creation) add(call int, tasks []NewTask) {
	b.tasks = append(b.tasks, tasks...)
	for range tasks {
		b.calls = append(b.calls, call)
	}
}

// refuse notes why the call of a task cannot be done; the first reason counts.
func (b *creation) refuse(i int, err error) {
	if b.refused[b.calls[i]] == nil {
		b.refused[b.calls[i]] = err
	}
}

// run does the creation in at most two round trips when no task is there already: it looks at what the
// tasks refer to, and writes.
func (b *creation) run(ctx context.Context, c *change) error {
	b.known, b.refused = map[string]*record{}, map[int]error{}
	fresh := make([]int, 0, len(b.tasks))
	if b.look {
		if err := b.compare(ctx, c); err != nil {
			return err
		}
	}
	for i := range b.tasks {
		if b.known[b.tasks[i].ID] == nil {
			fresh = append(fresh, i)
		}
	}
	s, err := b.lookAround(ctx, c, fresh)
	if err != nil {
		return err
	}
	b.checkTimes()
	needs := b.needs(s, fresh)
	if len(b.refused) > 0 {
		return fault.New(fault.Invalid, "%d of the calls are refused", len(b.refused))
	}
	if len(fresh) == 0 {
		return nil
	}
	return b.insert(c, fresh, needs)
}

// checkTimes checks the tasks' times against the database's clock, for those that exist too: a replay
// that comes late is refused (taskcluster-map 5.3).
func (b *creation) checkTimes() {
	for i := range b.tasks {
		if err := b.tasks[i].Definition.CheckTimes(b.now); err != nil {
			b.refuse(i, fault.New(fault.Invalid, "Task %s: %v", b.tasks[i].ID, err))
		}
	}
}

// compare looks for the tasks that exist. They must have the same definition.
func (b *creation) compare(ctx context.Context, c *change) error {
	ids := make([]string, len(b.tasks))
	for i, t := range b.tasks {
		ids[i] = t.ID
	}
	items, err := readItems(ctx, c.tx, itemsSQL, ids)
	if err != nil {
		return err
	}
	definitions := make(map[string]task.Definition, len(items))
	for _, t := range items {
		b.known[t.TaskID], definitions[t.TaskID] = t.record, t.definition
	}
	for i, t := range b.tasks {
		there, ok := definitions[t.ID]
		// What changed the priority since did not make it another task.
		there.Priority = t.Definition.Priority
		if ok && !there.Equal(&t.Definition) {
			b.refuse(i, fault.New(fault.Conflict, "Task %s exists already, with another definition.", t.ID))
		}
	}
	return nil
}

// insert writes the tasks that do not exist yet, on the way of the commit.
func (b *creation) insert(c *change, fresh []int, needs []draft.Need) error {
	// In the order of ids, so that two batches with the same tasks wait for each other in order.
	order := make([]int, len(fresh))
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(x, y int) int { return strings.Compare(b.tasks[fresh[x]].ID, b.tasks[fresh[y]].ID) })
	w, turns := &insert.Rows{}, b.turns(c, fresh, needs)
	for _, k := range order {
		w.Add(b.tasks[fresh[k]], turns[k], needs[k])
	}
	if err := w.Queue(&c.late, c.arrive); err != nil {
		return err
	}
	for k, i := range fresh {
		r := b.record(&b.tasks[i], needs[k].Ready)
		b.known[r.TaskID] = r
		c.tell(r)
		c.q.witnesses.Add(r.TaskGroupID, r.TaskID)
	}
	return nil
}

// turns gives the ready ones of new tasks their turns, in the order of the creation; the others get 0.
func (b *creation) turns(c *change, fresh []int, needs []draft.Need) []int64 {
	var (
		out   = make([]int64, len(fresh))
		wants []line.Want
		ready []int
	)
	for k, i := range fresh {
		if needs[k].Ready {
			wants, ready = append(wants, line.Want{Share: shareOf(&b.tasks[i].Definition)}), append(ready, k)
		}
	}
	for n, turn := range c.deal(wants) {
		out[ready[n]] = turn
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
	r.tags = insert.Tags(d)
	r.tell(kindDefined, 0)
	if ready {
		r.schedule()
	}
	return r
}
