package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/task"
)

// groupSlack is added to the expiry of a group's tasks, which is rounded up to an hour first: so the
// group's row is seldom written again.
const groupSlack = 2 * time.Hour

// groupExpiry is when the group of a task that expires then may be forgotten: within the years that the wire can carry.
func groupExpiry(expires time.Time) time.Time {
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	if at := expires.Truncate(time.Hour).Add(groupSlack); at.Before(last) {
		return at
	}
	return last
}

// around is what new tasks refer to: their groups, and the tasks outside of the creation that they depend
// on. Those are missing from standings that do not exist.
type around struct {
	groups    map[string]Group
	standings map[string]*task.Status // state and expiry only
}

// lookAround creates the groups that are missing and locks all of them against being sealed, locks the
// dependencies against being resolved, and reads the clock and the lines, all in one round trip.
func (b *creation) lookAround(ctx context.Context, c *change, fresh []int) (around, error) {
	var (
		batch pgx.Batch
		s     = around{groups: map[string]Group{}}
	)
	batch.Queue(nowSQL.Text).QueryRow(func(row pgx.Row) error { return row.Scan(&b.now) })
	groups := b.queueGroups(c, &batch, fresh, &s)
	outside := b.outside(fresh)
	s.queueStandings(&batch, shareDeadlinesSQL, outside)
	shares := make([]line.Share, len(fresh))
	for k, i := range fresh {
		shares[k] = shareOf(&b.tasks[i].Definition)
	}
	c.lookTurns(&batch, shares)
	if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return s, fmt.Errorf("queue: look at groups and dependencies: %w", err)
	}
	var wrong []string // of what was remembered
	for id, expires := range groups {
		if g, ok := s.groups[id]; !ok || g.Expires.Before(expires) {
			wrong = append(wrong, id)
		}
	}
	if len(wrong) > 0 {
		c.q.groups.Drop(wrong...)
		return s, errMoved
	}
	b.checkGroups(fresh, &s)
	return s, s.holdBad(ctx, c)
}

// queueGroups adds to a batch what opens the groups, and returns when each must not expire before. Those
// known to be there are only locked.
func (b *creation) queueGroups(c *change, batch *pgx.Batch, fresh []int, s *around) map[string]time.Time {
	wants, owners := map[string]time.Time{}, map[string]string{}
	for _, i := range fresh {
		d := &b.tasks[i].Definition
		expires := groupExpiry(d.Expires.Time)
		if at, ok := wants[d.TaskGroupID]; !ok || expires.After(at) {
			wants[d.TaskGroupID], owners[d.TaskGroupID] = expires, d.SchedulerID
		}
	}
	if len(wants) == 0 {
		return nil
	}
	ids := make([]string, 0, len(wants))
	for id := range wants {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var open, schedulers []string
	var expires []time.Time
	for _, id := range ids {
		if !c.q.groups.Known(id, wants[id]) {
			open, schedulers, expires = append(open, id), append(schedulers, owners[id]), append(expires, wants[id])
		}
	}
	if len(open) > 0 {
		batch.Queue(newGroupsSQL.Text, open, schedulers, expires)
		batch.Queue(extendGroupsSQL.Text, open, expires)
	}
	batch.Queue(shareGroupsSQL.Text, ids).Query(func(rows pgx.Rows) error {
		groups, err := pgx.CollectRows(rows, scanGroup)
		for _, g := range groups {
			s.groups[g.TaskGroupID] = g
			c.seen = append(c.seen, g)
		}
		return err
	})
	return wants
}

// checkGroups refuses tasks whose group is sealed or another scheduler's.
func (b *creation) checkGroups(fresh []int, s *around) {
	schedulers := map[string]string{}
	for _, i := range fresh {
		d := &b.tasks[i].Definition
		g := s.groups[d.TaskGroupID]
		first, ok := schedulers[d.TaskGroupID]
		if !ok {
			first = d.SchedulerID
			schedulers[d.TaskGroupID] = first
		}
		switch {
		case first != d.SchedulerID: // two tasks of one call
			b.refuse(i, otherScheduler(d.TaskGroupID, first, d.SchedulerID))
		case g.SchedulerID != d.SchedulerID:
			b.refuse(i, otherScheduler(d.TaskGroupID, g.SchedulerID, d.SchedulerID))
		case g.Sealed != nil:
			b.refuse(i, fault.New(fault.Conflict, "Task group %s was sealed at %s: it takes no more tasks.", g.TaskGroupID, g.Sealed))
		}
	}
}

func otherScheduler(group, has, wants string) error {
	return fault.New(fault.Conflict, "Task group %s belongs to the scheduler %q; a task with schedulerId %q cannot join it.", group, has, wants)
}

// outside returns, sorted, the dependencies of the new tasks that are not among the tasks of their call.
func (b *creation) outside(fresh []int) []string {
	var own map[string]int // the call of each new task, when one has dependencies at all
	set := map[string]bool{}
	for _, i := range fresh {
		for _, id := range b.tasks[i].Definition.Dependencies {
			if own == nil {
				own = make(map[string]int, len(fresh))
				for _, k := range fresh {
					own[b.tasks[k].ID] = b.calls[k]
				}
			}
			if call, ok := own[id]; !ok || call != b.calls[i] {
				set[id] = true
			}
		}
	}
	ids := make([]string, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// queueStandings adds to a batch a locking statement on tasks, and the look at how they stand.
func (s *around) queueStandings(batch *pgx.Batch, lock pg.Statement, ids []string) {
	if s.standings == nil {
		s.standings = make(map[string]*task.Status, len(ids))
	}
	if len(ids) == 0 {
		return
	}
	batch.Queue(lock.Text, ids)
	batch.Queue(standingsSQL.Text, ids).Query(func(rows pgx.Rows) error {
		var one task.Status
		_, err := pgx.ForEachRow(rows, []any{&one.TaskID, &one.State, &one.Expires.Time}, func() error {
			copied := one
			s.standings[one.TaskID] = &copied
			return nil
		})
		return err
	})
}

// holdBad locks the dependencies that ended badly: they have no deadlines row to lock, and a rerun could
// make them good.
func (s *around) holdBad(ctx context.Context, c *change) error {
	var bad []string
	for id, one := range s.standings {
		if one.State == task.Failed || one.State == task.Exception {
			bad = append(bad, id)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	var batch pgx.Batch
	s.queueStandings(&batch, shareTasksSQL, bad)
	if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("queue: %s: %w", shareTasksSQL.Name, err)
	}
	for _, id := range bad {
		if !s.standings[id].State.Resolved() {
			return errMoved // it was rerun between the two looks: lock it as an unresolved one
		}
	}
	return nil
}

var (
	newGroupsSQL = pg.Statement{Name: "queue.new-groups", Text: `
INSERT INTO task_groups (task_group_id, scheduler_id, expires)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (task_group_id) DO NOTHING`}

	extendGroupsSQL = pg.Statement{Name: "queue.extend-groups", Text: `
UPDATE task_groups g SET expires = u.expires
FROM unnest($1::text[], $2::timestamptz[]) AS u (task_group_id, expires)
WHERE g.task_group_id = u.task_group_id AND g.expires < u.expires`}

	shareGroupsSQL = pg.Statement{Name: "queue.share-groups", Text: `
SELECT ` + groupColumns + ` FROM task_groups WHERE task_group_id = ANY($1) ORDER BY task_group_id FOR KEY SHARE`}

	shareDeadlinesSQL = pg.Statement{Name: "queue.share-deadlines", Text: `
SELECT task_id FROM deadlines WHERE task_id = ANY($1) ORDER BY task_id FOR KEY SHARE`}

	shareTasksSQL = pg.Statement{Name: "queue.share-tasks", Text: `
SELECT task_id FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR SHARE`}

	standingsSQL = pg.Statement{Name: "queue.standings", Text: `SELECT task_id, state, expires FROM tasks WHERE task_id = ANY($1)`}
)
