package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Identity tells a database from its copies.
type Identity struct {
	Cluster  string `json:"cluster"`  // its system identifier
	Timeline int    `json:"timeline"` // of its write-ahead log
	Database uint32 `json:"database"`
}

// Lineage is which database it is, and which one it was when somebody last said so.
type Lineage struct {
	Is    Identity  `json:"is"`
	Known Identity  `json:"known"` // zero: no server has started on it
	How   string    `json:"how,omitempty"`
	At    time.Time `json:"at,omitzero"`
	By    string    `json:"by,omitempty"`
}

// Moved reports whether the database is another one than is known: put back, copied, or taken over by a standby.
func (l Lineage) Moved() bool { return l.Known != Identity{} && l.Known != l.Is }

// Why says in words what makes it another one.
func (l Lineage) Why() string {
	switch {
	case l.Is.Cluster != l.Known.Cluster:
		return "it lies in another PostgreSQL cluster than before: it was read from a dump, or copied"
	case l.Is.Database != l.Known.Database:
		return "it was made anew in its cluster: it was read from a dump, or copied"
	case l.Is.Timeline != l.Known.Timeline:
		return fmt.Sprintf("its log is on timeline %d, and was on %d: it was put back to an earlier point, or a standby took over", l.Is.Timeline, l.Known.Timeline)
	}
	return "it is the same"
}

// Look reads which database it is.
func Look(ctx context.Context, pool *pgxpool.Pool) (Lineage, error) {
	l, err := look(ctx, pool)
	if err != nil {
		return l, fmt.Errorf("backup: lineage: %w", pg.Classify(err))
	}
	return l, nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func look(ctx context.Context, db querier) (l Lineage, err error) {
	if err := db.QueryRow(ctx, identitySQL.Text).Scan(&l.Is.Cluster, &l.Is.Timeline, &l.Is.Database); err != nil {
		return l, err
	}
	err = db.QueryRow(ctx, knownSQL.Text).Scan(&l.Known.Cluster, &l.Known.Timeline, &l.Known.Database, &l.How, &l.At, &l.By)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return l, err
}

// Meet is Look for a server that starts: the first one writes down which database it is.
func Meet(ctx context.Context, pool *pgxpool.Pool) (Lineage, error) {
	var l Lineage
	err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		if l, err = look(ctx, tx); err != nil || l.Known != (Identity{}) {
			return err
		}
		if _, err := tx.Exec(ctx, lockSQL.Text); err != nil {
			return err
		}
		if l, err = look(ctx, tx); err != nil || l.Known != (Identity{}) {
			return err
		}
		return note(ctx, tx, l.Is, "first", "the first server")
	})
	if err != nil {
		return l, fmt.Errorf("backup: lineage: %w", pg.Classify(err))
	}
	return l, nil
}

func note(ctx context.Context, tx pgx.Tx, is Identity, how, by string) error {
	_, err := tx.Exec(ctx, noteSQL.Text, is.Cluster, is.Timeline, is.Database, how, by)
	return err
}

// skip is by how much the numbers that a database gives are moved on after it was put back: more than it may have given
// after the point to which it was.
const skip = 1_000_000

// Restore is what is to be done with a database that was put back.
type Restore struct {
	By          string
	NothingLost bool // it only moved: no commit is missing
	// Rooms do what is theirs, in the transaction in which the database is declared whole again.
	Rooms []func(ctx context.Context, tx pgx.Tx) error
}

// Restored readies a database that was put back to an earlier point for servers. Numbers that it had given afterwards,
// which other systems and files may still bear, are passed over. It is fault.Conflict while a server is connected: it
// would go on with what it remembers.
func Restored(ctx context.Context, pool *pgxpool.Pool, r Restore) (Lineage, error) {
	if r.By == "" {
		return Lineage{}, fault.New(fault.Invalid, "backup: who says so?")
	}
	var l Lineage
	err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, lockSQL.Text); err != nil {
			return err
		}
		if l, err = look(ctx, tx); err != nil {
			return err
		}
		if r.NothingLost {
			return note(ctx, tx, l.Is, "nothing-lost", r.By)
		}
		var servers int
		if err := tx.QueryRow(ctx, serversSQL.Text).Scan(&servers); err != nil {
			return err
		}
		if servers > 0 {
			return fault.New(fault.Conflict, "%d connections of servers are open to this database: stop the servers first; they remember numbers that this gives anew", servers)
		}
		if _, err := tx.Exec(ctx, skipSQL.Text, skip); err != nil {
			return err
		}
		for _, room := range r.Rooms {
			if err := room(ctx, tx); err != nil {
				return err
			}
		}
		return note(ctx, tx, l.Is, "restored", r.By)
	})
	if err != nil {
		return l, fmt.Errorf("backup: restored: %w", pg.Classify(err))
	}
	return l, nil
}

// Application is how the commands on the database name their connections, which are not servers.
const Application = "treeline db"

var (
	// A promoted server's control file tells of its new timeline at the next checkpoint only; its log at once.
	identitySQL = pg.Statement{Name: "backup.identity", Text: `
SELECT (SELECT system_identifier::text FROM pg_control_system()),
	('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int,
	(SELECT oid FROM pg_database WHERE datname = current_database())`}

	knownSQL = pg.Statement{Name: "backup.known", Text: `
SELECT cluster, timeline, database, how, at, by FROM backup_lineage ORDER BY id DESC LIMIT 1`}

	noteSQL = pg.Statement{Name: "backup.note", Text: `
INSERT INTO backup_lineage (cluster, timeline, database, how, by) VALUES ($1, $2, $3, $4, $5)`}

	lockSQL = pg.Statement{Name: "backup.lock", Text: `SELECT pg_advisory_xact_lock(x'747265650039'::bit(48)::bigint)`}

	serversSQL = pg.Statement{Name: "backup.servers", Text: `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'treeline'`}

	skipSQL = pg.Statement{Name: "backup.skip", Text: `
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, coalesce(last_value, 0) + $1::bigint)
FROM pg_sequences WHERE schemaname = current_schema() AND data_type = 'bigint'::regtype`}
)
