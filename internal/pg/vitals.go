package pg

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Vitals are how the database itself is.
type Vitals struct {
	Bytes  int64         // on disk
	Oldest time.Duration // age of the oldest open transaction in it; 0 without any
	Dead   []DeadRows    // of the tables with most of them
}

// DeadRows are rows of a table that are not cleared away yet.
type DeadRows struct {
	Table string
	Rows  int64
}

// deadTables is how many tables Vitals names.
const deadTables = 10

// ReadVitals reads how the database is, from what PostgreSQL counts anyway.
func ReadVitals(ctx context.Context, pool *pgxpool.Pool) (v Vitals, err error) {
	if err := pool.QueryRow(ctx, vitalsSQL.Text).Scan(&v.Bytes, &v.Oldest); err != nil {
		return v, Classify(err)
	}
	rows, err := pool.Query(ctx, deadSQL.Text, deadTables)
	if err != nil {
		return v, Classify(err)
	}
	v.Dead, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DeadRows])
	return v, Classify(err)
}

// Statements lists every statement of the package, to be counted by name and parsed in tests.
func Statements() []Statement {
	return []Statement{
		vitalsSQL, deadSQL, lockVersionsSQL, tableWaitSQL, versionTableExistsSQL, listVersionsSQL, findVersionSQL, addVersionSQL, deleteVersionSQL,
	}
}

var (
	vitalsSQL = Statement{Name: "pg.vitals", Text: `
SELECT pg_database_size(current_database()), coalesce((
	SELECT greatest(clock_timestamp() - min(xact_start), '0') FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL), '0')`}

	deadSQL = Statement{Name: "pg.dead_rows", Text: `
SELECT relname::text, n_dead_tup FROM pg_stat_user_tables ORDER BY n_dead_tup DESC, relname LIMIT $1`}
)
