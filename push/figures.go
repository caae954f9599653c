package push

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how far intake is behind.
type Figures struct {
	Undecided int           // pushes in state Received
	Oldest    time.Duration // how long the one waits that waits longest
}

// Figures tells how many pushes wait for their decision.
func (l *Log) Figures(ctx context.Context) (f Figures, err error) {
	if err := l.pool.QueryRow(ctx, figuresSQL.Text).Scan(&f.Undecided, &f.Oldest); err != nil {
		return f, fmt.Errorf("push: figures: %w", pg.Classify(err))
	}
	return f, nil
}

var figuresSQL = pg.Statement{Name: "push.figures", Text: `
	SELECT count(*)::int, coalesce(greatest(clock_timestamp() - min(pushed), '0'), '0') FROM pushes WHERE state = 'received'`}
