package doctorcmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/keyservice"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
	"github.com/treeline-ci/treeline/internal/pg"
)

// with adds arguments of the command to an illness.
func (d *deployment) with(ill illness, args ...string) illness {
	plant, cure := ill.plant, ill.cure
	ill.plant = func() { plant(); d.args = args }
	ill.cure = func() { d.args = nil; cure() }
	return ill
}

// hint is an illness that is worth a hint alone.
func hint(ill illness) illness {
	ill.codes, ill.hints = nil, ill.codes
	return ill
}

// worn is what goes wrong in a database while it serves.
func (d *deployment) worn() []illness {
	url := os.Getenv("DATABASE_URL")
	var open pgx.Tx
	transaction := illness{name: "a transaction stays open", codes: []string{"db-old-transaction"}, plant: func() {
		var err error
		if open, err = d.pool.Begin(d.t.Context()); err == nil {
			_, err = open.Exec(d.t.Context(), "SELECT pg_current_xact_id()")
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}, cure: func() {
		if err := open.Rollback(d.t.Context()); err != nil {
			d.t.Error(err)
		}
	}}
	connect := func(name, code, more string) illness { return d.replace(name, "DATABASE_URL", url+more, code) }
	return []illness{
		d.with(transaction, "--transaction-age", "2s"),
		d.with(d.sql("a prepared transaction is never ended", "db-prepared-xact", "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'ill'", "ROLLBACK PREPARED 'ill'"), "--transaction-age", "1s"),
		d.with(d.sql("nobody reads a replication slot", "db-slot",
			"SELECT pg_create_physical_replication_slot('ill', true); SELECT pg_logical_emit_message(false, 'ill', repeat('x', 3000000))", "SELECT pg_drop_replication_slot('ill')"), "--slot-keeps", "1"),
		d.sql("a table is full of dead rows", "db-dead-rows",
			`CREATE TABLE ill (n int) WITH (autovacuum_vacuum_threshold = 2000000000);
			INSERT INTO ill SELECT generate_series(1, 120000); DELETE FROM ill`, "DROP TABLE ill"),
		{name: "the log cannot be archived", codes: []string{"db-archive-failing"},
			plant: func() { d.archive("false") }, cure: func() { d.archive("true") }},
		hint(d.database("idle_in_transaction_session_timeout", "0", "db-idle-timeout")),
		d.flag("more servers than the database has connections for", "db-connections", "--servers", "1000"),
		connect("the database takes no writes", "db-read-only", "&default_transaction_read_only=on"),
		connect("the database's clock is ahead", "clock-database", "&search_path="+d.shadow("ahead",
			"CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 minute' $$")),
		// An older PostgreSQL is not installed where this one is: the view of the settings says that this is one.
		connect("PostgreSQL is too old", "db-version", "&search_path="+d.shadow("old",
			"CREATE VIEW old.pg_settings AS SELECT name, CASE name WHEN 'server_version_num' THEN '140012' ELSE setting END AS setting FROM pg_catalog.pg_settings")),
		hint(d.sql("no restore was tried out", "backup-drill", "DELETE FROM backups WHERE kind = 'drill'", "INSERT INTO backups (kind, ok, finished, by, note) VALUES ('drill', true, now(), 'test', '')")),
		d.sql("there is no backup", "backup-none", "DELETE FROM backups WHERE kind = 'base'", "INSERT INTO backups (kind, ok, finished, by, note) VALUES ('base', true, now(), 'test', '')"),
	}
}

// shadow makes a schema with something that goes before PostgreSQL's own of that name, and returns a search path.
func (d *deployment) shadow(schema, object string) string {
	d.exec("CREATE SCHEMA "+schema, object)
	d.t.Cleanup(func() { _, _ = d.pool.Exec(d.t.Context(), "DROP SCHEMA "+schema+" CASCADE") }) // the cluster goes away too
	return schema + ",pg_catalog,public"
}

// archive sets the command that archives the log, and gives it something to do.
func (d *deployment) archive(command string) {
	d.exec("ALTER SYSTEM SET archive_command = '"+command+"'", "SELECT pg_reload_conf()",
		"SELECT pg_logical_emit_message(false, 'ill', 'x')", "SELECT pg_switch_wal()")
}

// keys are those of the encryption in secrets.json, which the running server has read already.
func (d *deployment) keys() []illness {
	fresh := []byte(strings.Repeat("k", crypt.KeySize))
	file := filepath.Join(d.dir, "secrets.json")
	before := string(d.read(file))
	const atVault = "transit:///treeline?deployment=ci"
	ill := func(name, code string, change func(*app.Secrets)) illness {
		return illness{name: name, codes: []string{code}, plant: func() {
			secrets, err := app.LoadSecrets(file)
			if err != nil {
				d.t.Fatal(err)
			}
			change(&secrets)
			text, err := json.Marshal(secrets)
			if err != nil {
				d.t.Fatal(err)
			}
			d.write("secrets.json", string(text), 0o600)
		}, cure: func() { d.write("secrets.json", before, 0o600) }}
	}
	return []illness{
		hint(ill("a retired key seals nothing", "key-unused", func(s *app.Secrets) { s.RetiredKeys = [][]byte{fresh} })),
		{name: "the key service does not answer", codes: []string{"key-service"}, plant: func() {
			keyservicetest.StartVault(d.t)
			keeper, err := keyservice.Open(d.t.Context(), atVault)
			var key string
			if err == nil {
				key, err = crypt.FormatKey(d.t.Context(), fresh, keeper)
			}
			if err != nil {
				d.t.Fatal(err)
			}
			d.set("VAULT_ADDR", "http://127.0.0.1:1")
			d.set("TREELINE_MASTER_KEY", atVault)
			d.set("TREELINE_ENCRYPTION_KEYS", key)
		}, cure: func() { d.set("TREELINE_MASTER_KEY", ""); d.set("TREELINE_ENCRYPTION_KEYS", "") }},
		ill("a retired key is in use", "key-retired-used", func(s *app.Secrets) { s.RetiredKeys, s.EncryptionKey = [][]byte{s.EncryptionKey}, fresh }),
	}
}

// absent is what a deployment cannot be without.
func (d *deployment) absent(t *testing.T) []illness {
	empty := t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, "objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	blind := func(ill illness, checks ...string) illness { ill.blind = checks; return ill }
	return []illness{
		d.replace("there is no PostgreSQL", "DATABASE_URL", "postgres://treeline@127.0.0.1:1/treeline?sslmode=disable", "db-unreachable"),
		d.replace("there are no secrets", "TREELINE_DATA", empty, "secrets-missing"),
		d.replace("there is no root URL", "TREELINE_ROOT_URL", "", "root-missing"),
		blind(d.replace("the root URL has no TLS, nor is it known", "TREELINE_ROOT_URL", "http://ci.invalid", "root-http", "root-unreachable"), "health", "deployment"),
	}
}

// wrongFromItsStart has a PostgreSQL with settings, and databases, that cannot be spoilt while it runs.
func (d *deployment) wrongFromItsStart(t *testing.T) {
	cluster := startCluster(t, pg.Setting("wal_level", "minimal"), pg.Setting("max_wal_senders", "0"), pg.Setting("archive_mode", "off"),
		pg.Setting("autovacuum", "off"), pg.Setting("autovacuum_freeze_max_age", "2000000000"), pg.Setting("max_wal_size", "1GB"))
	pool, err := pg.Open(t.Context(), cluster.URL("postgres"), pg.MaxConns(1))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, s := range []string{
		"CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0",
		"CREATE DATABASE sorted LOCALE_PROVIDER icu ICU_LOCALE 'en' TEMPLATE template0",
		"UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'sorted'",
		// As it would be after that many transactions: they take days.
		"UPDATE pg_database SET datfrozenxid = ((pg_current_xact_id()::text::bigint - 1100000000 + 4294967296) % 4294967296)::text::xid WHERE datname = 'ascii'",
	} {
		if _, err := pool.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	at := func(database, check string, codes ...string) illness {
		return d.with(d.replace(fmt.Sprintf("%s of the database %s", check, database), "DATABASE_URL", cluster.URL(database), codes...), "--only", check)
	}
	settings := at(pg.DatabaseName, "database settings", "db-archive", "db-autovacuum", "db-wal-level")
	settings.hints = []string{"db-checkpoints", "db-idle-timeout"}
	d.each(t, []illness{
		settings,
		at("ascii", "collation", "db-encoding"),
		at("sorted", "collation", "db-collation"),
		at("sorted", "database tables", "db-wraparound"),
		at("sorted", "schema", "schema-old"),
	})
}
