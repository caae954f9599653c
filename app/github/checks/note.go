package checks

import (
	"context"
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// keepNotes is how many notes a check shows; older ones go.
const keepNotes = 5

// Note puts a line, in Markdown, at the head of what a check shows: what happened and who did it. It stays whatever
// the check's state becomes. The error is fault.NotFound when there is no such check.
func (c *Checks) Note(ctx context.Context, checkID int64, text string) error {
	text = strings.ReplaceAll(cut(strings.TrimSpace(text), maxNote), "\x00", "")
	tag, err := c.Pool.Exec(ctx, noteSQL.Text, checkID, text, keepNotes)
	if err == nil && tag.RowsAffected() == 0 {
		err = fault.New(fault.NotFound, "there is no such check")
	}
	if err != nil {
		return fmt.Errorf("checks: note at check %d: %w", checkID, pg.Classify(err))
	}
	wake(c.fresh)
	return nil
}

var noteSQL = pg.Statement{Name: "checks.note", Text: `
	UPDATE github_checks SET notes = (notes || $2::text)[greatest(1, cardinality(notes) + 2 - $3::integer):], wanted = wanted + 1, updated = clock_timestamp(),
		due = CASE WHEN tries > 0 THEN due ELSE clock_timestamp() END
	WHERE id = $1`}
