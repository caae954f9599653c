package hooks

import (
	"context"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how the hooks stand.
type Figures struct {
	Messages int // that fit a binding and have yet to fire
	Failing  int // hooks whose last fires failed that nobody called for
}

// Figures tells how the hooks stand.
func (h *Hooks) Figures(ctx context.Context) (f Figures, err error) {
	err = h.Pool.QueryRow(ctx, figuresSQL.Text).Scan(&f.Messages, &f.Failing)
	return f, failed("figures", err)
}

var figuresSQL = pg.Statement{Name: "hooks.figures", Text: `
SELECT (SELECT count(*) FROM hook_messages)::int, (SELECT count(*) FROM hook_definitions WHERE failures > 0 AND paused IS NULL)::int`}
