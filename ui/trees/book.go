package trees

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Kind is the kind of the feed's events about trees; the topic is the repository.
const Kind = "tree-changed"

// State says whether people may push.
type State string

// The states of a tree.
const (
	Open     State = "open"     // anybody who has the right to
	Approval State = "approval" // what those who keep the tree approved of
	Closed   State = "closed"   // nobody, until it is open again
)

const maxText = 2000 // bytes of a reason or a message

// Tree is what those who keep a repository say about it.
type Tree struct {
	Repository string    `json:"repository"`
	State      State     `json:"state"`
	Reason     string    `json:"reason"`
	Message    string    `json:"message"` // of the day
	ChangedBy  string    `json:"changedBy,omitempty"`
	Changed    time.Time `json:"changed"`
}

// Quiet tells whether there is nothing to say: the tree is open, without a message.
func (t Tree) Quiet() bool { return t.State == Open && t.Message == "" }

// Book keeps the states of trees. It is safe for concurrent use, and any number of servers may share a database.
type Book struct {
	Pool *pgxpool.Pool
	Wake func() // after an event was appended
}

// Tree returns that of a repository; one of which nothing was said is open.
func (b *Book) Tree(ctx context.Context, repository string) (Tree, error) {
	t := Tree{Repository: repository, State: Open}
	err := b.Pool.QueryRow(ctx, oneSQL.Text, repository).Scan(&t.State, &t.Reason, &t.Message, &t.ChangedBy, &t.Changed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return t, fmt.Errorf("trees: %s: %w", repository, pg.Classify(err))
	}
	return t, nil
}

// All returns every tree of which something was said, by repository.
func (b *Book) All(ctx context.Context) ([]Tree, error) {
	rows, err := b.Pool.Query(ctx, allSQL.Text)
	return collect(rows, err)
}

// History returns what was said of a tree, the newest first.
func (b *Book) History(ctx context.Context, repository string, limit int) ([]Tree, error) {
	rows, err := b.Pool.Query(ctx, historySQL.Text, repository, limit)
	return collect(rows, err)
}

func collect(rows pgx.Rows, err error) ([]Tree, error) {
	if err != nil {
		return nil, fmt.Errorf("trees: list: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Tree])
	if err != nil {
		return nil, fmt.Errorf("trees: list: %w", pg.Classify(err))
	}
	return list, nil
}

// told is a tree as the audit log shows it.
func (t Tree) told() any {
	return map[string]any{"state": t.State, "reason": t.Reason, "message": t.Message}
}

// Set says how a tree is, and tells it in the feed. One that is not open needs a reason.
func (b *Book) Set(ctx context.Context, by string, t Tree) error {
	t.Reason, t.Message = strings.TrimSpace(t.Reason), strings.TrimSpace(t.Message)
	switch {
	case t.State != Open && t.State != Approval && t.State != Closed:
		return fault.New(fault.Invalid, "A tree is open, approval or closed, and not %.40q.", string(t.State))
	case t.State != Open && t.Reason == "":
		return fault.New(fault.Invalid, "Say why the tree %s is not open: who wants to push reads it.", t.Repository)
	case len(t.Reason) > maxText || len(t.Message) > maxText:
		return fault.New(fault.Invalid, "A reason and a message may have %d bytes.", maxText)
	case !utf8.ValidString(t.Reason+t.Message) || strings.ContainsRune(t.Reason+t.Message, 0):
		return fault.New(fault.Invalid, "The reason or the message has characters that no text has.")
	}
	t.ChangedBy = by
	err := pg.Tx(ctx, b.Pool, func(ctx context.Context, tx pgx.Tx) error {
		old := Tree{State: Open}
		err := tx.QueryRow(ctx, oneSQL.Text, t.Repository).Scan(&old.State, &old.Reason, &old.Message, &old.ChangedBy, &old.Changed)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := auth.Audit(ctx, tx, auth.Record{EntityType: "tree", EntityID: t.Repository, ClientID: by, Action: "changed", Before: old.told(), After: t.told()}); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, setSQL.Text, t.Repository, t.State, t.Reason, t.Message, by).Scan(&t.Changed); err != nil {
			return err
		}
		payload, err := json.Marshal(t)
		if err != nil {
			return err
		}
		return event.Append(ctx, tx, event.Event{Kind: Kind, Topic: t.Repository, Payload: payload})
	})
	if err != nil {
		return fmt.Errorf("trees: set %s: %w", t.Repository, pg.Classify(err))
	}
	b.Wake()
	return nil
}

const columns = `repository, state, reason, message, changed_by, changed`

var (
	oneSQL = pg.Statement{Name: "trees.one", Text: `SELECT state, reason, message, changed_by, changed FROM ui_trees WHERE repository = $1`}

	allSQL = pg.Statement{Name: "trees.all", Text: `SELECT ` + columns + ` FROM ui_trees ORDER BY repository`}

	historySQL = pg.Statement{Name: "trees.history", Text: `
SELECT ` + columns + ` FROM ui_tree_changes WHERE repository = $1 ORDER BY id DESC LIMIT $2`}

	setSQL = pg.Statement{Name: "trees.set", Text: `
WITH said AS (INSERT INTO ui_tree_changes (repository, state, reason, message, changed_by) VALUES ($1, $2, $3, $4, $5))
INSERT INTO ui_trees (repository, state, reason, message, changed_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (repository) DO UPDATE SET state = excluded.state, reason = excluded.reason, message = excluded.message, changed_by = excluded.changed_by, changed = now()
RETURNING changed`}
)

// Statements are the SQL of this package, for the test that prepares each.
func Statements() []pg.Statement { return []pg.Statement{oneSQL, allSQL, historySQL, setSQL, pruneSQL} }
