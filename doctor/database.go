package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/replica"
)

// Database is what the checks of a database need to know.
type Database struct {
	Pool *pgxpool.Pool
	URL  string // as the servers have it
	// PerServer is how many connections a server opens at most.
	PerServer int
	// Servers is how many servers share the database; 0: as many as are connected now, and one more, which an upgrade
	// runs besides.
	Servers int
	// OldTransaction is how long a transaction may be open, prepared ones too; 0: 15 minutes.
	OldTransaction time.Duration
	// SlotKeeps is how many bytes of the log a replication slot that nobody reads may keep; 0: 10 GiB.
	SlotKeeps int64
}

// What Database takes when it is not said otherwise.
const (
	OldTransaction       = 15 * time.Minute
	SlotKeeps      int64 = 10 << 30 // bytes
)

// The limits beyond which a finding is made.
const (
	maxSkew       = 10 * time.Second
	wraparoundAge = 1_000_000_000 // of about two thousand million transaction ids
	deadRows      = 100_000
	backupAge     = 26 * time.Hour // a day, and some time to make it
	drillAge      = 120 * 24 * time.Hour
)

// Checks are those of the database itself.
func (d Database) Checks() []Check {
	return []Check{
		{Name: "database settings", Look: d.settings},
		{Name: "database tables", Look: d.tables},
		{Name: "connections", Look: d.connections},
		{Name: "pooler", Look: d.pooler},
		{Name: "transactions", Look: d.transactions},
		{Name: "collation and encoding", Look: d.collation},
		{Name: "schema", Look: d.schema},
		{Name: "servers", Look: d.servers},
		{Name: "clock of the database", Look: d.clock},
		{Name: "log archive", Look: d.archive},
		{Name: "backups", Look: d.backups},
		{Name: "restore", Look: d.lineage},
	}
}

func (d Database) settings(ctx context.Context) ([]Finding, error) {
	list, err := Settings(ctx, d.Pool)
	return wrong(list), err
}

// each hands the rows of a statement on.
func (d Database) each(ctx context.Context, s pg.Statement, into []any, do func() error, args ...any) error {
	rows, err := d.Pool.Query(ctx, s.Text, args...)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, do)
	}
	if err != nil {
		return fmt.Errorf("doctor: %s: %w", s.Name, pg.Classify(err))
	}
	return nil
}

func (d Database) tables(ctx context.Context) (found []Finding, err error) {
	var table string
	var live, dead int64
	var off bool
	err = d.each(ctx, tablesSQL, []any{&table, &live, &dead, &off}, func() error {
		if off {
			found = append(found, Found("db-table-autovacuum", "autovacuum is switched off for the table %s", table))
		}
		if dead > deadRows && dead > live {
			found = append(found, Found("db-dead-rows", "the table %s has %d rows and %d dead ones", table, live, dead))
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	var database string
	var age int64
	err = d.each(ctx, ageSQL, []any{&database, &age}, func() error {
		if age > wraparoundAge {
			found = append(found, Found("db-wraparound", "the oldest transaction id of the database %s is %d transactions old", database, age))
		}
		return nil
	})
	return found, err
}

func (d Database) connections(ctx context.Context) (found []Finding, err error) {
	var limit, servers int
	err = d.each(ctx, connectionsSQL, []any{&limit, &servers}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	n := d.Servers
	if n == 0 {
		n = servers + 1
	}
	if need := n * d.PerServer; d.PerServer > 0 && need > limit {
		found = append(found, Found("db-connections", "%d servers open up to %d connections each, %d together, and the database takes %d", n, d.PerServer, need, limit))
	}
	return found, nil
}

// pooler looks whether PostgreSQL itself answers, and whether what the URL asks for fits that.
func (d Database) pooler(ctx context.Context) ([]Finding, error) {
	conn, err := d.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", pg.Classify(err))
	}
	defer conn.Release()
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return nil, fmt.Errorf("doctor: %w", pg.Classify(err))
	}
	if pid == conn.Conn().PgConn().PID() {
		return nil, nil
	}
	if strings.Contains(d.URL, "cache_statement") {
		return []Finding{Found("db-pooler-prepared", "DATABASE_URL leads to a pooler, and asks for default_query_exec_mode=cache_statement")}, nil
	}
	return []Finding{Found("db-pooler-session", "DATABASE_URL leads to a pooler")}, nil
}

func (d Database) transactions(ctx context.Context) (found []Finding, err error) {
	old := cmp.Or(d.OldTransaction, OldTransaction)
	var pid int
	var who, state string
	var seconds float64
	err = d.each(ctx, oldSQL, []any{&pid, &who, &state, &seconds}, func() error {
		age := time.Duration(seconds * float64(time.Second)).Round(time.Second)
		found = append(found, Found("db-old-transaction", "a transaction of %q (process %d, %s) is open for %v", who, pid, state, age))
		return nil
	}, old)
	if err != nil {
		return found, err
	}
	var name string
	if err = d.each(ctx, preparedSQL, []any{&name, &seconds}, func() error {
		found = append(found, Found("db-prepared-xact", "the prepared transaction %q is open for %v", name, time.Duration(seconds*float64(time.Second)).Round(time.Second)))
		return nil
	}, old); err != nil {
		return found, err
	}
	var bytes int64
	err = d.each(ctx, slotsSQL, []any{&name, &bytes}, func() error {
		found = append(found, Found("db-slot", "the replication slot %s, which nobody reads, keeps %d MB of the log", name, bytes>>20))
		return nil
	}, cmp.Or(d.SlotKeeps, SlotKeeps))
	return found, err
}

func (d Database) collation(ctx context.Context) (found []Finding, err error) {
	var made, is *string
	var encoding string
	err = d.each(ctx, collationSQL, []any{&made, &is, &encoding}, func() error {
		if made != nil && is != nil && *made != *is {
			found = append(found, Found("db-collation", "the database was made with version %s of its collation, and runs with %s", *made, *is))
		}
		if encoding != "UTF8" {
			found = append(found, Found("db-encoding", "the encoding of the database is %s", encoding))
		}
		return nil
	})
	return found, err
}

func (d Database) schema(ctx context.Context) (found []Finding, err error) {
	versions, err := pg.Versions(ctx, d.Pool)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		switch {
		case !v.Known:
			found = append(found, Found("schema-new", "the database has version %04d, which this program does not know", v.Number))
		case v.Changed:
			found = append(found, Found("schema-changed", "version %04d (%s) is not the one that was applied", v.Number, v.Name))
		case v.Applied == nil:
			found = append(found, Found("schema-old", "the database lacks version %04d (%s)", v.Number, v.Name))
		}
	}
	return found, nil
}

// servers looks whether all that run are the same program.
func (d Database) servers(ctx context.Context) (found []Finding, err error) {
	list, err := replica.List(ctx, d.Pool)
	if mixed := replica.Mixed(list); mixed != "" {
		found = append(found, Found("servers-differ", "servers of different programs run: %s", mixed))
	}
	return found, err
}

// clock compares the clocks, allowing for how long the question took.
func (d Database) clock(ctx context.Context) ([]Finding, error) {
	began := time.Now()
	var theirs time.Time
	if err := d.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return nil, fmt.Errorf("doctor: %w", pg.Classify(err))
	}
	if by := Skew(began, time.Now(), theirs, 0); by > maxSkew {
		return []Finding{Found("clock-database", "the database's clock is %v away from this machine's", by.Round(time.Second))}, nil
	}
	return nil, nil
}

// Skew is how far an instant that somebody told is from the time in which they were asked; they cut it by grain.
func Skew(began, ended, theirs time.Time, grain time.Duration) time.Duration {
	switch {
	case theirs.Add(grain).Before(began):
		return began.Sub(theirs.Add(grain))
	case theirs.After(ended):
		return theirs.Sub(ended)
	}
	return 0
}

func (d Database) archive(ctx context.Context) (found []Finding, err error) {
	var on, failing bool
	var why string
	err = d.each(ctx, archiveSQL, []any{&on, &failing, &why}, func() error {
		if on && failing {
			found = append(found, Found("db-archive-failing", "the archive command fails since the last success: %s", why))
		}
		return nil
	})
	return found, err
}

func (d Database) backups(ctx context.Context) (found []Finding, err error) {
	list, err := backup.Last(ctx, d.Pool)
	if err != nil {
		return nil, err
	}
	var now time.Time
	if err := d.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return nil, fmt.Errorf("doctor: %w", pg.Classify(err))
	}
	var saved, drilled *backup.Backup // the newest good ones
	latest := map[backup.Kind]bool{}
	for i, b := range list {
		if !b.OK && !latest[b.Kind] {
			found = append(found, Found("backup-failed", "the backup (%s) of %s by %s failed: %s", b.Kind, b.Finished.UTC().Format(time.RFC3339), b.By, b.Note))
		}
		latest[b.Kind] = true
		switch {
		case !b.OK:
		case b.Kind == backup.Drill && drilled == nil:
			drilled = &list[i]
		case (b.Kind == backup.Base || b.Kind == backup.Dump) && saved == nil:
			saved = &list[i]
		}
	}
	switch {
	case saved == nil:
		found = append(found, Found("backup-none", "no good backup of the database was ever told of"))
	case now.Sub(saved.Finished) > backupAge:
		found = append(found, Found("backup-old", "the last good backup of the database is of %s, %v ago", saved.Finished.UTC().Format(time.RFC3339), now.Sub(saved.Finished).Round(time.Hour)))
	}
	if drilled == nil || now.Sub(drilled.Finished) > drillAge {
		found = append(found, Found("backup-drill", "no restore was tried out in the last %d days", int(drillAge.Hours()/24)))
	}
	return found, nil
}

func (d Database) lineage(ctx context.Context) ([]Finding, error) {
	l, err := backup.Look(ctx, d.Pool)
	if errors.Is(err, fault.Forbidden) {
		return nil, fmt.Errorf("doctor: the role may not read which cluster this is: GRANT EXECUTE ON FUNCTION pg_control_system() to it: %w", err)
	}
	if err != nil || !l.Moved() {
		return nil, err
	}
	return []Finding{Found("db-moved", "%s", l.Why())}, nil
}

var (
	tablesSQL = pg.Statement{Name: "doctor.tables", Text: `
SELECT s.relname, s.n_live_tup, s.n_dead_tup,
	coalesce('autovacuum_enabled=false' = ANY (c.reloptions) OR 'autovacuum_enabled=off' = ANY (c.reloptions), false)
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid WHERE s.schemaname = current_schema() ORDER BY 1`}

	ageSQL = pg.Statement{Name: "doctor.age", Text: `SELECT datname, age(datfrozenxid)::bigint FROM pg_database WHERE datallowconn ORDER BY 1`}

	connectionsSQL = pg.Statement{Name: "doctor.connections", Text: `
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
	(SELECT count(DISTINCT (client_addr, client_port IS NULL)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'treeline')::int`}

	oldSQL = pg.Statement{Name: "doctor.old-transactions", Text: `
SELECT pid, coalesce(nullif(application_name, ''), usename, backend_type), coalesce(state, 'active'), extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity WHERE xact_start < clock_timestamp() - $1::interval AND backend_type = 'client backend' ORDER BY xact_start`}

	preparedSQL = pg.Statement{Name: "doctor.prepared", Text: `
SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - $1::interval`}

	slotsSQL = pg.Statement{Name: "doctor.slots", Text: `
SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint FROM pg_replication_slots
WHERE NOT active AND pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) > $1`}

	collationSQL = pg.Statement{Name: "doctor.collation", Text: `
SELECT datcollversion, pg_database_collation_actual_version(oid), pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()`}

	archiveSQL = pg.Statement{Name: "doctor.archive", Text: `
SELECT current_setting('archive_mode') <> 'off', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
	coalesce(format('%s times, last at %s with %s', failed_count, last_failed_time, last_failed_wal), '') FROM pg_stat_archiver`}
)

// Statements are all of the package, for the test that prepares them.
var Statements = []pg.Statement{settingsSQL, tablesSQL, ageSQL, connectionsSQL, oldSQL, preparedSQL, slotsSQL, collationSQL, archiveSQL}
