package push

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Arrive writes a push in the transaction of whoever follows the forge, together with how far they are. Of
// pushes of a repository with the same Key only the first is written; fresh says whether this was it. Unlike
// with Record, a branch may have several heads. A Time is the forge's and kept, as PushlogID is. Call Woken
// when the transaction is done.
func (l *Log) Arrive(ctx context.Context, tx pgx.Tx, p Push) (recorded Push, fresh bool, err error) {
	if p.Key == "" {
		return Push{}, false, errors.New("push: an arrival without a key")
	}
	recorded = p
	if err := tx.QueryRow(ctx, arriveSQL.Text, p.Repository, p.Key, p.Branch, p.Revision).Scan(&recorded.ID); err != nil {
		return Push{}, false, fmt.Errorf("push: arrival of %s in %s: %w", p.Revision, p.Repository, err)
	}
	if recorded.ID == 0 {
		return Push{}, false, nil
	}
	if err := l.insert(ctx, tx, &recorded); err != nil {
		return Push{}, false, fmt.Errorf("push: arrival of %s in %s: %w", p.Revision, p.Repository, err)
	}
	return recorded, true, nil
}

// Woken tells those who listen that pushes arrived.
func (l *Log) Woken() { l.wake() }

// The branch's recorded head is the newest push's.
var arriveSQL = pg.Statement{Name: "push.arrive", Text: `
	WITH counted AS (
		UPDATE repositories SET last_push = last_push + 1
		WHERE name = $1 AND NOT EXISTS (SELECT FROM pushes WHERE repository = $1 AND forge_key = $2::text)
		RETURNING last_push
	), head AS (
		INSERT INTO repository_heads (repository, branch, revision) SELECT $1, $3, $4 FROM counted
		ON CONFLICT (repository, branch) DO UPDATE SET revision = EXCLUDED.revision
	)
	SELECT coalesce((SELECT last_push FROM counted), 0)`}
