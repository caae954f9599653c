package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
)

// enterTree writes an archive of files into a directory and goes there.
func enterTree(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, name := range []string{"ROOT_URL", "CLIENT_ID", "ACCESS_TOKEN", "CERTIFICATE", "PROXY_URL"} {
		t.Setenv("TASKCLUSTER_"+name, "")
	}
	t.Setenv("TASK_ID", "")
	return dir
}

// enterGolden goes to the tree that the goldens of repository optimize were made from, with the
// parameters of each set beside it.
func enterGolden(t *testing.T) []goldentest.Set {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "..", "taskgraph", "testdata", "optimize.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	sets := slices.DeleteFunc(goldentest.Sets(t), func(s goldentest.Set) bool { return s.Repo != "optimize" })
	for _, s := range sets {
		a.Files = append(a.Files, txtar.File{Name: "params/" + s.Name + ".yml", Data: s.Bytes(t, "parameters.yml")})
	}
	a.Files = append(a.Files, txtar.File{Name: ".taskcluster.yml", Data: goldentest.TaskclusterYML(t)}, txtar.File{Name: "found.json", Data: sets[0].Found(t)})
	enterTree(t, a)
	t.Setenv("TASKCLUSTER_ROOT_URL", sets[0].RootURL())
	return sets
}

func TestTaskgraphPrintsTheGoldens(t *testing.T) {
	for _, s := range enterGolden(t) {
		file := "params/" + s.Name + ".yml"
		for _, c := range []struct {
			want string
			args []string
		}{
			{"full.json", []string{"full", "-J"}},
			{"target.labels", []string{"target"}},
			{"target-graph.labels", []string{"target-graph", "-L"}},
			{"actions.json", []string{"actions"}},
		} {
			got := must(t, append(append([]string{"taskgraph"}, c.args...), "-p", file)...)
			if diff := cmp.Diff(string(s.Bytes(t, c.want)), got); diff != "" {
				t.Errorf("%s %s: %s", s.Name, c.want, diff)
			}
		}
		var want []string
		for _, task := range s.Graph(t, "optimized.json").All() {
			want = append(want, task.Label)
		}
		got := strings.Fields(must(t, "taskgraph", "optimized", "--index", "found.json", "-p", file))
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s optimized: %s", s.Name, diff)
		}
	}
}

func TestTaskgraphOptions(t *testing.T) {
	enterGolden(t)
	one := []string{"-p", "params/push.yml", "--index", "found.json"}
	run := func(args ...string) string { return must(t, append(append([]string{"taskgraph"}, args...), one...)...) }
	if diff := cmp.Diff("o-leaf-hit\no-leaf-skip\n\n", run("full", "--tasks", "o-leaf")); diff != "" {
		t.Errorf("--tasks: %s", diff)
	}
	var tasks map[string]map[string]any
	if err := json.Unmarshal([]byte(run("full", "-J", "--tasks", "o-leaf-hit$", "--exclude-key", "task.payload", "--exclude-key", "attributes")), &tasks); err != nil {
		t.Fatal(err)
	}
	def := tasks["o-leaf-hit"]["task"].(map[string]any)
	if len(tasks) != 1 || tasks["o-leaf-hit"]["attributes"] != nil || def["payload"] != nil || def["metadata"] == nil {
		t.Errorf("--exclude-key: %v", tasks)
	}
	if text := run("full", "-Y", "--tasks", "o-leaf-hit$"); !strings.Contains(text, "o-leaf-hit:\n    attributes:\n") {
		t.Errorf("-Y: %s", text)
	}
	if text := run("why", "o-idx-ok", "o-chain-*"); !strings.Contains(text, "replace: replaced by task F0000000QAC0000000000A, found at synth.ok") ||
		!strings.Contains(text, `from taskcluster/kinds/o/kind.yml:`) || !strings.Contains(text, "o-chain-c\n") {
		t.Errorf("why: %s", text)
	}
	if diff := cmp.Diff("o\n", run("kinds")); diff != "" {
		t.Errorf("kinds: %s", diff)
	}
	if diff := cmp.Diff("flowchart TD\n    o[o]\n", run("kind-graph")); diff != "" {
		t.Errorf("kind-graph: %s", diff)
	}
	must(t, "taskgraph", "target", "-p", "params", "-o", "out.txt")
	for _, name := range []string{"out_push.txt", "out_existing.txt"} {
		if b, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(b), "o-") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	// From elsewhere the tree is found by --root.
	root, err := filepath.Abs("taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	params, err := filepath.Abs("params/push.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := run("target")
	t.Chdir(t.TempDir())
	if diff := cmp.Diff(want, must(t, "taskgraph", "target", "--root", root, "-p", params)); diff != "" {
		t.Errorf("--root: %s", diff)
	}
}

func TestTaskgraphErrorsSayWhere(t *testing.T) {
	enterGolden(t)
	for name, c := range map[string]struct {
		files map[string]string
		args  []string
		want  string
	}{
		"no tree":            {nil, []string{"full", "--root", "nowhere"}, "--root names the directory of config.yml"},
		"no parameters":      {nil, []string{"full", "-p", "nope.yml"}, "open nope.yml"},
		"bad parameters":     {map[string]string{"bad.yml": "level: 3\n"}, []string{"full", "-p", "bad.yml"}, `bad.yml: parameters: level is 3, expected "1"`},
		"strict parameters":  {map[string]string{"few.yml": "level: '3'\n"}, []string{"full", "--strict", "-p", "few.yml"}, "head_rev is missing"},
		"bad expression":     {nil, []string{"full", "--tasks", "("}, "--tasks: error parsing regexp"},
		"unknown label":      {nil, []string{"why", "o-leaf-hitt", "-p", "params/push.yml", "--index", "found.json"}, `there is no task "o-leaf-hitt"; is "o-leaf-hit" meant?`},
		"unknown method":     {map[string]string{"m.yml": "target_tasks_method: x\n"}, []string{"target", "-p", "m.yml"}, `there is no method "x"`},
		"two forms":          {nil, []string{"full", "-J", "-Y"}, "none of the others can be"},
		"unknown kind":       {nil, []string{"full", "-k", "nope"}, "nope"},
		"decision by itself": {nil, []string{"decision"}, "required flag"},
	} {
		t.Run(name, func(t *testing.T) {
			for file, text := range c.files {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, stderr, code := treeline(t, append([]string{"taskgraph"}, c.args...)...)
			if code != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, %q does not say %q", code, stderr, c.want)
			}
		})
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
    hello: {description: says hello}
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

func TestFilesChangedAreThoseOfAllCommits(t *testing.T) {
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	write("a", "1")
	first := commit(t, "first")
	write("b", "1")
	write("c", "1")
	commit(t, "second")
	write("b", "2")
	if err := os.Remove("c"); err != nil {
		t.Fatal(err)
	}
	last := commit(t, "third, DONTBUILD")
	c, err := findCheckout(".")
	if err != nil || c.kind != "git" {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, x := range map[string]struct {
		base, rev string
		want      []string
	}{
		"a range":          {first, last, []string{"b", "b", "c", "c"}},
		"a new branch":     {strings.Repeat("0", 40), last, []string{"a", "b"}},
		"no base":          {"", last, []string{"b", "c"}},
		"the first commit": {"", first, []string{"a"}},
		"nothing":          {last, last, []string{}},
	} {
		got, err := c.changed(t.Context(), x.base, x.rev)
		slices.Sort(got)
		if diff := cmp.Diff(x.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	for _, bad := range []string{"--output=x", "all()", "a b"} {
		if _, err := c.changed(t.Context(), first, bad); err == nil || !strings.Contains(err.Error(), "is no revision") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if msg, err := c.message(t.Context(), last); err != nil || !strings.Contains(msg, "DONTBUILD") {
		t.Errorf("message %q, %v", msg, err)
	}
	write("a", "2")
	if f := c.facts(t.Context()); f.HeadRev != last || f.HeadRef != "main" || !cmp.Equal(f.FilesChanged, []string{"a"}) {
		t.Errorf("facts: %+v", f)
	}
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
	if code != 0 || !strings.Contains(stderr, "2 tasks created") || !strings.Contains(stderr, "print: greet hello") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, name := range []string{"parameters.yml", "actions.json", "full-task-graph.json", "task-graph.json", "label-to-taskid.json", "target-tasks.json",
		"runnable-jobs.json", "optimizations.log", "explain.json", "run-task"} {
		if info, err := os.Stat(filepath.Join("artifacts", name)); err != nil || info.Size() == 0 {
			t.Errorf("artifact %s: %v", name, err)
		}
	}
	waitForGroup(t, c, id, map[string]task.State{"decision": task.Completed, "k-hello": task.Completed, "k-after": task.Completed})
	// The same decision again finds its tasks there already.
	if _, stderr, code = treeline(t, args...); code != 0 {
		t.Errorf("again: exit %d: %s", code, stderr)
	}
	testOverride(t, args)
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
