package failures

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// typicalPushes is how many of the last outcomes of a label say how long it takes.
const typicalPushes = 15

// Typical returns how long the labels of a repository usually run: the middle of the last passes that are known. Labels of
// which nothing is known are left out.
func (f *Failures) Typical(ctx context.Context, repository string, labels []string) (map[string]time.Duration, error) {
	rows, err := f.Pool.Query(ctx, typicalSQL.Text, repository, labels, typicalPushes)
	if err != nil {
		return nil, fmt.Errorf("failures: typical: %w", pg.Classify(err))
	}
	defer rows.Close()
	out := make(map[string]time.Duration, len(labels))
	for rows.Next() {
		var label string
		var seconds float64
		if err := rows.Scan(&label, &seconds); err != nil {
			return nil, fmt.Errorf("failures: typical: %w", err)
		}
		out[label] = time.Duration(seconds * float64(time.Second))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("failures: typical: %w", pg.Classify(err))
	}
	return out, nil
}

var typicalSQL = pg.Statement{Name: "failures.typical", Text: `
	SELECT l.label, last.seconds
	FROM failure_labels l
	CROSS JOIN LATERAL (
		SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.seconds) AS seconds
		FROM (SELECT seconds FROM failure_outcomes WHERE label = l.id AND passed > 0 ORDER BY push DESC LIMIT $3) o
	) last
	WHERE l.repository = $1 AND l.label = ANY ($2) AND last.seconds IS NOT NULL`}
