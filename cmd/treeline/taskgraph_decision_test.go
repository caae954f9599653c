package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

func TestTaskgraphWithoutServer(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(decisionTree)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	for root, want := range map[string]string{"": "TASKCLUSTER_ROOT_URL is not set", "http://" + listener.Addr().String(): "the server does not answer"} {
		t.Setenv("TASKCLUSTER_ROOT_URL", root)
		out, stderr, code := treeline(t, "taskgraph", "optimized", "-k", "k")
		if code != 0 || !strings.Contains(stderr, want) || !strings.Contains(out, "k-again\n") {
			t.Errorf("%q: exit %d, %s", root, code, stderr)
		}
	}
}

const decisionTree = `
-- .taskcluster.yml --
version: 1
tasks: []
-- src/a.txt --
a
-- taskcluster/config.yml --
trust-domain: td
task-priority: low
taskgraph:
    repositories: {mine: {name: Mine}}
workers:
    aliases:
        t: {provisioner: cli, implementation: generic-worker, os: linux, worker-type: test}
-- taskcluster/kinds/k/kind.yml --
loader: taskgraph.loader.transform:loader
transforms:
    - taskcluster/t.star:greet
    - taskgraph.transforms.task:transforms
task-defaults:
    worker-type: t
    run-on-projects: [all]
    worker:
        max-run-time: 60
        command: ['true']
tasks:
    hello:
        description: says hello
        routes: [index.td.v1.hello]
    again:
        description: needed only where nobody said hello
        optimization: {index-search: [td.v1.nobody, td.v1.hello]}
    after:
        description: comes after
        dependencies: {hello: k-hello}
    docs:
        description: only when documents change
        if: changed('docs/**')
    skipped:
        description: only when documents change
        optimization: {skip-unless-changed: ['docs/**']}
-- taskcluster/t.star --
def greet(config, task):
    if task["name"] == config.params.get("boom"):
        return task["nothing"]
    print("greet", task["name"])
    return task
`

// git runs git in the current directory.
func git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits all of the current directory, made a git repository before, and returns the head.
func commit(t *testing.T, message string) string {
	t.Helper()
	git(t, "init", "-q")
	git(t, "add", "-A")
	git(t, "commit", "-q", "-m", message)
	return git(t, "rev-parse", "HEAD")
}

func TestTaskgraphDecisionCreatesTheTasks(t *testing.T) {
	startRemote(t)
	env := map[string]string{}
	for _, name := range []string{"TASKCLUSTER_ROOT_URL", "TASKCLUSTER_CLIENT_ID", "TASKCLUSTER_ACCESS_TOKEN"} {
		env[name] = os.Getenv(name)
	}
	enterTree(t, txtar.Parse([]byte(decisionTree)))
	for name, v := range env {
		t.Setenv(name, v)
	}
	rev := commit(t, "first")
	c, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	id := slug.Nice()
	now := time.Now().UTC()
	if _, err := c.CreateTask(t.Context(), id, map[string]any{
		"taskQueueId": cliQueue, "taskGroupId": id, "schedulerId": "td-level-3", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)),
		"payload":  map[string]any{"command": []any{[]any{"true"}}, "maxRunTime": 60},
		"metadata": map[string]any{"name": "decision", "description": "d", "owner": "a@example.org", "source": "https://example.org"},
	}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TASK_ID", id)
	args := []string{"taskgraph", "decision", "--project", "mine", "--pushlog-id", "1", "--pushdate", "0", "--owner", "a@example.org", "--level", "3",
		"--repository-type", "git", "--base-repository", "https://example.org/r", "--head-repository", "https://example.org/r",
		"--base-rev", strings.Repeat("0", 40), "--head-ref", "refs/heads/main", "--head-rev", rev, "--tasks-for", "git-push"}
	_, stderr, code := treeline(t, args...)
	if code != 0 || !strings.Contains(stderr, "3 tasks created") || !strings.Contains(stderr, "print: greet hello") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, name := range []string{"parameters.yml", "actions.json", "full-task-graph.json", "task-graph.json", "label-to-taskid.json", "target-tasks.json",
		"runnable-jobs.json", "optimizations.log", "explain.json", "run-task"} {
		if info, err := os.Stat(filepath.Join("artifacts", name)); err != nil || info.Size() == 0 {
			t.Errorf("artifact %s: %v", name, err)
		}
	}
	waitForGroup(t, c, id, map[string]task.State{"decision": task.Completed, "k-hello": task.Completed, "k-after": task.Completed, "k-again": task.Completed})
	if text := must(t, "taskgraph", "why", "k-again", "-p", "artifacts/parameters.yml"); !strings.Contains(text, "found at td.v1.hello") {
		t.Errorf("the index was not asked: %s", text)
	}
	// The same decision again finds its tasks there already.
	if _, stderr, code = treeline(t, args...); code != 0 {
		t.Errorf("again: exit %d: %s", code, stderr)
	}
	testOverride(t, args)
	testTry(t, args)
}

// testTry decides as a push to try: the file says what runs, and what is wrong with it is told.
func testTry(t *testing.T, args []string) {
	t.Helper()
	decide := func(file string, more ...string) (stderr string, code int) {
		t.Helper()
		if err := os.WriteFile("try_task_config.json", []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr, code = treeline(t, append(append(args, "--dry-run"), more...)...)
		return stderr, code
	}
	said := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("artifacts", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const file = `{"tasks": ["k-hello", "k-nope"]}`
	if stderr, code := decide(file, "--try"); code != 0 || !strings.Contains(stderr, "1 tasks would be created") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if notes := said("decision-notes.json"); !strings.Contains(notes, `there is no task \"k-nope\" in the graph`) || !strings.Contains(notes, "try_task_config.json") {
		t.Error(notes)
	}
	if targets := said("target-tasks.json"); !strings.Contains(targets, "k-hello") || strings.Contains(targets, "k-again") {
		t.Error(targets)
	}
	if stderr, code := decide(file); code != 0 || !strings.Contains(stderr, "4 selected") {
		t.Errorf("a push that is no try took the file: exit %d: %s", code, stderr)
	}
	if stderr, code := decide("{\n\"version\": 2, \"parameters\": {\n\"level\": \"3\"}}", "--try"); code != 1 || !strings.Contains(stderr, "try_task_config.json:3: parameters.level cannot be set here") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if errs := said("decision-errors.json"); !strings.Contains(errs, `"line": 3`) {
		t.Error(errs)
	}
}

// testOverride overrides parameters by file: the parameter boom makes the tree's Starlark fail.
func testOverride(t *testing.T, args []string) {
	t.Helper()
	if err := os.WriteFile("try_task_config.json", []byte(`{"version": 2, "parameters": {"target_tasks_method": "nothing"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := treeline(t, append(args, "--allow-parameter-override")...)
	if code != 0 || !strings.Contains(stderr, "nothing to create") {
		t.Errorf("override: exit %d: %s", code, stderr)
	}
	if err := os.WriteFile("try_task_config.json", []byte(`{"version": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code = treeline(t, append(args, "--allow-parameter-override")...); code != 1 || !strings.Contains(stderr, "version 1 is not known") {
		t.Errorf("override of version 1: exit %d: %s", code, stderr)
	}
}

// waitForGroup waits until the tasks of a group, by name, are in the states wanted.
func waitForGroup(t *testing.T, c *client.Client, id string, want map[string]task.State) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got := map[string]task.State{}
		for g, err := range c.GroupTasks(t.Context(), id) {
			if err != nil {
				t.Fatal(err)
			}
			got[g.Task.Metadata.Name] = g.Status.State
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(diff)
		}
		<-tick.C
	}
}

func TestStarlarkErrorsShowTheTraceback(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(decisionTree+"-- boom.yml --\nboom: hello\n")))
	_, stderr, code := treeline(t, "taskgraph", "full", "-p", "boom.yml")
	for _, part := range []string{`taskcluster/t.star:3:`, `"nothing" not in dict`, "Traceback", "in greet", "hello"} {
		if code != 1 || !strings.Contains(stderr, part) {
			t.Errorf("exit %d: %q is not in %s", code, part, stderr)
		}
	}
}
