package notify

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Notification is a row of the outbox for people to see; its message is not shown.
type Notification struct {
	ID       int64
	Channel  string // "" for a route that tells nobody
	Address  string
	State    State
	TaskID   string // "" for none
	Tries    int
	Error    string // of the last try
	Created  time.Time
	NextTry  time.Time  // of one that waits
	Finished *time.Time // nil while it waits
}

// List returns notifications in the given states, the newest first, that are older than one of them; 0 begins
// with the newest.
func (n *Notify) List(ctx context.Context, states []State, before int64, limit int) ([]Notification, error) {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	rows, err := n.Pool.Query(ctx, listSQL.Text, names, before, limit)
	if err != nil {
		return nil, failed("list notifications", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Notification])
	if err != nil {
		return nil, failed("list notifications", err)
	}
	return list, nil
}

const pruneBatch = 1000

// Prune removes what is older than keep, in small steps, and returns how many rows that were.
func (n *Notify) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	removed, err := pg.Prune(ctx, n.Pool, pruneSQL, pruneBatch, keep)
	if err != nil {
		return removed, failed("prune", err)
	}
	return removed, nil
}

var (
	listSQL = pg.Statement{Name: "notify.list", Text: `
		SELECT id, channel, address, state, coalesce(task_id, ''), tries, coalesce(error, ''), created, next_try, finished
		FROM notify_outbox WHERE state = ANY ($1) AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`}
	pruneSQL = pg.Statement{Name: "notify.prune", Text: `
		DELETE FROM notify_outbox WHERE id IN (
			SELECT id FROM notify_outbox WHERE created < now() - $2::interval ORDER BY created LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
