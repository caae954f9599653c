package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// nightlyTree is a repository with a nightly at a time, an action of every slot, and a job that is broken
// by itself.
func nightlyTree(slot time.Time) map[string]string {
	return map[string]string{
		".taskcluster.yml": `version: 1
tasks:
  - $if: tasks_for in ["cron", "git-push"]
    then:
      taskId: ${ownTaskId}
      taskGroupId: ${ownTaskId}
      schedulerId: nightly-level-${repository.level}
      taskQueueId: built-in/decision
      created: {$fromNow: ""}
      deadline: {$fromNow: 1 day}
      expires: {$fromNow: 28 days}
      metadata: {name: "Decision ${tasks_for}", description: "-", owner: "${push.owner}", source: "${repository.url}"}
      tags: {kind: decision-task}
      payload: {root: taskcluster, targetTasksMethod: nothing-of-the-payload-is-believed}
      scopes:
        $if: tasks_for == "cron"
        then: ["assume:${repository.role}:cron:${cron.job_name}"]
        else: ["assume:${repository.role}:branch:${push.branch}"]
`,
		"taskcluster/config.yml": `trust-domain: nightly
task-priority: low
workers: {aliases: {small: {provisioner: local, implementation: generic-worker, os: linux, worker-type: nobody}}}
taskgraph: {repositories: {nightly: {name: nightly}}}
target-tasks: {nightly: 'task.attributes.nightly == true', nothing-of-the-payload-is-believed: 'false'}
`,
		"taskcluster/kinds/work/kind.yml": `loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
task-defaults:
  worker-type: small
  description: Waits for a worker that never comes.
  worker: {max-run-time: 60, command: ['true']}
tasks:
  daily: {attributes: {nightly: false}}
  nightly: {attributes: {nightly: true}}
`,
		".cron.yml": fmt.Sprintf(`jobs:
  - name: broken
    job: {type: trigger-action, action-name: there-is-none}
    when: [{hour: %[1]d, minute: %[2]d}]
  - name: nightly
    job: {type: decision-task, treeherder-symbol: N, target-tasks-method: nightly}
    when: [{hour: %[1]d, minute: %[2]d}]
`, slot.UTC().Hour(), slot.Minute()),
	}
}

// forge is a place for repositories, with one in it that has a nightly.
type forge struct {
	name, repository, revision string
	kind                       string // repository_type
}

// replicas are servers on one database that follow repositories, and whose calendar's clock the test sets.
type replicas struct {
	upgrade
	pool   *pgxpool.Pool
	args   []string
	env    []string
	ports  []int
	up     []*server
	forges []forge
}

// TestANightlyRunsOnceOnEachForge has two servers on one database follow a repository of each forge, and
// kills one or the other all the time while the nightly's slot begins.
func TestANightlyRunsOnceOnEachForge(t *testing.T) {
	slot := time.Now().UTC().Truncate(15 * time.Minute).Add(15 * time.Minute)
	r := newReplicas(t, slot)
	r.clock(slot.Add(-8 * time.Minute))
	for i := range r.up {
		r.startOne(i)
		r.until("the server answers", func(context.Context) error {
			resp, err := http.Get(r.up[i].rootURL + "/api/cron/v1/ping")
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		})
	}
	c := r.connect(r.up[0]).WithPatience(time.Minute)
	r.grant(c)
	for _, f := range r.forges {
		r.until("the file of "+f.name+" is read", func(ctx context.Context) error {
			var list struct {
				Jobs []struct {
					Name string
					Next time.Time
				}
			}
			if err := c.Call(ctx, "cron", "GET", "/jobs", url.Values{"repository": {f.repository}}, nil, &list); err != nil {
				return err
			}
			if len(list.Jobs) != 2 || !list.Jobs[1].Next.Equal(slot) {
				return fmt.Errorf("%+v", list)
			}
			return nil
		})
	}

	r.clock(slot.Add(-3 * time.Second))
	for i := range 10 { // the boundary falls among these
		time.AfterFunc(time.Duration(500+i*130)*time.Millisecond, func() { _ = r.up[i%2].cmd.Process.Kill() })
		<-r.up[i%2].exited
		r.startOne(i % 2)
	}
	c = r.connect(r.up[0]).WithPatience(time.Minute)
	for _, f := range r.forges {
		r.once(c, f, slot)
	}
	// Over the next slot, with everything down while it begins.
	for i := range r.up {
		r.kill(i)
	}
	r.clock(slot.Add(16 * time.Minute))
	for i := range r.up {
		r.startOne(i)
	}
	c = r.connect(r.up[1]).WithPatience(time.Minute)
	for _, f := range r.forges {
		r.until("the next slot of "+f.name+" is settled", func(ctx context.Context) error {
			if n := r.scan(fmt.Sprintf(`SELECT count(*) FROM cron_branches WHERE repository = '%s' AND done_until > '%s'`, f.repository, slot.Format(time.RFC3339))); n != 1 {
				return fmt.Errorf("%d branches", n)
			}
			return nil
		})
		r.once(c, f, slot)
	}
	r.byHand(c)
}

// newReplicas makes the repositories, and describes the servers.
func newReplicas(t *testing.T, slot time.Time) *replicas {
	pool := pgtest.Empty(t)
	r := &replicas{upgrade: upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}, pool: pool}
	r.db(program, "upgrade")
	tree := nightlyTree(slot)

	local := filepath.Join(t.TempDir(), "pebbles")
	if err := os.Mkdir(local, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, local, "init", "-q", "-b", "main")
	r.forges = append(r.forges, forge{name: "git on this machine", repository: "pebbles", revision: commit(t, local, "A nightly", tree), kind: "git"})

	mercurial := hgtest.Init(t, "shells")
	revision := mercurial.Commit("A nightly", tree)
	config := filepath.Join(t.TempDir(), "repositories.yml")
	text := fmt.Sprintf("repositories:\n  - {name: shells, kind: hg, url: '%s', level: 3}\n", mercurial.Serve().URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.forges = append(r.forges, forge{name: "Mercurial", repository: "shells", revision: revision, kind: "hg"})

	r.ports, r.up = []int{freePort(t), freePort(t)}, make([]*server, 2)
	r.args, r.env = []string{"--repo", local}, []string{"TREELINE_REPOSITORIES=" + config, fmt.Sprintf("TREELINE_ROOT_URL=http://127.0.0.1:%d", r.ports[0])}
	t.Cleanup(func() {
		for i := range r.up {
			r.kill(i)
		}
	})
	return r
}

// clock sets the calendar's clock; all other clocks go on.
func (r *replicas) clock(at time.Time) {
	r.Helper()
	_, err := r.pool.Exec(r.Context(), fmt.Sprintf(`CREATE OR REPLACE FUNCTION cron_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
		AS $$SELECT clock_timestamp() + interval '%d milliseconds'$$`, time.Until(at).Milliseconds()))
	if err != nil {
		r.Fatal(err)
	}
}

func (r *replicas) startOne(i int) {
	r.Helper()
	s := &server{out: &output{}, exited: make(chan error, 1), rootURL: fmt.Sprintf("http://127.0.0.1:%d", r.ports[i])}
	s.cmd = r.command(program, append([]string{"serve", "--listen", fmt.Sprintf("127.0.0.1:%d", r.ports[i])}, r.args...)...)
	s.cmd.Env = append(s.cmd.Env, r.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	r.up[i] = s
	go func() { s.exited <- s.cmd.Wait() }()
	r.Cleanup(func() {
		if r.Failed() {
			r.Logf("server %d said:\n%s", i, tail(s.out.from(0), 3000))
		}
	})
	if r.scan(`SELECT count(*) FROM pg_proc WHERE proname = 'cron_clock'`) == 0 {
		r.Fatal("the schema has no clock of the calendar")
	}
}

// kill ends a server as kill -9 does.
func (r *replicas) kill(i int) {
	if s := r.up[i]; s != nil {
		_ = s.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-s.exited
		r.up[i] = nil
	}
}

func (r *replicas) until(what string, try func(context.Context) error) {
	r.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		err := try(r.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("not within three minutes: %s: %v", what, err)
		}
		select {
		case <-r.Context().Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// run is an entry of the calendar.
type run struct {
	Job, State, TaskID, Revision string
	ByHand                       bool
	Error                        struct{ File, Message, Detail string }
}

func (r *replicas) runs(ctx context.Context, c *client.Client, f forge) ([]run, error) {
	var page struct{ Runs []run }
	err := c.Call(ctx, "cron", "GET", "/runs", url.Values{"repository": {f.repository}}, nil, &page)
	return page.Runs, err
}

// once checks that the nightly ran once, with one decision that has the right parameters, and that its
// broken neighbour failed and kept it not away.
func (r *replicas) once(c *client.Client, f forge, slot time.Time) {
	r.Helper()
	var nightly run
	r.until("the nightly of "+f.name+" is decided", func(ctx context.Context) error {
		list, err := r.runs(ctx, c, f)
		if err != nil {
			return err
		}
		states := map[string]string{}
		for _, one := range list {
			states[one.Job] += one.State
			if one.Job == "nightly" {
				nightly = one
			}
		}
		if diff := cmp.Diff(map[string]string{"broken": "failed", "nightly": "started"}, states); diff != "" {
			return fmt.Errorf("%s%+v", diff, list)
		}
		if nightly.Error.Message != "" {
			r.Fatalf("%s: the nightly's decision failed: %+v", f.name, nightly.Error)
		}
		status, err := c.Status(ctx, nightly.TaskID)
		if err == nil && status.State != "completed" {
			err = fmt.Errorf("the decision is %s: %+v", status.State, nightly.Error)
		}
		return err
	})
	if nightly.Revision != f.revision {
		r.Errorf("%s: it ran at %s, not at the head %s", f.name, nightly.Revision, f.revision)
	}
	made := r.scan(fmt.Sprintf(`SELECT count(*) FROM definitions WHERE metadata->>'name' = 'Decision cron' AND scopes[1] LIKE '%%%s:cron:nightly'`, f.repositoryPath(r)))
	if made != 1 {
		r.Errorf("%s: there are %d decisions of the nightly", f.name, made)
	}
	var tasks []string
	for t, err := range c.GroupTasks(r.Context(), nightly.TaskID) {
		if err != nil {
			r.Fatal(err)
		}
		tasks = append(tasks, t.Task.Metadata.Name)
	}
	if diff := cmp.Diff(map[string]bool{"Decision cron": true, "work-nightly": true}, setOf(tasks)); diff != "" || len(tasks) != 2 {
		r.Errorf("%s: %s %v", f.name, diff, tasks)
	}
	got := r.parameters(c, nightly.TaskID)
	want := map[string]any{
		"tasks_for": "cron", "target_tasks_method": "nightly", "project": f.repository, "level": "3", "repository_type": f.kind, "head_rev": f.revision,
		"owner": "cron@noreply.mozilla.org",
	}
	for name, v := range want {
		if diff := cmp.Diff(v, got[name]); diff != "" {
			r.Errorf("%s: parameter %s: %s", f.name, name, diff)
		}
	}
	var why struct {
		Verdict string
		Reasons []string
	}
	if err := c.Call(r.Context(), "cron", "GET", "/repository/"+f.repository+"/job/nightly/why", url.Values{"at": {slot.Format(time.RFC3339)}}, nil, &why); err != nil || why.Verdict != "ran" {
		r.Errorf("%s: %+v, %v", f.name, why, err)
	}
}

func setOf(list []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range list {
		out[s] = true
	}
	return out
}

// repositoryPath is how roles end that name the repository.
func (f forge) repositoryPath(r *replicas) string {
	if f.kind == "git" {
		return f.repository
	}
	var address string
	if err := r.pool.QueryRow(r.Context(), `SELECT url FROM repositories WHERE name = $1`, f.repository).Scan(&address); err != nil {
		r.Fatal(err)
	}
	_, path, _ := strings.Cut(address, "://")
	return path
}

// parameters reads those of a decision.
func (r *replicas) parameters(c *client.Client, taskID string) (out map[string]any) {
	r.Helper()
	var text bytes.Buffer
	if _, err := c.DownloadArtifact(r.Context(), client.Download{TaskID: taskID, RunID: client.LatestRun, Name: "public/parameters.yml"}, &text); err != nil {
		r.Fatal(err)
	}
	if err := yaml.Unmarshal(text.Bytes(), &out); err != nil {
		r.Fatal(err)
	}
	return out
}

// grant lets the jobs of the repositories that are not on this machine do something, as an operator does.
func (r *replicas) grant(c *client.Client) {
	r.Helper()
	for _, f := range r.forges[1:] {
		err := c.Call(r.Context(), "auth", "PUT", "/roles/"+url.PathEscape("repo:"+f.repositoryPath(r)+":*"), nil, map[string]any{
			"description": "Jobs of " + f.name, "scopes": []string{"queue:create-task:highest:built-in/*", "queue:create-task:highest:local/*",
				"queue:create-task:project:*", "queue:scheduler-id:*", "queue:route:*"},
		}, nil)
		if err != nil {
			r.Fatal(err)
		}
	}
}

// byHand starts a job twice with one key.
func (r *replicas) byHand(c *client.Client) {
	r.Helper()
	f := r.forges[0]
	for range 2 {
		var out run
		if err := c.Call(r.Context(), "cron", "POST", "/repository/"+f.repository+"/job/nightly/run", nil, map[string]any{"key": "mine"}, &out); err != nil {
			r.Fatal(err)
		}
	}
	r.until("the run by hand is started, once", func(ctx context.Context) error {
		list, err := r.runs(ctx, c, f)
		if err != nil {
			return err
		}
		n := 0
		for _, one := range list {
			if one.ByHand && one.State == "started" {
				n++
			}
		}
		if n != 1 || len(list) != 3 {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
}
