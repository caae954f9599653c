package object

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Extend lets an object, finished or not, expire no earlier than the given instant. One that is not
// there is no error.
func (s *Store) Extend(ctx context.Context, name string, expires time.Time) error {
	if _, err := s.pool.Exec(ctx, extendSQL.Text, name, expires.UTC().Truncate(time.Millisecond)); err != nil {
		return fmt.Errorf("object: extend %s: %w", name, pg.Classify(err))
	}
	return nil
}

var extendSQL = pg.Statement{Name: "object.extend", Text: `
UPDATE objects SET expires = $2 WHERE name = $1 AND expires < $2`}
