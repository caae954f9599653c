package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// nightlyTree is a repository with a nightly at a time, an action of every slot, and a job that is broken
// by itself.
func nightlyTree(slot time.Time) map[string]string {
	return map[string]string{
		".taskcluster.yml": `version: 1
tasks:
  - $if: tasks_for in ["cron", "git-push", "action"]
    then:
      $merge:
        - schedulerId: nightly-level-${repository.level}
          taskQueueId: built-in/decision
          created: {$fromNow: ""}
          deadline: {$fromNow: 1 day}
          expires: {$fromNow: 28 days}
          metadata: {name: "Decision ${tasks_for}", description: "-", owner: "${push.owner}", source: "${repository.url}"}
        - $if: tasks_for == "action"
          then:
            taskGroupId: ${action.taskGroupId}
            tags: {kind: action-callback}
            scopes: ["${action.repo_scope}"]
            payload:
              root: taskcluster
              action: {callback: "${action.cb_name}", taskGroupId: "${action.taskGroupId}", taskId: {$eval: taskId}, input: {$eval: input}}
          else:
            taskId: ${ownTaskId}
            taskGroupId: ${ownTaskId}
            tags: {kind: decision-task}
            payload: {root: taskcluster, targetTasksMethod: all-of-it}
            scopes:
              $if: tasks_for == "cron"
              then: ["assume:${repository.role}:cron:${cron.job_name}"]
              else: ["assume:${repository.role}:branch:${push.branch}"]
`,
		"taskcluster/config.yml": `trust-domain: nightly
task-priority: low
workers: {aliases: {small: {provisioner: local, implementation: generic-worker, os: linux, worker-type: nobody}}}
taskgraph: {repositories: {nightly: {name: nightly}}}
target-tasks: {nightly: 'task.attributes.nightly == true', all-of-it: 'true'}
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
  - name: reuse
    job: {type: decision-task, treeherder-symbol: R, target-tasks-method: nightly, include-push-tasks: true}
    when: []
  - name: stop
    job: {type: trigger-action, action-name: cancel-all}
    when: []
`, slot.UTC().Hour(), slot.Minute()),
	}
}

// forge is a place for repositories, with one in it that has a nightly.
type forge struct {
	name, repository, revision string
	kind                       string // repository_type
	path                       string // how its roles begin, after "repo:"
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

	install func() // the GitHub App, once a server listens to it
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
	r.install()
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
			if len(list.Jobs) != 4 || !list.Jobs[1].Next.Equal(slot) {
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
	r.clock(slot.Add(20 * time.Minute)) // when nothing is due in it, a slot may be settled up to four minutes late
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
	r.reused(c)
	r.acted(c)
	r.commandLine(c, slot)
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
	r.forges = append(r.forges, forge{name: "git on this machine", repository: "pebbles", revision: commit(t, local, "A nightly", tree), kind: "git", path: "local/pebbles"})

	mercurial := hgtest.Init(t, "shells")
	revision := mercurial.Commit("A nightly", tree)
	config := filepath.Join(t.TempDir(), "repositories.yml")
	address := mercurial.Serve().URL
	text := fmt.Sprintf("repositories:\n  - {name: shells, kind: hg, url: '%s', level: 3}\n", address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.forges = append(r.forges, forge{name: "Mercurial", repository: "shells", revision: revision, kind: "hg", path: strings.TrimPrefix(address, "http://")})

	r.ports, r.up = []int{freePort(t), freePort(t)}, make([]*server, 2)
	hub := r.hub(tree)
	r.args, r.env = []string{"--repo", local, "--claim-timeout", "20s"}, []string{"TREELINE_REPOSITORIES=" + config, fmt.Sprintf("TREELINE_ROOT_URL=http://127.0.0.1:%d", r.ports[0])}
	r.env = append(r.env, hub...)
	t.Cleanup(func() {
		for i := range r.up {
			r.kill(i)
		}
	})
	return r
}

// hub makes a GitHub with a repository and an App, and answers with what a server must know to be the App.
func (r *replicas) hub(tree map[string]string) (env []string) {
	r.Helper()
	must := func(err error) {
		r.Helper()
		if err != nil {
			r.Fatal(err)
		}
	}
	gh, err := ghfake.Start(ghfake.Options{Dir: r.TempDir()})
	must(err)
	r.Cleanup(func() { must(gh.Close()) })
	app, err := gh.AddApp("treeline", fmt.Sprintf("http://127.0.0.1:%d/api/github/v1/github", r.ports[0]), "a-secret-of-some-length")
	must(err)
	repo, err := gh.AddRepository("acme/nightly", true)
	must(err)
	repo.Grant("ada", "write")
	revision, err := repo.Push("ada", "main", ghfake.Change{Files: tree, Message: "A nightly"})
	must(err)
	r.forges = append(r.forges, forge{name: "GitHub", repository: "acme.nightly", revision: revision, kind: "git", path: "github.com/acme/nightly"})
	r.install = func() { app.Install("acme", repo) }
	return []string{
		fmt.Sprintf("TREELINE_GITHUB_APP_ID=%d", app.ID), "TREELINE_GITHUB_APP_KEY=" + string(app.PrivateKey()),
		"TREELINE_GITHUB_WEBHOOK_SECRETS=a-secret-of-some-length", "TREELINE_GITHUB_API=" + gh.APIURL(),
	}
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
	began := time.Now()
	for deadline := began.Add(3 * time.Minute); ; {
		err := try(r.Context())
		if err == nil {
			r.Logf("after %v: %s", time.Since(began).Round(100*time.Millisecond), what)
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
	made := r.scan(fmt.Sprintf(`SELECT count(*) FROM definitions WHERE metadata->>'name' = 'Decision cron' AND scopes[1] = 'assume:repo:%s:cron:nightly'`, f.path))
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
		err := c.Call(r.Context(), "auth", "PUT", "/roles/"+url.PathEscape("repo:"+f.path+":*"), nil, map[string]any{
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

// reused starts a job that takes what the push's decision made as it is.
func (r *replicas) reused(c *client.Client) {
	r.Helper()
	f := r.forges[0]
	pushed := texts(r.T, r.pool, `SELECT task_group_id FROM pushes WHERE repository = 'pebbles' AND state = 'decided'`)
	if len(pushed) != 1 {
		r.Fatalf("%d pushes are decided", len(pushed))
	}
	made := map[string]string{}
	for t, err := range c.GroupTasks(r.Context(), pushed[0]) {
		if err != nil {
			r.Fatal(err)
		}
		made[t.Task.Metadata.Name] = t.Status.TaskID
	}
	if _, err := c.RunCron(r.Context(), f.repository, "reuse", "", "", nil); err != nil {
		r.Fatal(err)
	}
	var decision string
	r.until("the job is decided", func(ctx context.Context) error {
		list, err := r.runs(ctx, c, f)
		if err != nil {
			return err
		}
		decision = list[0].TaskID
		if list[0].Job != "reuse" || list[0].State != "started" {
			return fmt.Errorf("%+v", list[0])
		}
		status, err := c.Status(ctx, decision)
		if err == nil && status.State != "completed" {
			err = fmt.Errorf("the decision is %s", status.State)
		}
		return err
	})
	existing, _ := r.parameters(c, decision)["existing_tasks"].(map[string]any)
	if made["work-nightly"] == "" || existing["work-nightly"] != made["work-nightly"] {
		r.Errorf("the push made %v, and the job takes %v", made, existing)
	}
	var names []string
	for t, err := range c.GroupTasks(r.Context(), decision) {
		if err != nil {
			r.Fatal(err)
		}
		names = append(names, t.Task.Metadata.Name)
	}
	if diff := cmp.Diff([]string{"Decision cron"}, names); diff != "" {
		r.Errorf("it made anew what the push has: %s", diff)
	}
}

// commandLine asks with treeline cron.
func (r *replicas) commandLine(c *client.Client, slot time.Time) {
	r.Helper()
	ask := func(args ...string) string {
		r.Helper()
		cmd := exec.Command(program, append([]string{"cron"}, args...)...)
		cmd.Env = append(os.Environ(), "TASKCLUSTER_ROOT_URL="+c.RootURL(), "TASKCLUSTER_CLIENT_ID="+c.Credentials().ClientID, "TASKCLUSTER_ACCESS_TOKEN="+c.Credentials().AccessToken)
		out, err := cmd.CombinedOutput()
		if err != nil {
			r.Errorf("treeline cron %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	at := slot.Format("2006-01-02 15:04")
	for _, q := range []struct {
		args []string
		want []string
	}{
		{[]string{"list"}, []string{"REPOSITORY", "acme.nightly", "shells", "default", slot.AddDate(0, 0, 1).Format("2006-01-02 15:04")}},
		{[]string{"list", "shells", "--runs", "9"}, []string{at, "started", "failed", "has no decision"}},
		{[]string{"list", "shells", "--json"}, []string{`"doneUntil"`}},
		{[]string{"why", "shells", "nightly", "--at", slot.Format(time.RFC3339)}, []string{": ran", "after its time"}},
		{[]string{"why", "pebbles", "broken", "--at", slot.Format(time.RFC3339)}, []string{": failed"}},
		{[]string{"why", "pebbles", "nightly", "--at", slot.Add(time.Hour).Format(time.RFC3339)}, []string{": not-due", "It will not run"}},
		{[]string{"run", "pebbles", "nightly", "--key", "mine"}, []string{"started as task"}},
	} {
		out := ask(q.args...)
		for _, want := range q.want {
			if !strings.Contains(out, want) {
				r.Errorf("treeline cron %s does not say %q:\n%s", strings.Join(q.args, " "), want, out)
			}
		}
	}
}

// acted has a job start an action on the decision of the push, with what the role of the job may do.
func (r *replicas) acted(c *client.Client) {
	r.Helper()
	pushed := texts(r.T, r.pool, `SELECT task_group_id FROM pushes WHERE repository = 'pebbles' AND state = 'decided'`)
	if _, err := c.RunCron(r.Context(), r.forges[0].repository, "stop", "", "", nil); err != nil {
		r.Fatal(err)
	}
	r.until("the action has cancelled the tasks of the push", func(ctx context.Context) error {
		list, err := r.runs(ctx, c, r.forges[0])
		if err != nil {
			return err
		}
		if list[0].Job != "stop" || list[0].State != "started" {
			return fmt.Errorf("%+v", list[0])
		}
		states := map[string]string{}
		for t, err := range c.GroupTasks(ctx, pushed[0]) {
			if err != nil {
				return err
			}
			states[t.Task.Metadata.Name] = string(t.Status.State)
		}
		if diff := cmp.Diff(map[string]string{"Decision git-push": "completed", "Decision action": "completed", "work-daily": "exception", "work-nightly": "exception"}, states); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}
