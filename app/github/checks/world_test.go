package checks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// world is a GitHub double, a queue and a database, on which servers bring checks to GitHub.
type world struct {
	*testing.T
	gh    *ghfake.Server
	app   *ghfake.App
	in    *ghfake.Installation
	repo  *ghfake.Repository
	pool  *pgxpool.Pool
	queue *queuetest.Env
	feed  *event.Feed
	sha   string
	deps  checks.Deps

	mu        sync.Mutex
	artifacts map[string]string // by task/run/name
	builds    int64
}

// quick are times for tests.
var quick = checks.Times{
	Reconcile: time.Hour, Progress: 50 * time.Millisecond, Gather: 20 * time.Millisecond, Backoff: 50 * time.Millisecond, Poll: 100 * time.Millisecond, Lease: 20 * time.Second,
}

const repositoryID = 77

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, artifacts: map[string]string{}}
	var err error
	w.gh, err = ghfake.Start(ghfake.Options{Dir: t.TempDir()})
	w.must(err)
	t.Cleanup(func() { w.must(w.gh.Close()) })
	w.app, err = w.gh.AddApp("treeline", w.gh.URL()+"/nobody", "secret")
	w.must(err)
	w.repo, err = w.gh.AddRepository("acme/app", true)
	w.must(err)
	w.in = w.app.Install("acme", w.repo)
	w.sha = w.push("first")
	w.queue = queuetest.New(t, func(d *queue.Deps) {
		w.feed = event.NewFeed(d.Pool, slog.New(slog.DiscardHandler))
		d.Wake = w.feed.Wake
	})
	w.pool = w.queue.Pool
	w.feed.Start(t.Context())
	t.Cleanup(w.feed.Stop)
	w.exec(`INSERT INTO github_repositories (id, name, owner, repo, installation_id, default_branch, url) VALUES ($1, 'acme.app', 'acme', 'app', $2, 'main', '')`, repositoryID, w.in.ID)
	w.deps = checks.Deps{
		Pool: w.pool, Feed: w.feed, Queue: w.queue.Queue, AppID: w.app.ID, Open: w.open, RootURL: "https://ci.example.com",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Times: quick, Pace: checks.Pace{PerSecond: 1000, Burst: 1000},
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.pool.Exec(w.Context(), sql, args...)
	w.must(err)
}

func (w *world) push(text string) string {
	w.Helper()
	sha, err := w.repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": text}, Message: text})
	w.must(err)
	return sha
}

// open is the object store of the world.
func (w *world) open(_ context.Context, id string, run int, name string) (io.ReadSeekCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, ok := w.artifacts[fmt.Sprintf("%s/%d/%s", id, run, name)]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is none")
	}
	return content{bytes.NewReader([]byte(text))}, nil
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (w *world) artifact(id string, run int, name, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.artifacts[fmt.Sprintf("%s/%d/%s", id, run, name)] = text
}

// server runs a server until the test ends, or stop is called.
func (w *world) server(changes ...func(*checks.Deps)) (c *checks.Checks, stop func()) {
	w.Helper()
	d := w.deps
	d.Client = w.client(nil)
	for _, change := range changes {
		change(&d)
	}
	c = checks.New(d)
	c.Start(w.Context())
	stop = sync.OnceFunc(c.Stop)
	w.Cleanup(stop)
	return c, stop
}

func (w *world) client(transport http.RoundTripper) func(int64) *github.Client {
	w.Helper()
	app, err := ghclient.New(ghclient.Config{AppID: w.app.ID, Key: w.app.PrivateKey(), API: w.gh.APIURL(), Transport: transport, Timeout: 10 * time.Second})
	w.must(err)
	return app.Installation
}

// build records a build of a group, told by check runs.
func (w *world) build(group string, changes ...func(*buildRow)) {
	w.Helper()
	w.builds++
	b := buildRow{sha: w.sha, event: "pull_request.opened", pull: 1, state: "pending", reporting: checks.Reporting{Checks: true, NoStatuses: true}}
	for _, change := range changes {
		change(&b)
	}
	reporting, err := json.Marshal(b.reporting)
	w.must(err)
	w.exec(`INSERT INTO github_builds (task_group_id, repository_id, organization, repository, sha, branch, state, event_type, event_id, pull_number, installation_id, delivery, change, reporting)
		VALUES ($1, $2, 'acme', 'app', $3, 'b', $4, $5, 'e', $6, $7, $8, '{}', $9::jsonb)`, group, repositoryID, b.sha, b.state, b.event, b.pull, w.in.ID, w.builds, string(reporting))
	w.mark(b.sha)
}

func (w *world) mark(sha string) {
	w.Helper()
	w.exec(`INSERT INTO github_check_marks (repository_id, sha) VALUES ($1, $2)`, repositoryID, sha)
}

type buildRow struct {
	sha, event, state string
	pull              int
	reporting         checks.Reporting
}

// named gives a task a name and, in extra, more.
func named(name string, extra ...string) func(*task.Definition) {
	return func(d *task.Definition) {
		d.Metadata.Name, d.Metadata.Description = name, "What "+name+" does"
		if len(extra) > 0 {
			d.Extra = json.RawMessage(extra[0])
		}
	}
}

// create makes a task in a group.
func (w *world) create(group, id, name string, changes ...func(*task.Definition)) {
	w.Helper()
	w.queue.Create(w, id, queuetest.Define(append([]func(*task.Definition){queuetest.In(group), named(name)}, changes...)...))
}

// end resolves the pending run of a task.
func (w *world) end(id string, well bool) {
	w.Helper()
	run := w.queue.Run(w, id)
	report := w.queue.Queue.ReportFailed
	if well {
		report = w.queue.Queue.ReportCompleted
	}
	_, err := report(w.Context(), id, run)
	w.must(err)
}

// until waits until something is so.
func (w *world) until(what string, good func() bool) {
	w.Helper()
	deadline := time.Now().Add(time.Minute) // a lease of a stalled machine runs out, and the work is taken again
	for tick := time.NewTicker(10 * time.Millisecond); !good(); <-tick.C {
		if time.Now().After(deadline) {
			for _, r := range w.repo.CheckRuns(w.sha) {
				w.Logf("%s %s %s: %s", r.Name, r.Status, r.Conclusion, r.Title)
			}
			w.Fatalf("%s did not come true in time", what)
		}
	}
}

// runs are the check runs at the revision, "name: status conclusion", sorted.
func (w *world) runs() []string {
	var out []string
	for _, r := range w.repo.CheckRuns(w.sha) {
		out = append(out, r.Name+": "+r.Status+" "+r.Conclusion)
	}
	slices.Sort(out)
	return out
}

// settled waits until everything was looked at and told.
func (w *world) settled() {
	w.Helper()
	w.until("everything is told", func() bool {
		var n int
		w.must(w.pool.QueryRow(w.Context(), `SELECT (SELECT count(*) FROM github_check_marks) + (SELECT count(*) FROM github_checks WHERE sent < wanted AND ended = '')`).Scan(&n))
		return n == 0
	})
}

// newest is the newest check run of a name.
func (w *world) newest(name string) (found ghfake.CheckRun) {
	for _, r := range w.repo.CheckRuns(w.sha) {
		if r.Name == name {
			found = r
		}
	}
	return found
}

// shows waits until the newest check run of a name is so.
func (w *world) shows(name, status, conclusion string) ghfake.CheckRun {
	w.Helper()
	w.until(fmt.Sprintf("%s is %s %s", name, status, conclusion), func() bool {
		r := w.newest(name)
		return r.Status == status && r.Conclusion == conclusion
	})
	return w.newest(name)
}

// once fails where two check runs are of one attempt.
func (w *world) once() {
	w.Helper()
	seen := map[string]int{}
	for _, r := range w.repo.CheckRuns(w.sha) {
		seen[r.ExternalID]++
	}
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		if seen[key] != 1 {
			w.Errorf("%d check runs of %s", seen[key], key)
		}
	}
}

// ids makes ids of tasks and groups.
func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = slug.Nice()
	}
	return out
}

var errKilled = errors.New("the server was killed")
