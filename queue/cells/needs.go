package cells

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Need is what a task of a group waits for before it may run.
type Need struct {
	TaskID string
	Kind   string // the tag; "" without
	Needs  []string
}

// Needs returns what the tasks of a group need, sorted by id: one narrow read.
func Needs(ctx context.Context, pool *pgxpool.Pool, group string) ([]Need, error) {
	rows, err := pool.Query(ctx, needsSQL.Text, group)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", needsSQL.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Need])
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", needsSQL.Name, pg.Classify(err))
	}
	return list, nil
}

// A kind with an escape, which the database might refuse to read, is no kind.
var needsSQL = pg.Statement{Name: "queue.needs", Text: `
SELECT t.task_id, CASE WHEN strpos(d.tags::text, '\u') > 0 THEN '' ELSE coalesce(d.tags->>'kind', '') END, d.dependencies
FROM tasks t JOIN definitions d USING (task_id)
WHERE t.task_group_id = $1 AND (expires > now() OR state IN ('unscheduled', 'pending', 'running')) ORDER BY t.task_id`}
