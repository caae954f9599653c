package failures

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Failing is a task of a push that has not passed in any of its runs.
type Failing struct {
	TaskGroupID, TaskID, Label string
	Message                    string // the first that it says of its failure; "" when nothing is known
}

// Failing returns up to limit tasks of task groups that fail, those of the groups given first.
func (f *Failures) Failing(ctx context.Context, groups []string, limit int) ([]Failing, error) {
	rows, err := f.Pool.Query(ctx, failingSQL.Text, groups, limit)
	if err != nil {
		return nil, fmt.Errorf("failures: failing: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Failing])
	if err != nil {
		return nil, fmt.Errorf("failures: failing: %w", pg.Classify(err))
	}
	return list, nil
}

var failingSQL = pg.Statement{Name: "failures.failing", Text: `
	SELECT p.task_group_id, o.task_id, l.label, coalesce(
		(SELECT t.message FROM failure_lines t WHERE t.task_id = o.task_id ORDER BY t.run_id DESC, t.place LIMIT 1), '')
	FROM unnest($1::text[]) WITH ORDINALITY asked (task_group_id, place)
	JOIN failure_pushes p ON p.task_group_id = asked.task_group_id
	JOIN failure_outcomes o ON o.push = p.id AND o.passed = 0 AND o.failed + o.lost > 0
	JOIN failure_labels l ON l.id = o.label
	ORDER BY asked.place, l.label LIMIT $2`}
