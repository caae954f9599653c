package cron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/intake"
	room "github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

const taskclusterYML = `version: 1
tasks:
  - $if: tasks_for == "cron"
    then:
      taskId: ${ownTaskId}
      taskGroupId: ${ownTaskId}
      schedulerId: s
      taskQueueId: local/work
      created: {$fromNow: ""}
      deadline: {$fromNow: 1 day}
      expires: {$fromNow: 2 days}
      metadata: {name: "${cron.job_name}", description: "${cron.quoted_args}", owner: "${push.owner}", source: "${repository.url}"}
      scopes: ["assume:${repository.role}:cron:${cron.job_name}"]
      payload: {cron: {$eval: cron}, push: {$eval: push}, repository: {$eval: repository}}
`

const cronYML = `jobs:
  - name: nightly
    job: {type: decision-task, treeherder-symbol: N, target-tasks-method: nightly, optimize-target-tasks: false, include-cron-input: true}
    when: [{hour: 2, minute: 0}]
`

// fixture is two servers on one database that follow a git and a Mercurial repository.
type fixture struct {
	*queuetest.Env
	t        *testing.T
	calendar *room.Calendar
	push     *push.Log
	servers  [2]*Cron
	granted  []string // to every role

	dir  string // of the git repository
	repo *localgit.Repo
	hg   *hgtest.Repo
	web  *hgtest.Server

	mu    sync.Mutex
	mails []Mail
	acts  []Action
	act   func(Action) (string, error)
}

func newFixture(t *testing.T, files map[string]string) *fixture {
	t.Helper()
	env := queuetest.New(t)
	log := slog.New(slog.DiscardHandler)
	f := &fixture{Env: env, t: t, calendar: room.New(env.Pool, func() {}, log), push: push.New(env.Pool, func() {}, log), granted: []string{
		"queue:create-task:*", "queue:scheduler-id:*",
	}}
	f.dir = filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f.git("init", "-q", "-b", "main")
	var err error
	if f.repo, err = localgit.Open(t.Context(), f.dir); err != nil {
		t.Fatal(err)
	}
	f.hg = hgtest.Init(t, "theirs")
	f.commit(files)
	f.web = f.hg.Serve()
	reader, err := hg.Open(f.web.URL, hg.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []push.Repository{
		{Name: "mine", Kind: push.LocalGit, URL: "http://localhost/git/mine", Level: 3, DefaultBranch: "main"},
		{Name: "theirs", Kind: push.Mercurial, URL: f.web.URL, Level: 2, DefaultBranch: "default"},
		{Name: "elsewhere", Kind: push.LocalGit, URL: "http://localhost/git/elsewhere", Level: 1, DefaultBranch: "main"},
	} {
		if err := f.push.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	in := intake.New(intake.Deps{
		Queue: env.Queue, Push: f.push, Log: log, RootURL: "http://localhost",
		Expand: func(_ context.Context, scopes []string) ([]string, error) { return append(scopes, f.granted...), nil },
		Open: func(_ context.Context, r push.Repository) (intake.Forge, error) {
			switch r.Name {
			case "mine":
				return intake.LocalForge(f.repo), nil
			case "theirs":
				return mercurial{reader}, nil
			}
			return nil, fault.New(fault.NotFound, "not here")
		},
	})
	for i := range f.servers {
		f.servers[i] = New(Deps{
			Calendar: f.calendar, Push: f.push, Intake: in, RootURL: "http://localhost", Log: log,
			Branches: func(r push.Repository) []string { return []string{r.DefaultBranch} },
			Owner:    func(push.Repository) string { return "owner@example.com" },
			Mail: func(_ context.Context, m Mail) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.mails = append(f.mails, m)
				return nil
			},
			Act: func(_ context.Context, a Action) (string, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.acts = append(f.acts, a)
				return f.act(a)
			},
		})
	}
	return f
}

type mercurial struct{ *hg.Repo }

func (m mercurial) Tree(ctx context.Context, revision string) (intake.Tree, error) {
	return m.Repo.Tree(ctx, revision)
}

func (m mercurial) Describe(ctx context.Context, revision string) (push.Push, string, error) {
	c, err := m.Repo.Describe(ctx, revision)
	return push.Push{Base: c.Base, Email: c.Email, Time: c.Time}, fmt.Sprint(c.PushID), err
}

func (f *fixture) git(args ...string) string {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "git", args...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits the same to both repositories.
func (f *fixture) commit(files map[string]string) {
	f.t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(content), 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
	f.git("add", "-A")
	f.git("commit", "-q", "-m", "a change")
	f.hg.Commit("a change", files)
}

func (f *fixture) at(text string) {
	f.t.Helper()
	if _, err := f.Pool.Exec(f.t.Context(), fmt.Sprintf(`CREATE OR REPLACE FUNCTION cron_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT '%s:00Z'::timestamptz$$`, text)); err != nil {
		f.t.Fatal(err)
	}
}

// round has a server look once, after all leases and pauses are over.
func (f *fixture) round(server int) {
	f.t.Helper()
	for _, table := range []string{"cron_branches", "cron_runs"} {
		if _, err := f.Pool.Exec(f.t.Context(), `UPDATE `+table+` SET retry_after = 'epoch'`); err != nil {
			f.t.Fatal(err)
		}
	}
	if _, err := f.servers[server].round(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) runs() map[string]room.Run {
	f.t.Helper()
	list, err := f.calendar.Runs(f.t.Context(), room.Filter{})
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[string]room.Run{}
	for _, r := range list {
		if _, twice := out[r.Repository+" "+r.Job]; twice {
			f.t.Errorf("%s has two runs of %s", r.Repository, r.Job)
		}
		out[r.Repository+" "+r.Job] = r
	}
	return out
}

// tasks are the names and scopes of all tasks.
func (f *fixture) tasks() (out []string) {
	f.t.Helper()
	rows, err := f.Pool.Query(f.t.Context(), `SELECT metadata->>'name' || ' ' || array_to_string(scopes, ',') FROM definitions ORDER BY 1`)
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			f.t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func (f *fixture) want() []string {
	_, host, _ := strings.Cut(f.web.URL, "://")
	return []string{"nightly assume:repo:" + host + ":cron:nightly", "nightly assume:repo:local/mine:cron:nightly"}
}

func TestAJobIsStartedOnceWhateverBreaks(t *testing.T) {
	f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": cronYML})
	f.at("2026-03-02 01:50")
	f.round(0)
	f.at("2026-03-02 02:00")
	// Both at once, from the settling of the slot to the queue.
	var both sync.WaitGroup
	for i := range f.servers {
		both.Go(func() {
			if _, err := f.servers[i].round(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	f.round(0)
	if diff := cmp.Diff(f.want(), f.tasks()); diff != "" {
		t.Fatal(diff)
	}
	before := f.runs()
	for name, r := range before {
		if r.State != room.Started || r.TaskGroupID == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	t.Run("a server that died after the task was made is followed by one that makes no other", func(t *testing.T) {
		for _, forget := range []string{`state = 'waiting'`, `state = 'waiting', task_group_id = ''`} {
			if _, err := f.Pool.Exec(t.Context(), `UPDATE cron_runs SET `+forget); err != nil {
				t.Fatal(err)
			}
			f.round(1)
			if diff := cmp.Diff(f.want(), f.tasks()); diff != "" {
				t.Error(diff)
			}
			for name, r := range f.runs() {
				if r.State != room.Started || r.TaskID != before[name].TaskID || r.TaskGroupID != before[name].TaskGroupID {
					t.Errorf("%s: %+v", name, r)
				}
			}
		}
	})
	t.Run("servers that have the same run at once make one task", func(t *testing.T) {
		if _, err := f.calendar.Trigger(t.Context(), room.Request{Repository: "mine", Branch: "main", Job: "nightly", Key: "k"}); err != nil {
			t.Fatal(err)
		}
		list, err := f.calendar.TakeRuns(t.Context(), []string{"mine"}, time.Minute, 1)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		for i := range 8 {
			both.Go(func() { f.servers[i%2].begin(t.Context(), list[0]) })
		}
		both.Wait()
		if got := len(f.tasks()); got != 3 {
			t.Errorf("%d tasks", got)
		}
	})
}

func TestWhatADecisionOfAJobIsGiven(t *testing.T) {
	f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": cronYML})
	f.round(0)
	for repository, branch := range map[string]string{"mine": "main", "theirs": "default"} {
		_, err := f.calendar.Trigger(t.Context(), room.Request{Repository: repository, Branch: branch, Job: "nightly", Key: "k", By: "me", Input: json.RawMessage(`{"x": [1]}`)})
		if err != nil {
			t.Fatal(err)
		}
	}
	f.round(0)
	for name, r := range f.runs() {
		d, err := f.Queue.Task(t.Context(), r.TaskID)
		if err != nil {
			t.Fatal(name, err, r.Error)
		}
		var got struct{ Cron, Push, Repository map[string]any }
		if err := json.Unmarshal(d.Payload, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"task_id": r.TaskID, "job_name": "nightly", "job_symbol": "N", "quoted_args": "--target-tasks-method=nightly --optimize-target-tasks=false",
			"input": map[string]any{"x": []any{1.0}},
		}
		if diff := cmp.Diff(want, got.Cron); diff != "" {
			t.Errorf("%s: cron: %s", name, diff)
		}
		wantPush := map[string]any{"owner": "cron", "revision": f.git("rev-parse", "HEAD"), "branch": "main"}
		wantRepository := map[string]any{"url": "http://localhost/git/mine", "project": "mine", "level": "3", "type": "git", "role": "repo:local/mine"}
		if r.Repository == "theirs" {
			node := f.hg.Run("log", "-r", ".", "-T", "{node}")
			wantPush = map[string]any{"owner": "cron", "revision": node, "pushlog_id": "0", "base_revision": "", "pushdate": got.Push["pushdate"]}
			wantRepository = map[string]any{"url": f.web.URL, "project": "theirs", "level": "2", "type": "hg", "role": "repo:" + strings.TrimPrefix(f.web.URL, "http://")}
			if date, _ := got.Push["pushdate"].(float64); time.Since(time.Unix(int64(date), 0)) > time.Hour {
				t.Errorf("pushdate %v", got.Push["pushdate"])
			}
		}
		if diff := cmp.Diff(wantPush, got.Push); diff != "" {
			t.Errorf("%s: push: %s", name, diff)
		}
		if diff := cmp.Diff(wantRepository, got.Repository); diff != "" {
			t.Errorf("%s: repository: %s", name, diff)
		}
	}
}

func TestAForgeThatIsAwayDelaysItsOwnJobsOnly(t *testing.T) {
	f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": cronYML})
	f.at("2026-03-02 01:50")
	f.round(0)
	f.web.Stop()
	f.at("2026-03-02 02:00")
	f.round(0)
	f.round(1)
	if diff := cmp.Diff(f.want()[1:], f.tasks()); diff != "" {
		t.Fatal(diff)
	}
	list, err := f.calendar.Branches(t.Context(), "theirs")
	if err != nil || list[0].Failures != 2 || list[0].Error.Code != "forge" || !strings.Contains(list[0].Error.Message, "does not answer") {
		t.Errorf("%+v, %v", list[0].Error, err)
	}
	f.web.Start()
	f.at("2026-03-02 02:20")
	f.round(1)
	if diff := cmp.Diff(f.want(), f.tasks()); diff != "" {
		t.Error(diff)
	}
	if r := f.runs()["theirs nightly"]; r.Slot.UTC().Format("15:04") != "02:00" {
		t.Errorf("the run is that of %v", r.Slot)
	}
}

func TestMistakesOfTheTreeAreToldAndMailed(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		grant []string
		code  string
		text  string
	}{
		{"no task", map[string]string{".taskcluster.yml": "version: 1\ntasks: []\n"}, nil, "not-one-task", "asks for 0 tasks"},
		{"two tasks", map[string]string{".taskcluster.yml": taskclusterYML + strings.ReplaceAll(strings.SplitN(taskclusterYML, "tasks:\n", 2)[1], "${ownTaskId}", slug.Nice())}, nil, "not-one-task", "asks for 2 tasks"},
		{"no file", map[string]string{".taskcluster.yml": ""}, nil, "bad-config", ""},
		{"a role that may not", nil, []string{}, "insufficient-scopes", "queue:create-task"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": cronYML})
			if c.files != nil {
				f.commit(c.files)
			}
			if c.grant != nil {
				f.granted = c.grant
			}
			f.at("2026-03-02 01:50")
			f.round(0)
			f.at("2026-03-02 02:00")
			f.round(0)
			f.round(1)
			if got := f.tasks(); len(got) > 0 {
				t.Fatalf("%q", got)
			}
			for name, r := range f.runs() {
				if r.State != room.Failed || r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message+r.Error.Detail, c.text) {
					t.Errorf("%s: %s %+v", name, r.State, r.Error)
				}
			}
			to := map[string]int{}
			for _, m := range f.mails {
				to[m.Address]++
				if !strings.Contains(m.Subject, "nightly") || m.Key == "" || !strings.HasPrefix(m.Link, "http://localhost/cron?") {
					t.Errorf("%+v", m)
				}
			}
			if diff := cmp.Diff(map[string]int{"owner@example.com": 2, "ada@example.com": 2}, to); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a file that is broken", func(t *testing.T) {
		f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": "jobs:\n  - name: [x\n"})
		f.round(0)
		f.round(1)
		list, err := f.calendar.Branches(t.Context(), "")
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, b := range list {
			if b.Error == nil || b.Error.Code != "bad-file" || b.Error.File != ".cron.yml" || b.Error.Line == 0 {
				t.Errorf("%s: %+v", b.Repository, b.Error)
			}
		}
		keys := map[string]bool{}
		for _, m := range f.mails {
			keys[m.Key] = true
		}
		if len(keys) != 4 {
			t.Errorf("%d mails of their own: %v", len(keys), keys)
		}
	})
	t.Run("a branch that is gone", func(t *testing.T) {
		f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": cronYML})
		f.git("branch", "-m", "main", "other")
		f.round(0)
		list, err := f.calendar.Branches(t.Context(), "mine")
		if err != nil || list[0].Error == nil || list[0].Error.Code != "no-branch" {
			t.Errorf("%+v, %v", list, err)
		}
		f.git("branch", "-m", "other", "main")
		if err := f.calendar.Poke(t.Context(), "mine"); err != nil {
			t.Fatal(err)
		}
		f.round(0)
		if list, err = f.calendar.Branches(t.Context(), "mine"); err != nil || list[0].Error != nil || list[0].Source != cronYML {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestAJobStartsAnAction(t *testing.T) {
	f := newFixture(t, map[string]string{".taskcluster.yml": taskclusterYML, ".cron.yml": `jobs:
  - name: act
    job: {type: trigger-action, action-name: rerun, extra-input: {n: 3}}
    when: [{hour: 2, minute: 0}]
`})
	made, group := slug.Nice(), slug.Nice()
	f.act = func(a Action) (string, error) { return made, nil }
	f.at("2026-03-02 01:50")
	f.round(0)
	head := f.git("rev-parse", "HEAD")
	p, _, err := f.push.Record(t.Context(), push.Push{Repository: "mine", Revision: head, Branch: "main"}, "")
	if err != nil {
		t.Fatal(err)
	}
	f.at("2026-03-02 02:00")
	f.round(0)
	if r := f.runs()["mine act"]; r.State != room.Waiting || r.Error == nil || !strings.Contains(r.Error.Message, "not there yet") {
		t.Errorf("the decision is not made yet: %+v %+v", r, r.Error)
	}
	if r := f.runs()["theirs act"]; r.State != room.Failed || r.Error.Code != "no-decision" {
		t.Errorf("there is no push: %+v", r.Error)
	}
	if err := f.push.SetOutcome(t.Context(), "mine", p.ID, push.Outcome{State: push.Decided, TaskGroupID: group}); err != nil {
		t.Fatal(err)
	}
	f.round(1)
	r := f.runs()["mine act"]
	if r.State != room.Started || r.TaskID != made || r.TaskGroupID != "" {
		t.Errorf("%+v", r)
	}
	want := []Action{{TaskGroupID: group, Name: "rerun", Input: map[string]any{"n": int64(3)}, Role: "repo:local/mine:cron:act", By: "job act of .cron.yml", Key: f.acts[0].Key}}
	if diff := cmp.Diff(want, f.acts); diff != "" {
		t.Error(diff)
	}
	t.Run("unless its role may not", func(t *testing.T) {
		f.act = func(Action) (string, error) { return "", fault.New(fault.Forbidden, "It lacks hooks:trigger-hook:x.") }
		if _, err := f.calendar.Trigger(t.Context(), room.Request{Repository: "mine", Branch: "main", Job: "act"}); err != nil {
			t.Fatal(err)
		}
		f.round(0)
		list, err := f.calendar.Runs(t.Context(), room.Filter{Repository: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for _, r := range list {
			if r.ByHand() && r.State == room.Failed && strings.Contains(r.Error.Message, "trigger-hook") {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%+v", list)
		}
	})
	if _, err := (Runs{Calendar: f.calendar}).ByTaskGroup(t.Context(), group); !errors.Is(err, fault.NotFound) {
		t.Errorf("the group of the push is taken for that of a job: %v", err)
	}
}
