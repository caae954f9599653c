// Package backup knows what was told of backups, and whether the database is the one that it was: one that was put
// back to an earlier point, or that a standby took over, has to be told so before servers go on with it
// (docs/operations/backup.md).
//
// It makes no backups: PostgreSQL's own tools do, and tell of it with "treeline db backup-report".
package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Kind says what was saved.
type Kind string

// The kinds of backups.
const (
	Base    Kind = "base"    // a physical copy of the cluster, from which its archived log leads on
	Dump    Kind = "dump"    // pg_dump's
	Objects Kind = "objects" // contents of artifacts
	Drill   Kind = "drill"   // a restore that was tried out
)

// Kinds are all kinds.
func Kinds() []Kind { return []Kind{Base, Dump, Objects, Drill} }

// Backup is what was told of one.
type Backup struct {
	ID       int64     `json:"id"`
	Kind     Kind      `json:"kind"`
	OK       bool      `json:"ok"`
	Finished time.Time `json:"finished"` // by the database's clock
	Size     int64     `json:"size"`     // bytes; 0 when it was not told
	LSN      string    `json:"lsn,omitempty"`
	Place    string    `json:"place,omitempty"`
	Note     string    `json:"note,omitempty"`
	By       string    `json:"by"`
}

const maxText = 2000

// check says what is wrong with a report.
func (b *Backup) check() error {
	known := false
	for _, k := range Kinds() {
		known = known || b.Kind == k
	}
	switch {
	case !known:
		return fault.New(fault.Invalid, "the kind of backup %q: one of base, dump, objects, drill", b.Kind)
	case b.Size < 0:
		return fault.New(fault.Invalid, "the size of a backup is in bytes, not %d", b.Size)
	case len(b.Place) > maxText || len(b.Note) > maxText || len(b.By) > maxText:
		return fault.New(fault.Invalid, "a place, note or name of a backup has at most %d bytes", maxText)
	case b.By == "":
		return fault.New(fault.Invalid, "who made the backup?")
	}
	return nil
}

// Record writes down that a backup ended, well or not. ID and Finished are the database's. Reports of more than a year
// ago are removed, but for the last good one of each kind.
func Record(ctx context.Context, pool *pgxpool.Pool, b Backup) (Backup, error) {
	if err := b.check(); err != nil {
		return b, fmt.Errorf("backup: record: %w", err)
	}
	var lsn *string
	if b.LSN != "" {
		lsn = &b.LSN
	}
	err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, recordSQL.Text, b.Kind, b.OK, b.Size, lsn, b.Place, b.Note, b.By).Scan(&b.ID, &b.Finished); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, pruneSQL.Text)
		return err
	})
	if err != nil {
		return b, fmt.Errorf("backup: record: %w", pg.Classify(err))
	}
	return b, nil
}

// Last returns of each kind the newest good backup, and the newest one when that is another: newest first.
func Last(ctx context.Context, pool *pgxpool.Pool) ([]Backup, error) {
	return list(ctx, pool, lastSQL)
}

// List returns the newest reports, newest first.
func List(ctx context.Context, pool *pgxpool.Pool, limit int) ([]Backup, error) {
	return list(ctx, pool, listSQL, limit)
}

func list(ctx context.Context, pool *pgxpool.Pool, s pg.Statement, args ...any) ([]Backup, error) {
	rows, err := pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("backup: %s: %w", s.Name, pg.Classify(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Backup])
	if err != nil {
		return nil, fmt.Errorf("backup: %s: %w", s.Name, pg.Classify(err))
	}
	return out, nil
}

const columns = `id, kind, ok, finished, size, coalesce(lsn::text, ''), place, note, by`

var (
	recordSQL = pg.Statement{Name: "backup.record", Text: `
INSERT INTO backups (kind, ok, size, lsn, place, note, by) VALUES ($1, $2, $3, $4::text::pg_lsn, $5, $6, $7) RETURNING id, finished`}

	pruneSQL = pg.Statement{Name: "backup.prune", Text: `
DELETE FROM backups b WHERE finished < now() - interval '1 year'
	AND id <> (SELECT n.id FROM backups n WHERE n.kind = b.kind ORDER BY n.ok DESC, n.finished DESC LIMIT 1)`}

	lastSQL = pg.Statement{Name: "backup.last", Text: `
SELECT ` + columns + ` FROM backups b
WHERE id IN ((SELECT n.id FROM backups n WHERE n.kind = b.kind ORDER BY n.finished DESC LIMIT 1),
	(SELECT n.id FROM backups n WHERE n.kind = b.kind AND n.ok ORDER BY n.finished DESC LIMIT 1))
ORDER BY finished DESC`}

	listSQL = pg.Statement{Name: "backup.list", Text: `SELECT ` + columns + ` FROM backups ORDER BY finished DESC LIMIT $1`}
)
