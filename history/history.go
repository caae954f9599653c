// Package history remembers how the tasks of earlier pushes went, so that decisions can leave out what
// is hardly worth its cost (docs/explanation/history.md). It follows the event feed: of each task of a
// push's group that has a label and runs to an end, the outcome and the duration are counted. Pushes
// are kept for a time, and a Table shows at most the last 500.
//
// A line is a branch of a project. Its pushes are numbered one by one in the order in which they are
// entered: by the decision that asks for the table first, else by the first event of the group.
package history

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Keep is how long pushes are remembered unless WithKeep says otherwise.
const Keep = 90 * 24 * time.Hour

// Push is a push as history sees it.
type Push struct {
	Project, Branch string
	ID              int64 // within the project
	Revision        string
	Time            time.Time
	TaskGroupID     string
}

// Pushes finds, in a transaction, the push whose tasks a group holds; false without one.
type Pushes func(ctx context.Context, tx pgx.Tx, taskGroupID string) (Push, bool, error)

// History is the room. It is safe for concurrent use.
type History struct {
	pool   *pgxpool.Pool
	pushes Pushes
	keep   time.Duration
	log    *slog.Logger

	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// Option is a setting of New.
type Option func(*History)

// WithKeep sets how long pushes are remembered.
func WithKeep(d time.Duration) Option { return func(h *History) { h.keep = d } }

// WithLog sets where the loops log to.
func WithLog(log *slog.Logger) Option { return func(h *History) { h.log = log } }

// New makes the room.
func New(pool *pgxpool.Pool, pushes Pushes, options ...Option) *History {
	h := &History{pool: pool, pushes: pushes, keep: Keep, log: slog.New(slog.DiscardHandler)}
	for _, option := range options {
		option(h)
	}
	return h
}

// place is where a push stands: its line, and its number there.
type place struct{ line, number int64 }

// enter gives the push its place, the same each time.
func enter(ctx context.Context, tx pgx.Tx, p Push) (place, error) {
	var at place
	if err := tx.QueryRow(ctx, lineSQL.Text, p.Project, p.Branch).Scan(&at.line); err != nil { // locks the line
		return at, err
	}
	err := tx.QueryRow(ctx, enterSQL.Text, at.line, p.ID, p.Revision, p.Time, p.TaskGroupID).Scan(&at.number)
	return at, err
}

func failed(what string, err error) error {
	return fmt.Errorf("history: %s: %w", what, pg.Classify(err))
}

// Statements are the room's SQL, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{lineSQL, enterSQL, placesSQL, countSQL, decidedSQL, lineOfSQL, nextSQL, pushesSQL, labelsSQL, regressionsSQL, pruneSQL}
}

var (
	lineSQL = pg.Statement{Name: "history.line", Text: `
		INSERT INTO history_lines AS l (project, branch) VALUES ($1, $2)
		ON CONFLICT (project, branch) DO UPDATE SET project = l.project RETURNING id`}

	enterSQL = pg.Statement{Name: "history.enter", Text: `
		WITH known AS (
			UPDATE history_pushes SET task_group_id = $5 WHERE line_id = $1 AND push_id = $2 RETURNING number
		), counted AS (
			UPDATE history_lines SET last_number = last_number + 1
			WHERE id = $1 AND NOT EXISTS (SELECT FROM known) RETURNING last_number
		), fresh AS (
			INSERT INTO history_pushes (line_id, number, push_id, revision, pushed, task_group_id)
			SELECT $1, last_number, $2, $3, $4, $5 FROM counted RETURNING number
		)
		SELECT number FROM known UNION ALL SELECT number FROM fresh`}
)
