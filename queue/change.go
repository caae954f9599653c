package queue

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/queue/told"
)

// change is one transaction of the queue and what it gathers on the way to its commit.
type change struct {
	q        *Queue
	tx       *pg.Pipe
	late     pgx.Batch       // what goes to the database together with the commit
	locked   map[string]bool // task ids whose rows this transaction has locked
	events   []event.Event
	whole    []Group // those that are resolved now
	entries  []IndexEntry
	arrived  map[string]arrival // by task queue
	hands    []*line.Hand       // turns given to tasks
	seen     []Group            // as they are once this is committed
	happened []told.Event       // for those who are told after the commit
	met      []string           // tasks of which a dependency was just satisfied
	err      error              // a body that could not be encoded
}

// arrival is new pending work of a task queue.
type arrival struct {
	count int
	first []line.Place
}

// change runs fn in a transaction and commits with it the release of dependents, the events, and the
// index entries that fn's savings call for. Then it wakes who waits for them.
func (q *Queue) change(ctx context.Context, fn func(ctx context.Context, c *change) error) error {
	var c *change
	defer func() { c.settle(false) }()
	err := pg.TxPipe(ctx, q.deps.Pool, func(ctx context.Context, tx *pg.Pipe) error {
		c.settle(false) // of an attempt before
		c = &change{q: q, tx: tx, locked: map[string]bool{}, arrived: map[string]arrival{}}
		if err := fn(ctx, c); err != nil {
			return err
		}
		return c.finish(ctx)
	})
	if err != nil {
		return err
	}
	c.settle(true)
	for _, g := range c.seen {
		q.groups.Note(g.TaskGroupID, g.Expires.Time)
	}
	for name, a := range c.arrived {
		q.marks.Lower(name, a.first)
		q.waiters.Wake(name, a.count)
	}
	if len(c.events) > 0 {
		q.deps.Wake()
	}
	q.deps.Observe.Tell(ctx, q.log, c.happened)
	return nil
}

// finish writes what fn gathered, the last of it on one way with the commit.
func (c *change) finish(ctx context.Context) error {
	if len(c.entries) > 0 && c.q.deps.Index != nil {
		if err := c.q.deps.Index.WriteCompleted(ctx, c.tx, c.entries); err != nil {
			return fmt.Errorf("queue: index entries: %w", err)
		}
	}
	for _, g := range c.whole { // after what its tasks tell
		c.addGroup(kindResolved, g)
	}
	if c.err != nil {
		return c.err
	}
	if err := event.AppendLater(&c.late, c.events...); err != nil {
		return fmt.Errorf("queue: events: %w", err)
	}
	if len(c.late.QueuedQueries) == 0 {
		return nil
	}
	if err := c.tx.SendLast(ctx, &c.late); err != nil {
		return fmt.Errorf("queue: last statements and commit: %w", err)
	}
	return nil
}

// lock locks the tasks' rows and returns their records, sorted by id; ids that do not exist are
// missing from the result.
func (c *change) lock(ctx context.Context, ids ...string) ([]*record, error) {
	return c.lockBy(ctx, lockSQL, ids, nil)
}

// lockToResolve is lock for tasks about to be resolved: it also locks the dependents that this may
// release. completed has those of the ids whose outcome can be completed.
func (c *change) lockToResolve(ctx context.Context, ids, completed []string) ([]*record, error) {
	return c.lockBy(ctx, lockToResolveSQL, ids, nil, completed)
}

// lockBy sends the locking statement and the look at the tasks in one go. The look is a statement of
// its own because only its later snapshot shows what the lock waited for. What also adds to the batch
// comes after the lock, too.
func (c *change) lockBy(ctx context.Context, s pg.Statement, ids []string, also func(*pgx.Batch), args ...any) ([]*record, error) {
	var (
		batch   pgx.Batch
		records []*record
	)
	batch.Queue(s.Text, append([]any{ids}, args...)...).Query(func(rows pgx.Rows) error {
		locked, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, id := range locked {
			c.locked[id] = true
		}
		return err
	})
	batch.Queue(recordsSQL.Text, ids).Query(func(rows pgx.Rows) (err error) {
		records, err = scanRecords(recordsSQL, rows)
		return err
	})
	if also != nil {
		also(&batch)
	}
	if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, err)
	}
	// Statements that skip locked rows leave tasks out.
	return slices.DeleteFunc(records, func(r *record) bool { return !c.locked[r.TaskID] }), nil
}

// one is lock for a single task that must exist.
func (c *change) one(ctx context.Context, id string) (*record, error) {
	return only(id)(c.lock(ctx, id))
}

// oneToResolve is lockToResolve for a single task that must exist and cannot become completed.
func (c *change) oneToResolve(ctx context.Context, id string) (*record, error) {
	return only(id)(c.lockToResolve(ctx, []string{id}, nil))
}

func only(id string) func([]*record, error) (*record, error) {
	return func(records []*record, err error) (*record, error) {
		if err != nil {
			return nil, err
		}
		if len(records) == 0 {
			return nil, noTask(id)
		}
		return records[0], nil
	}
}

// beforeDeadline refuses what may not be done to a task whose deadline has passed.
func beforeDeadline(r *record, what string) error {
	if r.Deadline.After(r.now) {
		return nil
	}
	return fault.New(fault.Conflict, "Task %s cannot be %s: its deadline %s has passed.", r.TaskID, what, r.Deadline)
}

var (
	lockSQL = pg.Statement{Name: "queue.lock", Text: `
SELECT task_id FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR NO KEY UPDATE`}

	lockToResolveSQL = pg.Statement{Name: "queue.lock-to-resolve", Text: `
SELECT task_id FROM tasks
WHERE task_id = ANY(array_cat($1::text[], ARRAY(
    SELECT d.task_id FROM dependencies d
    WHERE d.required_id = ANY($1) AND NOT d.satisfied
      AND (d.requires = 'all-resolved' OR d.required_id = ANY($2::text[])))))
ORDER BY task_id FOR NO KEY UPDATE`}
)
