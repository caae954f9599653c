package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/task"
)

// save writes the changed records, whose rows must be locked, with their rows in the hot tables, and
// gathers their events. Tasks that it resolves release their dependents. All statements take sets:
// their number does not grow with the number of records. What resolves nothing is written on the way of
// the commit: this transaction cannot read it.
func (c *change) save(ctx context.Context, records []*record) error {
	if len(records) == 0 {
		return nil
	}
	resolved := make([]*record, 0, len(records))
	for _, r := range records {
		if r.State.Resolved() && !r.stored.Resolved() {
			r.everResolved = true
			resolved = append(resolved, r)
		}
	}
	batch := &c.late
	if len(resolved) > 0 {
		batch = &pgx.Batch{}
	}
	if err := c.write(ctx, batch, gather(records), resolved); err != nil {
		return err
	}
	if len(resolved) > 0 {
		if err := c.tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("queue: save %d tasks (%s, …): %w", len(records), records[0].TaskID, err)
		}
	}
	for _, r := range records {
		c.tell(r)
		r.stored, r.storedPriority, r.touched, r.notices = r.State, r.Priority, len(r.Runs), nil
	}
	if err := c.enter(ctx, resolved); err != nil {
		return err
	}
	return c.release(ctx)
}

// writing has the columns of what save writes.
type writing struct {
	tasks struct {
		ids, states     []string
		left, priority  []int
		resolved        []bool
		unpend, unclaim []string // tasks that leave pending, or running
		done, again     []string // tasks that become resolved, or no longer are
		againAt         []time.Time
		moved           []*record // pending tasks whose priority changed
		pend            []*record // tasks that become pending
	}
	runs struct {
		ids                     []string
		run                     []int
		state, created          []string
		resolved, group, worker []*string
		taken, started, ended   []*time.Time
		scheduled               []time.Time
	}
	claims struct {
		ids, queues, groups, workers []string
		runs                         []int
		until                        []time.Time
	}
}

func gather(records []*record) *writing {
	w := &writing{}
	for _, r := range records {
		t := &w.tasks
		t.ids = append(t.ids, r.TaskID)
		t.states = append(t.states, string(r.State))
		t.left = append(t.left, r.RetriesLeft)
		t.priority = append(t.priority, r.Priority.Rank())
		t.resolved = append(t.resolved, r.everResolved)
		for _, run := range r.Runs[r.touched:] {
			w.addRun(r.TaskID, run)
		}
		w.leave(r)
		w.enter(r)
	}
	return w
}

func (w *writing) addRun(id string, run task.Run) {
	s := &w.runs
	s.ids, s.run = append(s.ids, id), append(s.run, run.RunID)
	s.state, s.created = append(s.state, string(run.State)), append(s.created, string(run.ReasonCreated))
	s.resolved, s.group, s.worker = append(s.resolved, orNull(string(run.ReasonResolved))), append(s.group, orNull(run.WorkerGroup)), append(s.worker, orNull(run.WorkerID))
	s.taken, s.started, s.ended = append(s.taken, column(run.TakenUntil)), append(s.started, column(run.Started)), append(s.ended, column(run.Resolved))
	s.scheduled = append(s.scheduled, run.Scheduled.Time)
}

// leave notes the hot rows that the record loses.
func (w *writing) leave(r *record) {
	t := &w.tasks
	if r.stored == task.Pending && r.State != task.Pending {
		t.unpend = append(t.unpend, r.TaskID)
	}
	if r.stored == task.Running && r.State != task.Running {
		t.unclaim = append(t.unclaim, r.TaskID)
	}
	switch {
	case r.State.Resolved() && !r.stored.Resolved():
		t.done = append(t.done, r.TaskID)
	case !r.State.Resolved() && r.stored.Resolved():
		t.again, t.againAt = append(t.again, r.TaskID), append(t.againAt, r.Deadline.Time)
	}
}

// enter notes the hot rows that the record gains or changes.
func (w *writing) enter(r *record) {
	t := &w.tasks
	switch {
	case r.State == task.Pending && r.stored == task.Pending:
		if r.Priority != r.storedPriority {
			t.moved = append(t.moved, r)
		}
	case r.State == task.Pending:
		t.pend = append(t.pend, r)
	case r.State == task.Running:
		run, c := r.LastRun(), &w.claims
		c.ids, c.queues, c.runs = append(c.ids, r.TaskID), append(c.queues, r.TaskQueueID), append(c.runs, run.RunID)
		c.groups, c.workers, c.until = append(c.groups, run.WorkerGroup), append(c.workers, run.WorkerID), append(c.until, run.TakenUntil.Time)
	}
}

// write adds the statements that have something to do to a batch. The look for dependents comes after the
// deadlines are gone: then it sees every one.
func (c *change) write(ctx context.Context, batch *pgx.Batch, w *writing, resolved []*record) error {
	t, s := &w.tasks, &w.runs
	add := func(st pg.Statement, args ...any) {
		batch.Queue(st.Text, args...).Exec(func(pgconn.CommandTag) error { return nil })
	}
	k := &w.claims
	add(saveSQL, t.ids, t.states, t.left, t.priority, t.resolved,
		s.ids, s.run, s.state, s.created, s.resolved, s.group, s.worker, s.taken, s.scheduled, s.started, s.ended,
		t.unpend, t.unclaim, k.ids, k.queues, k.runs, k.groups, k.workers, k.until, t.done)
	if err := c.line(ctx, batch, w); err != nil {
		return err
	}
	if len(t.again) > 0 {
		add(dueSQL, t.again, t.againAt)
	}
	if len(t.done) > 0 {
		c.satisfy(batch, resolved)
		c.checkGroups(batch, resolved)
	}
	return nil
}

// line adds to the batch what puts tasks into the lines, each at its turn.
func (c *change) line(ctx context.Context, batch *pgx.Batch, w *writing) error {
	t := &w.tasks
	coming := slices.Concat(t.moved, t.pend)
	turns, err := c.turns(ctx, coming)
	if err != nil {
		return err
	}
	var (
		ids, queues, groups = make([]string, len(coming)), make([]string, len(coming)), make([]string, len(coming))
		ranks, runs         = make([]int, len(coming)), make([]int, len(coming))
	)
	for i, r := range coming {
		ids[i], queues[i], groups[i], ranks[i], runs[i] = r.TaskID, r.TaskQueueID, r.TaskGroupID, r.Priority.Rank(), r.LastRun().RunID
	}
	if n := len(t.moved); n > 0 {
		batch.Queue(movePendingSQL.Text, ids[:n], ranks[:n], turns[:n]).Query(c.arrive)
	}
	if n := len(t.moved); n < len(coming) {
		batch.Queue(pendSQL.Text, ids[n:], queues[n:], ranks[n:], runs[n:], groups[n:], turns[n:]).Query(c.arrive)
	}
	return nil
}

// arrive notes what a statement put into the lines.
func (c *change) arrive(rows pgx.Rows) error {
	var (
		name     string
		p        line.Place
		count    int
		_, cause = pgx.ForEachRow(rows, []any{&name, &p.Priority, &p.Seq, &count}, func() error {
			a := c.arrived[name]
			a.count += count
			a.first = append(a.first, p)
			c.arrived[name] = a
			return nil
		})
	)
	return cause
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func column(t *task.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}

// rawObject returns data, or an empty object when there is none.
func rawObject(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage("{}")
	}
	return data
}

var (
	// One statement for what nearly every change needs: beginning and ending a statement costs as much
	// as its work on one task.
	saveSQL = pg.Statement{Name: "queue.save", Text: `
WITH new_tasks AS (
    UPDATE tasks t SET state = u.state, retries_left = u.retries_left, priority = u.priority, ever_resolved = u.ever_resolved
    FROM unnest($1::text[], $2::text[], $3::smallint[], $4::smallint[], $5::boolean[]) AS u (task_id, state, retries_left, priority, ever_resolved)
    WHERE t.task_id = u.task_id
), new_runs AS (
    INSERT INTO runs (task_id, run_id, state, reason_created, reason_resolved, worker_group, worker_id, taken_until, scheduled, started, resolved)
    SELECT * FROM unnest($6::text[], $7::smallint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
        $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[])
    ON CONFLICT (task_id, run_id) DO UPDATE SET
        state = excluded.state, reason_resolved = excluded.reason_resolved, worker_group = excluded.worker_group, worker_id = excluded.worker_id,
        taken_until = excluded.taken_until, started = excluded.started, resolved = excluded.resolved
), not_pending AS (
    DELETE FROM pending WHERE task_id = ANY($17::text[])
), not_claimed AS (
    DELETE FROM claims WHERE task_id = ANY($18::text[])
), not_due AS (
    DELETE FROM deadlines WHERE task_id = ANY(ARRAY(
        SELECT task_id FROM deadlines WHERE task_id = ANY($25::text[]) ORDER BY task_id FOR UPDATE))
)
INSERT INTO claims (task_id, task_queue_id, run_id, worker_group, worker_id, taken_until)
SELECT * FROM unnest($19::text[], $20::text[], $21::smallint[], $22::text[], $23::text[], $24::timestamptz[])
ON CONFLICT (task_id) DO UPDATE SET taken_until = excluded.taken_until`}

	movePendingSQL = pg.Statement{Name: "queue.move-pending", Text: `
WITH moved AS (
    UPDATE pending p SET priority = u.priority, seq = u.turn
    FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS u (task_id, priority, turn)
    WHERE p.task_id = u.task_id
    RETURNING p.task_queue_id, p.priority, p.seq)
SELECT task_queue_id, priority, min(seq), count(*)::int FROM moved GROUP BY task_queue_id, priority`}

	pendSQL = pg.Statement{Name: "queue.pend", Text: `
WITH new AS (
    INSERT INTO pending (task_id, task_queue_id, priority, run_id, task_group_id, seq)
    SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::smallint[], $5::text[], $6::bigint[])
    RETURNING task_queue_id, priority, seq)
SELECT task_queue_id, priority, min(seq), count(*)::int FROM new GROUP BY task_queue_id, priority`}

	dueSQL = pg.Statement{Name: "queue.due", Text: `
INSERT INTO deadlines (task_id, deadline) SELECT * FROM unnest($1::text[], $2::timestamptz[])`}
)
