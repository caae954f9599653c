package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

const actionTree = `
-- taskcluster/config.yml --
trust-domain: td
task-priority: low
taskgraph: {repositories: {mine: {name: mine}}}
workers: {aliases: {t: {provisioner: local, implementation: generic-worker, os: linux, worker-type: work}}}
actions:
    run-missing-tests: {kinds: [k]}
-- taskcluster/kinds/k/kind.yml --
loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
task-defaults:
    worker-type: t
    run-on-projects: [all]
    worker: {max-run-time: 60, command: ['true']}
tasks:
    base: {description: says hello}
    after: {description: comes after, dependencies: {base: k-base}}
-- taskcluster/actions.star --
def both(context):
    print("input", context.input)
    return [effect.create_tasks([l for l in context.tasks.keys() if context.input["what"] in l]), effect.cancel_group(context.task_group_id)]

action(name = "both", title = "Both", callback = both, permission = "special", order = 7,
    schema = {"type": "object", "properties": {"what": {"type": "string", "default": "k-"}}, "additionalProperties": False})
-- input.yml --
what: after
-- labels.yml --
tasks: [k-after]
-- wrong.yml --
who: nobody
-- .cron.yml --
jobs:
    - name: nightly
      job: {type: decision-task, treeherder-symbol: N, target-tasks-method: nightly, include-cron-input: true}
      run-on-projects: [mine]
      when: [{weekday: Monday, hour: 10, minute: 30}]
    - name: tidy
      job: {type: trigger-action, action-name: cancel-all, extra-input: {a: 1}}
      when: []
-- .taskcluster.yml --
version: 1
tasks:
    $if: tasks_for == "cron"
    then:
        - taskId: ${ownTaskId}
          taskQueueId: local/work
          schedulerId: td-level-${repository.level}
          created: {$fromNow: ''}
          deadline: {$fromNow: 1 day}
          metadata: {name: '${cron.job_name}', description: d, owner: 'a@example.org', source: '${repository.url}/x'}
          scopes: ['assume:${repository.role}:cron:${cron.job_name}']
          payload: {command: [[sh, -c, 'taskgraph decision ${cron.quoted_args}']], env: {INPUT: {$json: {$eval: cron.input}}}}
`

func TestTaskgraphActions(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(actionTree)))
	table := must(t, "taskgraph", "actions", "--table")
	for _, want := range []string{"taskcluster/actions.star:5", "taskcluster/config.yml:6", "every tree", "run-missing-tests", "ORDER", "any task"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	var listed struct {
		Actions []struct{ Name, HookID string }
	}
	if err := json.Unmarshal([]byte(must(t, "taskgraph", "actions")), &listed); err != nil {
		t.Fatal(err)
	}
	if first := listed.Actions[0]; first.Name != "both" || !strings.HasPrefix(first.HookID, "in-tree-action-3-special/") || len(listed.Actions) != 11 {
		t.Errorf("%+v", listed.Actions)
	}
}

func TestTaskgraphTestActionCallback(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(actionTree)))
	for name, c := range map[string]struct {
		args     []string
		code     int
		out, err string
	}{
		"with the defaults":     {[]string{"both"}, 0, "would create ", `print: input {"what": "k-"}`},
		"with input":            {[]string{"both", "--input", "input.yml"}, 0, "created 1 tasks 1 times\n", `print: input {"what": "after"}`},
		"says all":              {[]string{"both"}, 0, "would cancel all unresolved tasks of group ", ""},
		"a built-in one":        {[]string{"run-missing-tests"}, 0, "of 2 tests selected, 0 exist and 2 are created", ""},
		"wrong input":           {[]string{"both", "--input", "wrong.yml"}, 1, "", "additional properties 'who' not allowed"},
		"unknown":               {[]string{"bot"}, 1, "", `there is no action "bot"; is "both" meant?`},
		"needs a task":          {[]string{"rerun"}, 1, "", `"Rerun" is an action on a task, and none is given`},
		"a task without a push": {[]string{"rerun", "--task-id", "G0000001QAC0000000000A"}, 1, "", "--task-id needs --task-group-id"},
		"no id":                 {[]string{"rerun", "--task-group-id", "x"}, 1, "", `--task-group-id "x" is not the id of a task`},
		"no server":             {[]string{"rerun", "--task-group-id", "G0000001QAC0000000000A"}, 1, "", "TASKCLUSTER_ROOT_URL is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := treeline(t, append([]string{"taskgraph", "test-action-callback"}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) {
				t.Errorf("exit code %d\n%s%s", code, out, errs)
			}
		})
	}
	t.Run("as JSON", func(t *testing.T) {
		var got struct {
			Create []struct {
				TaskID, Label string
				Task          map[string]any
			}
			CancelGroups, Artifacts, Log []string
		}
		if err := json.Unmarshal([]byte(must(t, "taskgraph", "test-action-callback", "both", "--json")), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Create) != 2 || got.Create[0].Label != "k-base" || len(got.CancelGroups) != 1 || len(got.Artifacts) != 3 || got.Create[1].Task["schedulerId"] != "td-level-3" {
			t.Errorf("%+v", got)
		}
	})
}

func TestTaskgraphActionCallbackSaysWhatIsMissing(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(actionTree)))
	const id = "G0000001QAC0000000000A"
	for _, c := range []struct {
		set, value, want string
	}{
		{"", "", "ACTION_CALLBACK is not set"},
		{"ACTION_CALLBACK", "both", `ACTION_TASK_GROUP_ID is ""`},
		{"ACTION_TASK_GROUP_ID", id, `TASK_ID is ""`},
		{"ACTION_TASK_ID", "x", `ACTION_TASK_ID is "x", not a JSON string`},
		{"ACTION_TASK_ID", `"x"`, `ACTION_TASK_ID is "x", not the id of a task`},
		{"ACTION_TASK_ID", `null`, `TASK_ID is ""`},
		{"ACTION_INPUT", `{"a": }`, "ACTION_INPUT is not JSON"},
		{"ACTION_INPUT", `{} {}`, "there is more behind the value"},
		{"ACTION_INPUT", `{}`, `TASK_ID is ""`},
		{"TASK_ID", id, "TASKCLUSTER_ROOT_URL is not set"},
	} {
		if c.set != "" {
			t.Setenv(c.set, c.value)
		}
		if _, errs, code := treeline(t, "taskgraph", "action-callback"); code != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("with %s=%s: exit code %d, %s, want %q", c.set, c.value, code, errs, c.want)
		}
	}
}

func TestTaskgraphCron(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(actionTree)))
	commit(t, "first")
	git(t, "remote", "add", "origin", "https://github.com/us/mine")
	table := must(t, "taskgraph", "cron", "--at", "2026-03-02T10:44:00Z", "--project", "mine")
	for _, want := range []string{
		"nightly  decision-task   yes  2026-02-23 10:30  2026-03-09 10:30  on Monday, hour 10, minute 30", "tidy     trigger-action  no   -                 -  ",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	var got struct {
		Slot, Project, Branch string
		Jobs                  []struct {
			Name           string
			Due            bool
			Reason         string
			Previous, Next *string
		}
	}
	if err := json.Unmarshal([]byte(must(t, "taskgraph", "cron", "--at", "2026-03-02T10:45:00Z", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Slot != "2026-03-02T10:45:00Z" || got.Project != "mine" || got.Branch != "main" || got.Jobs[0].Due || *got.Jobs[0].Previous != "2026-03-02T10:30:00Z" || got.Jobs[1].Next != nil {
		t.Errorf("%+v", got)
	}

	t.Run("the task that a job would create", func(t *testing.T) {
		var made struct {
			TaskID string
			Task   struct {
				TaskGroupID string
				Scopes      []string
				Payload     map[string]any
			}
		}
		printed := func() string {
			return must(t, "taskgraph", "cron", "--force-run", "nightly", "--input", "input.yml", "--at", "2026-03-02T10:45:00Z")
		}
		first := printed()
		if err := json.Unmarshal([]byte(first), &made); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"assume:repo:github.com/us/mine:cron:nightly"}, made.Task.Scopes); diff != "" || made.TaskID != made.Task.TaskGroupID {
			t.Error(made, diff)
		}
		want := map[string]any{"command": []any{[]any{"sh", "-c", "taskgraph decision --target-tasks-method=nightly"}}, "env": map[string]any{"INPUT": `{"what":"after"}`}}
		if diff := cmp.Diff(want, made.Task.Payload); diff != "" {
			t.Error(diff)
		}
		if printed() != first {
			t.Error("the same slot makes another task")
		}
	})
	t.Run("the action that a job would start", func(t *testing.T) {
		if out := must(t, "taskgraph", "cron", "--force-run", "tidy"); strings.Join(strings.Fields(out), "") != `{"action":"cancel-all","input":{"a":1}}` {
			t.Error(out)
		}
	})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown job": {[]string{"--force-run", "nightli"}, `.cron.yml has no job "nightli"; is "nightly" meant?`},
		"no time":     {[]string{"--at", "tomorrow"}, `--at "tomorrow": expected a time like`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, errs, code := treeline(t, append([]string{"taskgraph", "cron"}, c.args...)...); code != 1 || !strings.Contains(errs, c.want) {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
	t.Run("faults have their line", func(t *testing.T) {
		if err := os.WriteFile(".cron.yml", []byte("jobs:\n  - {name: a}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := treeline(t, "taskgraph", "cron"); code != 1 || !strings.HasPrefix(errs, "treeline: .cron.yml:2: ") {
			t.Errorf("exit code %d: %s", code, errs)
		}
	})
}

// peer stands before the server and knows only what every Taskcluster knows: no batches of tasks.
func peer(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(os.Getenv("TASKCLUSTER_ROOT_URL"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(server)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/task-batch") {
			http.Error(w, `{"error": "Not found"}`, http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// published makes a decision task of the tree in the current directory that has only published its
// artifacts, and returns its id.
func published(t *testing.T, c *client.Client) string {
	t.Helper()
	rev := commit(t, "first")
	id := slug.Nice()
	t.Setenv("TASK_ID", id)
	must(t, "taskgraph", "decision", "--dry-run", "--project", "mine", "--pushlog-id", "1", "--pushdate", "0", "--owner", "a@example.org", "--level", "3",
		"--repository-type", "git", "--base-repository", "https://github.com/us/mine", "--head-repository", "https://github.com/us/mine", "--head-ref", "main",
		"--head-rev", rev, "--tasks-for", "git-push")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	createTask(t, c, id, id, cliQueue, []string{}, map[string]any{
		"command": []any{[]any{"cp", "-r", dir + "/artifacts", "public"}}, "maxRunTime": 60,
		"artifacts": []any{map[string]any{"name": "public", "path": "public", "type": "directory"}},
	})
	must(t, "task", "wait", id)
	return id
}

func createTask(t *testing.T, c *client.Client, id, group, queue string, scopes []string, payload map[string]any) {
	t.Helper()
	now := time.Now().UTC()
	if _, err := c.CreateTask(t.Context(), id, map[string]any{
		"taskQueueId": queue, "taskGroupId": group, "schedulerId": "td-level-3", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)),
		"scopes": scopes, "payload": payload, "tags": map[string]string{"kind": "action-callback"},
		"metadata": map[string]any{"name": "n", "description": "d", "owner": "a@example.org", "source": "https://example.org"},
	}); err != nil {
		t.Fatal(err)
	}
}

func TestTaskgraphActionCallbackOnAServerWithoutBatches(t *testing.T) {
	startRemote(t)
	env := map[string]string{}
	for _, name := range []string{"TASKCLUSTER_ROOT_URL", "TASKCLUSTER_CLIENT_ID", "TASKCLUSTER_ACCESS_TOKEN"} {
		env[name] = os.Getenv(name)
	}
	enterTree(t, txtar.Parse([]byte(actionTree)))
	for name, v := range env {
		t.Setenv(name, v)
	}
	c, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	group := published(t, c)
	own := slug.Nice()
	createTask(t, c, own, group, "cli/nobody", []string{"assume:repo:github.com/us/mine:action:special"}, map[string]any{})
	t.Setenv("TASKCLUSTER_ROOT_URL", peer(t))
	for name, v := range map[string]string{"TASK_ID": own, "ACTION_CALLBACK": "both", "ACTION_TASK_GROUP_ID": group, "ACTION_TASK_ID": "null", "ACTION_INPUT": "{}"} {
		t.Setenv(name, v)
	}

	if _, errs, code := treeline(t, "taskgraph", "action-callback"); code != 0 || !strings.Contains(errs, "(k-after)\n") || !strings.Contains(errs, "2 tasks of group "+group+" were open") {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	if _, errs, code := treeline(t, "taskgraph", "action-callback"); code != 0 || !strings.Contains(errs, "2 tasks were created by an earlier run") || !strings.Contains(errs, "0 tasks of group") {
		t.Errorf("again: exit code %d\n%s", code, errs)
	}
	made := map[string]int{}
	for t2, err := range c.GroupTasks(t.Context(), group) {
		if err != nil {
			t.Fatal(err)
		}
		made[t2.Task.Metadata.Name]++
	}
	if diff := cmp.Diff(map[string]int{"n": 2, "k-base": 1, "k-after": 1}, made); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile("artifacts/label-to-taskid.json"); err != nil || !strings.Contains(string(b), "k-after") {
		t.Error(string(b), err)
	}

	t.Run("an action task without the scope of its action is refused", func(t *testing.T) {
		weak := slug.Nice()
		createTask(t, c, weak, group, "cli/nobody", []string{"assume:repo:github.com/us/mine:action:generic"}, map[string]any{})
		t.Setenv("TASK_ID", weak)
		if _, errs, code := treeline(t, "taskgraph", "action-callback"); code != 1 || !strings.Contains(errs, "must hold the scope assume:repo:github.com/us/mine:action:special itself") {
			t.Errorf("exit code %d\n%s", code, errs)
		}
	})
	t.Run("and a laptop can say what it would do", func(t *testing.T) {
		t.Setenv("TASK_ID", "")
		out := must(t, "taskgraph", "test-action-callback", "cancel", "--task-group-id", group, "--task-id", own)
		if !strings.Contains(out, "would cancel "+own+" n") {
			t.Error(out)
		}
		out = must(t, "taskgraph", "test-action-callback", "add-new-jobs", "--task-group-id", group, "--input", "labels.yml")
		if !strings.Contains(out, "(k-after) in group "+group) {
			t.Error(out)
		}
	})
}
