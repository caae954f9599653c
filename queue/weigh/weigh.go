// Package weigh changes how much a task group weighs against others of the same priority
// (docs/explanation/fairness.md).
package weigh

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
)

// Group is a task group as it weighs now.
type Group struct {
	TaskGroupID string `json:"taskGroupId"`
	SchedulerID string `json:"schedulerId"`
	Weight      int    `json:"weight"`
	// Moved is how many pending tasks got another turn.
	Moved int `json:"tasksMoved"`
}

// Set gives a task group its weight, 1 to line.MaxWeight. Its pending tasks are spread anew from the
// first of them on, all in one statement; those that a worker is just taking are left alone. It is
// idempotent.
func Set(ctx context.Context, db pg.Beginner, group string, weight int) (Group, error) {
	if weight < 1 || weight > line.MaxWeight {
		return Group{}, fault.New(fault.Invalid, "A task group weighs 1 to %d, not %d.", line.MaxWeight, weight)
	}
	var g Group
	err := pg.Tx(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		g = Group{}
		err := tx.QueryRow(ctx, weighSQL.Text, group, weight).Scan(&g.TaskGroupID, &g.SchedulerID, &g.Weight)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "Task group %s does not exist. Is the id right? Groups vanish some time after their last task.", group)
		}
		if err != nil {
			return fmt.Errorf("queue: %s: %w", weighSQL.Name, err)
		}
		tag, err := tx.Exec(ctx, spreadSQL.Text, group, line.Unit/weight, line.FirstTurn)
		if err != nil {
			return fmt.Errorf("queue: %s: %w", spreadSQL.Name, err)
		}
		g.Moved = int(tag.RowsAffected())
		return nil
	})
	if err != nil {
		return Group{}, fmt.Errorf("queue: weigh group %s: %w", group, err)
	}
	return g, nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{weighSQL, spreadSQL}

var (
	weighSQL = pg.Statement{Name: "queue.weigh", Text: `
UPDATE task_groups SET weight = $2 WHERE task_group_id = $1 RETURNING task_group_id, scheduler_id, weight`}

	spreadSQL = pg.Statement{Name: "queue.spread", Text: `
WITH mine AS MATERIALIZED (
    SELECT task_id, task_queue_id, priority, seq FROM pending
    WHERE task_group_id = $1 AND seq >= $3 FOR UPDATE SKIP LOCKED
), spread AS (
    SELECT task_id, min(seq) OVER line + (row_number() OVER (line ORDER BY seq, task_id) - 1) * $2::bigint AS turn
    FROM mine WINDOW line AS (PARTITION BY task_queue_id, priority)
)
UPDATE pending p SET seq = s.turn FROM spread s WHERE p.task_id = s.task_id AND p.seq <> s.turn`}
)
