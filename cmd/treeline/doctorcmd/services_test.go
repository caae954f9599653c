package doctorcmd_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

// around is what a deployment talks to besides its database: GitHub's double with an App, a Mercurial server, Slack and
// Matrix, all well.
type around struct {
	gh    *ghfake.Server
	app   *ghfake.App
	hook  string
	word  string       // the secret of webhooks
	ahead atomic.Int64 // seconds that GitHub's clock is ahead
	hg    *hgtest.Server
}

// surround starts them, and tells the deployment's environment of them.
func (d *deployment) surround(t *testing.T) *around {
	t.Helper()
	a := &around{}
	var err error
	a.gh, err = ghfake.Start(ghfake.Options{Dir: t.TempDir(), Now: func() time.Time { return time.Now().Add(time.Duration(a.ahead.Load()) * time.Second) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.gh.Close(); err != nil {
			t.Error(err)
		}
	})
	a.word = "Zk3-fN1SbArXTPSVFNU"
	a.hook = os.Getenv("TREELINE_ROOT_URL") + "/api/github/v1/github"
	if a.app, err = a.gh.AddApp("treeline", a.hook, a.word); err != nil {
		t.Fatal(err)
	}
	repo, err := a.gh.AddRepository("acme/rocket", true)
	if err != nil {
		t.Fatal(err)
	}
	a.gh.Hold(true) // webhooks: the server is not this App
	a.app.Install("acme", repo)
	a.hg = hgtest.Init(t, "pebble").Serve()
	hg := d.write("repositories.yml", "repositories: [{name: pebble, kind: hg, url: \""+a.hg.URL+"\"}]\n", 0o600)
	for name, value := range map[string]string{
		"TREELINE_GITHUB_API": a.gh.APIURL(), "TREELINE_GITHUB_APP_ID": strconv.FormatInt(a.app.ID, 10), "TREELINE_GITHUB_APP_KEY": string(a.app.PrivateKey()),
		"TREELINE_GITHUB_WEBHOOK_SECRETS": a.word, "TREELINE_REPOSITORIES": hg,
		"TREELINE_SLACK_URL": chattest.StartSlack(t).URL, "TREELINE_SLACK_TOKEN": chattest.SlackToken,
		"TREELINE_MATRIX_URL": chattest.StartMatrix(t).URL, "TREELINE_MATRIX_TOKEN": chattest.MatrixToken,
	} {
		t.Setenv(name, value)
	}
	return a
}

// replace sets a variable that has a value, and puts that back.
func (d *deployment) replace(name, variable, value string, codes ...string) illness {
	old := os.Getenv(variable)
	return illness{name: name, codes: codes, plant: func() { d.set(variable, value) }, cure: func() { d.set(variable, old) }}
}

// atGitHub is what is wrong there, wherever the deployment keeps the App.
func (a *around) atGitHub() []illness {
	return []illness{
		{name: "GitHub's App tells another server", codes: []string{"github-problem"},
			plant: func() { a.app.SetHook("https://elsewhere.example/api/github/v1/github", "x") }, cure: func() { a.app.SetHook(a.hook, "x") }},
		{name: "GitHub's clock is ahead", codes: []string{"clock-forge"}, plant: func() { a.ahead.Store(45) }, cure: func() { a.ahead.Store(0) }},
	}
}

func (d *deployment) outside(t *testing.T, a *around) []illness {
	all := append(a.atGitHub(),
		d.replace("GitHub knows no such App", "TREELINE_GITHUB_APP_ID", "1234567", "github-unreachable"),
		d.replace("Slack does not take the token", "TREELINE_SLACK_TOKEN", "xoxb-gone", "slack-unusable"),
		d.replace("Matrix does not take the token", "TREELINE_MATRIX_TOKEN", "gone", "matrix-unusable"),
		illness{name: "the Mercurial server is down", codes: []string{"hg-unreachable"}, plant: a.hg.Stop, cure: a.hg.Start},
		d.replace("a password is short", "TREELINE_GITHUB_WEBHOOK_SECRETS", "k9-mzq", "secret-weak"),
		d.replace("nobody collects traces", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "traces-unreachable"),
	)
	pooled := pgtest.Pooler(t, os.Getenv("DATABASE_URL"), 8)
	pooler := d.replace("the database is behind a pooler", "DATABASE_URL", pooled)
	pooler.hints = []string{"db-pooler-session"}
	return append(all, pooler,
		d.replace("statements are kept behind a pooler", "DATABASE_URL", pooled+"&default_query_exec_mode=cache_statement", "db-pooler-prepared"))
}

func (d *deployment) flag(name, code string, args ...string) illness {
	return illness{name: name, codes: []string{code}, plant: func() { d.args = args }, cure: func() { d.args = nil }}
}

// senseless are settings that a server takes, or refuses, and that cannot be meant.
func (d *deployment) senseless() []illness {
	file := d.write("database-url", os.Getenv("DATABASE_URL"), 0o644)
	return []illness{
		d.flag("guessing is not limited", "limits-off", "--limits", "failures=off"),
		d.flag("a browser is refused", "limits-tight", "--limits", "anonymous=1/10"),
		d.flag("a limit that is none", "config-unreadable", "--limits", "everybody=1/10"),
		d.flag("everybody is a trusted proxy", "proxies-everybody", "--trusted-proxies", "10.0.0.1,0.0.0.0/0"),
		d.flag("metrics for everybody", "config-unreadable", "--metrics-address", "0.0.0.0:9100"),
		d.flag("metrics where the server listens", "config-unreadable", "--metrics-address", "127.0.0.1:8080"),
		d.flag("the audit log is kept for an hour", "config-unreadable", "--keep-audit", "1h"),
		d.flag("workers may be silent for a second", "claim-timeout-short", "--claim-timeout", "1s"),
		d.flag("the server stops too slowly", "drain-long", "--drain", "2m"),
		d.flag("the server stops before it is told", "config-unreadable", "--drain", "-1s"),
		{name: "others may read a file with the database's address", codes: []string{"file-readable-by-all"},
			plant: func() { d.set("DATABASE_URL_FILE", file); d.set("DATABASE_URL", "") },
			cure:  func() { d.set("DATABASE_URL", string(d.read(file))); d.set("DATABASE_URL_FILE", "") }},
	}
}

func (d *deployment) read(file string) []byte {
	d.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// stored is what stands in the database and ought not to.
func (d *deployment) stored() []illness {
	const pool = `INSERT INTO worker_pools (worker_pool_id, provider_id, description, config, owner, email_on_error, next_turn)
		VALUES ('proj/ill', '%s', '', '{"maxCapacity": %d}', '', false, 'infinity')`
	providers := d.write("pools.yml", "providers: {garage: {type: local, dir: "+filepath.Join(d.dir, "workers")+"}}\n", 0o600)
	none := d.sql("a pool may have no worker", "pool-no-capacity", fmt.Sprintf(pool, "garage", 0), "DELETE FROM worker_pools")
	plant, cure := none.plant, none.cure
	none.plant = func() { plant(); d.set("TREELINE_POOLS", providers) }
	none.cure = func() { cure(); d.set("TREELINE_POOLS", "") }
	return []illness{
		d.sql("a pool has a provider that is gone", "pool-no-provider", fmt.Sprintf(pool, "gone", 5), "DELETE FROM worker_pools"),
		none,
		d.sql("a pool makes no workers", "pool-errors",
			"INSERT INTO worker_pool_errors (error_id, worker_pool_id, kind, title, description, extra) SELECT 'ill' || n, 'proj/ill', 'creation-error', '', '', '{}' FROM generate_series(1, 6) n",
			"DELETE FROM worker_pool_errors"),
		d.sql("all workers of a queue are in quarantine", "queue-quarantined",
			`WITH w AS (INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ('proj/ward', 'g', 'w')),
				q AS (INSERT INTO worker_details (task_queue_id, worker_group, worker_id, quarantine_until) VALUES ('proj/ward', 'g', 'w', now() + interval '1 year'))
			INSERT INTO pending (task_id, task_queue_id, priority, run_id, inserted) VALUES ('fN1SbArXTPSVFNUvaOlinQ', 'proj/ward', 4, 0, now() - interval '1 hour')`,
			"WITH w AS (DELETE FROM queue_workers), q AS (DELETE FROM worker_details) DELETE FROM pending"),
		d.sql("a consumer of the feed stands still", "consumer-stuck",
			`WITH c AS (INSERT INTO event_consumers (name, position) VALUES ('ill', -9)), e AS (INSERT INTO events (id, kind, time) VALUES ('ill', 'ill', now() - interval '1 hour') RETURNING seq)
			INSERT INTO event_order (position, seq) SELECT -5, seq FROM e`,
			"WITH c AS (DELETE FROM event_consumers WHERE name = 'ill'), e AS (DELETE FROM events WHERE id = 'ill') DELETE FROM event_order WHERE position = -5"),
		d.sql("nobody removes old rows", "retention-late",
			"INSERT INTO retention_jobs (job, started, next_run) VALUES ('ill', now() - interval '1 day', now() - interval '3 hours')", "DELETE FROM retention_jobs WHERE job = 'ill'"),
		d.sql("a version of the schema was changed", "schema-changed",
			"UPDATE schema_versions SET checksum = 'x' || checksum WHERE number = 1", "UPDATE schema_versions SET checksum = substr(checksum, 2) WHERE number = 1"),
		d.sql("the last backup failed", "backup-failed",
			"INSERT INTO backups (kind, ok, finished, by, note) VALUES ('base', false, now() + interval '1 minute', 'ill', 'no room')", "DELETE FROM backups WHERE by = 'ill'"),
	}
}

// blocked has a RabbitMQ that takes no messages, because its memory counts as full from its start.
func (d *deployment) blocked(t *testing.T) {
	node := rabbittest.Start(t, "vm_memory_high_watermark.absolute = 1KB")
	defer node.Kill(t) // to stop in order it would wait for a connection that it does not read
	d.set("TREELINE_PULSE_URL", node.URL())
	defer d.set("TREELINE_PULSE_URL", "")
	d.until(t, illness{codes: []string{"rabbit-blocked"}})
}

// address is host and port of the deployment.
func (d *deployment) address() string {
	u, err := url.Parse(os.Getenv("TREELINE_ROOT_URL"))
	if err != nil {
		d.t.Fatal(err)
	}
	return u.Host
}
