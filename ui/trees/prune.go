package trees

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// keepChanges is how many changes of each tree stay, however old they are.
const keepChanges = 20

// Prune removes what was said of trees longer ago than keep, in small steps, and returns how many rows that were.
// How each tree is stays, and its newest changes.
func (b *Book) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, b.Pool, pruneSQL, 500, keep.Seconds(), keepChanges)
	if err != nil {
		return n, fmt.Errorf("trees: %w", err)
	}
	return n, nil
}

var pruneSQL = pg.Statement{Name: "trees.prune", Text: `
DELETE FROM ui_tree_changes WHERE id IN (
	SELECT c.id FROM ui_tree_changes c
	WHERE c.changed < now() - make_interval(secs => $2) AND c.id < (
		SELECT n.id FROM ui_tree_changes n WHERE n.repository = c.repository ORDER BY n.id DESC OFFSET $3 - 1 LIMIT 1)
	ORDER BY c.id LIMIT $1 FOR UPDATE OF c SKIP LOCKED)`}
