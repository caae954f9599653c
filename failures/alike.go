package failures

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// maxAlike is how many tasks of a signature Alike returns, the newest.
const maxAlike = 200

// Alike returns, by signature, the tasks that failed in the same way, on any push that is remembered, the newest first; but
// for the task given.
func (f *Failures) Alike(ctx context.Context, signatures []string, but string) (map[string][]string, error) {
	rows, err := f.Pool.Query(ctx, alikeSQL.Text, signatures, but, maxAlike)
	if err != nil {
		return nil, failed("find failures alike", err)
	}
	out := map[string][]string{}
	var signature, task string
	_, err = pgx.ForEachRow(rows, []any{&signature, &task}, func() error {
		out[signature] = append(out[signature], task)
		return nil
	})
	return out, failed("find failures alike", err)
}

var alikeSQL = pg.Statement{Name: "failures.alike", Text: `
	SELECT asked.signature, l.task_id FROM unnest($1::text[]) AS asked (signature)
	CROSS JOIN LATERAL (
		SELECT push, task_id FROM failure_lines WHERE signature = asked.signature AND task_id <> $2 ORDER BY push DESC, task_id LIMIT $3) l
	ORDER BY asked.signature, l.push DESC, l.task_id`}
