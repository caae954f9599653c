package doctorcmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/cmd/treeline/doctorcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/pg"
)

// deployment is a real one: a PostgreSQL of its own, whose settings may be spoilt, and a server.
type deployment struct {
	t    *testing.T
	pool *pgxpool.Pool
	dir  string
	args []string
	room []string // codes of findings about the disk
	// found has the codes of all that was planted and found.
	found map[string]bool
}

// startCluster runs a PostgreSQL of the test's own.
func startCluster(t *testing.T, settings ...pg.ClusterOption) *pg.Cluster {
	t.Helper()
	// PostgreSQL's own user has to reach it.
	dir, err := os.MkdirTemp("", "doctor") //nolint:usetesting // t.TempDir can be entered by its owner alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	cluster, err := pg.StartCluster(t.Context(), filepath.Join(dir, "pg"), slog.New(slog.DiscardHandler), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func start(t *testing.T) *deployment {
	t.Helper()
	cluster := startCluster(t, pg.Setting("archive_mode", "on"), pg.Setting("idle_in_transaction_session_timeout", "5min"), pg.Setting("max_prepared_transactions", "5"))
	d := &deployment{t: t, room: []string{"disk-full", "disk-low"}, found: map[string]bool{}}
	url := cluster.URL(pg.DatabaseName)
	server := apptest.Start(t, func(c *app.Config) { c.DatabaseURL = url })
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(2), pg.Application("test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	d.pool = pool
	d.archive("true")
	for _, e := range os.Environ() { // what this machine has set is no part of the deployment
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "TREELINE_") {
			d.unset(name)
		}
	}
	d.dir = server.Dir
	t.Setenv("DATABASE_URL", url)
	t.Setenv("TREELINE_ROOT_URL", server.URL)
	t.Setenv("TREELINE_DATA", server.Dir)
	for _, kind := range []backup.Kind{backup.Base, backup.Drill} {
		if _, err := backup.Record(t.Context(), d.pool, backup.Backup{Kind: kind, OK: true, By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// unset takes a variable away until the test ends.
func (d *deployment) unset(name string) {
	d.t.Setenv(name, "") // has it put back
	if err := os.Unsetenv(name); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) exec(statements ...string) {
	d.t.Helper()
	for _, s := range statements {
		if _, err := d.pool.Exec(d.t.Context(), s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

// set sets a variable of the environment; "" takes it away.
func (d *deployment) set(name, value string) {
	d.t.Helper()
	err := os.Unsetenv(name)
	if value != "" {
		err = os.Setenv(name, value) // put back by the subtest's own cure
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) write(name, text string, mode fs.FileMode) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// look runs the command, and returns its report and exit code.
func (d *deployment) look(t *testing.T) (doctor.Report, int) {
	t.Helper()
	cmd := doctorcmd.New()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out, complaints bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&complaints)
	cmd.SetArgs(append([]string{"--json", "--limit", "1m"}, d.args...))
	err := cmd.ExecuteContext(t.Context())
	code, told := errors.AsType[exit.Code](err)
	if err != nil && !told {
		t.Fatal(err)
	}
	var report doctor.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s %s", err, out.String(), complaints.String())
	}
	return report, int(code)
}

// until looks until the report has what an illness is found as, and nothing else: a setting that was reloaded reaches
// the sessions a moment later.
func (d *deployment) until(t *testing.T, ill illness) doctor.Report {
	t.Helper()
	type seen struct {
		Codes, Hints, Blind []string
		Exit                int
	}
	want := seen{Codes: slices.Clone(ill.codes), Hints: ill.hints, Blind: ill.blind}
	if len(ill.codes) > 0 {
		want.Exit = int(doctor.Sick)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		report, code := d.look(t)
		var got seen
		// How much room this machine's disk has is its own affair.
		for _, c := range report.Codes() {
			if !slices.Contains(d.room, c) {
				got.Codes = append(got.Codes, c)
			}
		}
		for _, r := range report.Results {
			if r.Error != "" {
				got.Blind = append(got.Blind, r.Check)
			}
			for _, f := range r.Findings {
				if f.Severity == doctor.Hint {
					got.Hints = append(got.Hints, f.Code)
				}
				if f.What == "" || f.Why == "" || f.Do == "" {
					t.Errorf("%+v does not say what, why and what to do", f)
				}
			}
		}
		if got.Exit = code; len(got.Codes) == 0 && len(report.Codes()) > 0 {
			got.Exit = 0
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			for _, code := range append(got.Codes, got.Hints...) {
				d.found[code] = true
			}
			return report
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%+v", diff, report.Results)
		}
	}
}

// illness is a misconfiguration, what it is found as, and how it is undone.
type illness struct {
	name  string
	codes []string // of errors and warnings
	hints []string
	blind []string // checks that cannot look
	plant func()
	cure  func()
}

// system spoils a setting of the whole cluster that can be reloaded.
func (d *deployment) system(name, value, code string) illness {
	return illness{name: name + " is " + value, codes: []string{code},
		plant: func() { d.exec("ALTER SYSTEM SET "+name+" = '"+value+"'", "SELECT pg_reload_conf()") },
		cure:  func() { d.exec("ALTER SYSTEM RESET "+name, "SELECT pg_reload_conf()") }}
}

// database spoils a setting of new sessions in the database.
func (d *deployment) database(name, value, code string) illness {
	return illness{name: name + " is " + value, codes: []string{code},
		plant: func() { d.exec("ALTER DATABASE treeline SET " + name + " = '" + value + "'") },
		cure:  func() { d.exec("ALTER DATABASE treeline RESET " + name) }}
}

// sql spoils what stands in the database.
func (d *deployment) sql(name, codes, plant, cure string) illness {
	return illness{name: name, codes: strings.Fields(codes), plant: func() { d.exec(plant) }, cure: func() { d.exec(cure) }}
}

// variable sets a variable of the server's environment.
func (d *deployment) variable(name, variable, value string, codes ...string) illness {
	return illness{name: name, codes: codes, plant: func() { d.set(variable, value) }, cure: func() { d.set(variable, "") }}
}

func (d *deployment) illnesses() []illness {
	secrets := filepath.Join(d.dir, "secrets.json")
	stores := d.write("stores.yml", "stores: [{name: far, s3: {endpoint: \"http://127.0.0.1:1\", bucket: b, access-key: AKIAIOSFODNN7, secret-key: wJalrXUtnFEMIK7MDENG}}]\n", 0o600)
	return []illness{
		d.system("fsync", "off", "db-fsync"),
		d.system("synchronous_commit", "off", "db-synchronous-commit"),
		d.system("full_page_writes", "off", "db-full-page-writes"),
		d.system("autovacuum", "off", "db-autovacuum"),
		d.database("default_transaction_isolation", "serializable", "db-isolation"),
		d.database("statement_timeout", "5s", "db-statement-timeout"),
		d.sql("a hot table is never vacuumed", "db-table-autovacuum",
			"ALTER TABLE claims SET (autovacuum_enabled = false)", "ALTER TABLE claims RESET (autovacuum_enabled)"),
		d.sql("the last backup is two days old", "backup-old",
			"UPDATE backups SET finished = finished - interval '2 days'", "UPDATE backups SET finished = finished + interval '2 days'"),
		d.sql("the database was put back, and nobody said so", "db-moved",
			"UPDATE backup_lineage SET timeline = timeline + 1", "UPDATE backup_lineage SET timeline = timeline - 1"),
		d.sql("a client may do everything, and its token opens with no key", "client-everything key-lost",
			"INSERT INTO auth_clients (client_id, description, encrypted_token, scopes, expires, disabled) VALUES ('ops/eve', '', '', '{*}', now() + interval '1 day', false)",
			"DELETE FROM auth_clients WHERE client_id = 'ops/eve'"),
		d.sql("nobody asks for the tasks of a queue", "queue-no-worker",
			"INSERT INTO pending (task_id, task_queue_id, priority, run_id, inserted) VALUES ('fN1SbArXTPSVFNUvaOlinQ', 'proj/nobody', 4, 0, now() - interval '1 hour')",
			"DELETE FROM pending WHERE task_queue_id = 'proj/nobody'"),
		d.sql("a version of the schema that a newer program made", "schema-new",
			"INSERT INTO schema_versions (number, name, checksum) VALUES (9999, 'future', 'x')", "DELETE FROM schema_versions WHERE number = 9999"),
		d.sql("a server of another program runs beside this one", "servers-differ",
			"INSERT INTO replicas (id, host, version, commit, schema, seen) VALUES ('other', 'b', 'v0', '', 41, now() + interval '1 hour')", "DELETE FROM replicas WHERE id = 'other'"),
		d.sql("old rows cannot be removed", "retention-failing",
			"INSERT INTO retention_jobs (job, started, next_run, failures, error) VALUES ('ill', now(), now() + interval '1 hour', 3, 'no room')",
			"DELETE FROM retention_jobs WHERE job = 'ill'"),
		d.variable("a variable is misspelt", "TREELINE_PULSE_ULR", "x", "env-unknown"),
		d.variable("RabbitMQ has the user that it comes with, and is not there", "TREELINE_PULSE_URL", "amqp://guest:guest@127.0.0.1:1/", "rabbit-unusable", "secret-default"),
		d.variable("the mail server is not there", "TREELINE_SMTP_URL", "smtp://127.0.0.1:1?tls=none", "mail-unusable"),
		d.variable("the bucket is not there", "TREELINE_OBJECT_STORES", stores, "storage-broken"),
		{name: "others may read the secrets", codes: []string{"file-readable-by-all"}, plant: func() { d.mode(secrets, 0o644) }, cure: func() { d.mode(secrets, 0o600) }},
		d.flag("a repository is not there", "git-unreadable", "--repo", filepath.Join(d.dir, "absent")),
	}
}

func (d *deployment) mode(path string, mode fs.FileMode) {
	d.t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		d.t.Fatal(err)
	}
}

func TestTheDoctorFindsPlantedMisconfigurations(t *testing.T) {
	d := start(t)
	d.set("TREELINE_MAIL_FROM", "Treeline <ci@example.com>")
	t.Cleanup(func() { d.set("TREELINE_MAIL_FROM", "") })
	t.Run("nothing in a healthy deployment", func(t *testing.T) { d.until(t, illness{}) })
	list := d.illnesses()
	d.each(t, list)
	t.Run("all at once", func(t *testing.T) {
		var all illness
		for _, ill := range list {
			ill.plant()
			defer ill.cure()
			all.codes = append(all.codes, ill.codes...)
		}
		slices.Sort(all.codes)
		all.codes = slices.Compact(all.codes)
		d.until(t, all)
	})
	d.each(t, d.stored())
	d.each(t, d.senseless())
	d.each(t, d.fronts(t))
	d.each(t, d.worn())
	d.each(t, d.keys())
	d.each(t, d.absent(t))
	t.Run("nothing when all are cured", func(t *testing.T) { d.until(t, illness{}) })
	t.Run("a PostgreSQL that was wrong from its start", d.wrongFromItsStart)
	t.Run("a disk without room", d.disks)
	t.Run("a bucket that forgets", d.bucket)
	t.Run("a RabbitMQ that takes no messages", d.blocked)
	t.Run("a deployment whose secrets are another's", func(t *testing.T) {
		other := t.TempDir()
		if _, err := app.LoadSecrets(filepath.Join(other, "secrets.json")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(other, "objects"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TREELINE_DATA", other)
		d.until(t, illness{codes: []string{"key-lost", "root-stranger"}})
	})
	t.Run("a deployment with all around it", func(t *testing.T) {
		a := d.surround(t)
		t.Run("nothing when it is healthy", func(t *testing.T) { d.until(t, illness{}) })
		d.each(t, d.outside(t, a))
		d.stores(t, a)
		t.Run("nothing when the App stands in a secret of the server", func(t *testing.T) { d.until(t, illness{}) })
		d.each(t, d.hub(a))
	})
	t.Run("from outside, without a configuration", func(t *testing.T) {
		t.Setenv("DATABASE_URL", "")
		d.until(t, illness{})
		d.args = []string{"--root-url", "http://127.0.0.1:1", "--only", "root URL"}
		defer func() { d.args = nil }()
		d.until(t, illness{codes: []string{"root-unreachable"}})
	})
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // a part of them
	}
	for code := range doctor.Catalogue {
		if !d.found[code] {
			t.Errorf("nothing was planted that is found as %s", code)
		}
	}
}

// each plants one illness after the other, and expects that it is found, and nothing else.
func (d *deployment) each(t *testing.T, list []illness) {
	t.Helper()
	for _, ill := range list {
		t.Run(ill.name, func(t *testing.T) {
			ill.plant()
			defer ill.cure()
			d.until(t, ill)
		})
	}
}
