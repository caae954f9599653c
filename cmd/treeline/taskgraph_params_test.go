package main

import (
	"bytes"
	"compress/gzip"
	"os"
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

// ownTree has a task whose description shows what the parameters are, and declares one of its own.
const ownTree = `
-- taskcluster/config.yml --
trust-domain: td
task-priority: low
taskgraph:
    repositories: {mine: {name: Mine}}
    register: taskcluster/own.star:register
    decision-parameters: taskcluster/own.star:decide
workers: {aliases: {}}
-- taskcluster/kinds/k/kind.yml --
loader: taskgraph.loader.transform:loader
transforms: ['taskcluster/own.star:show', 'taskgraph.transforms.task']
tasks:
    a: {worker-type: succeed, run-on-projects: [all]}
-- taskcluster/own.star --
def register(graph_config):
    return {"parameters": {"phase": {"type": "string", "default": "build"}}}

def decide(graph_config, parameters):
    if parameters["head_tag"]:
        parameters["phase"] = "ship"

def show(config, task):
    p = config.params
    task["description"] = " ".join([p["project"], p["level"], p["phase"], p["owner"]])
    return task
-- one.yml --
project: one
level: '1'
-- two.json --
{"project": "two", "phase": "test", "owner": "\ud83d\ude00@example.org"}
-- sets/one.yml --
project: first
-- sets/readme.txt --
no parameters
-- odd.yml --
projct: one
-- typed.yml --
phase: 3
`

// described prints what the parameters of a set were.
func described(t *testing.T, args ...string) string {
	t.Helper()
	g := parse(t, must(t, append([]string{"taskgraph", "full", "-J", "-q"}, args...)...))
	return g.Task("k-a").Description
}

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParametersFromFiles(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree)))
	if err := os.WriteFile("sets/three.yml.gz", packed(t, "project: three\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"":                  " 3 build nobody@mozilla.com",
		"one.yml":           "one 1 build nobody@mozilla.com",
		"two.json":          "two 3 test 😀@example.org",
		"sets/three.yml.gz": "three 3 build nobody@mozilla.com",
		"-":                 " 3 build nobody@mozilla.com", // standard input holds a parameter that nobody knows
	} {
		var args []string
		if spec != "" {
			args = []string{"-p", spec}
		}
		if got := described(t, args...); got != want {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
	_, stderr, code := treeline(t, "taskgraph", "full", "-J", "-p", "one.yml", "-p", "sets", "-p", "two.json", "-o", "out/full.json")
	if code != 1 || !strings.Contains(stderr, "out/full_one.json") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if err := os.Mkdir("out", 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "taskgraph", "full", "-J", "-p", "one.yml", "-p", "sets", "-p", "two.json", "--output-file", "out/full.json", "--max-workers", "2")
	must(t, "taskgraph", "full", "-L", "-p", "one.yml", "-o", "out/{params}-labels")
	must(t, "taskgraph", "full", "-L", "-o", "out/{params}-labels")
	must(t, "taskgraph", "kind-graph", "-o", "out/kinds.mmd")
	found, err := filepath.Glob("out/*")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"out/defaults-labels", "out/full_one-2.json", "out/full_one.json", "out/full_three.json", "out/full_two.json", "out/kinds.mmd", "out/one-labels"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	b, err := os.ReadFile("out/full_one-2.json")
	if err != nil || !strings.Contains(string(b), "first 3 build") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestSetsThatFailLeaveTheOthersAlone(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree+"-- bad.yml --\ntarget_tasks_method: nobody\n")))
	out, stderr, code := treeline(t, "taskgraph", "target", "-p", "bad.yml", "-p", "one.yml")
	if code != 1 || out != "k-a\n\n" || !strings.Contains(stderr, "parameters bad:\n") || !strings.Contains(stderr, `there is no method "nobody"`) {
		t.Errorf("exit %d, %q, %s", code, out, stderr)
	}
	_, stderr, code = treeline(t, "taskgraph", "target", "-p", "typed.yml", "-p", "gone.yml", "-p", "one.yml")
	if code != 1 || !strings.Contains(stderr, "typed.yml:1: phase is 3, expected a string") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	_, stderr, code = treeline(t, "taskgraph", "target", "-p", "odd.yml")
	if code != 0 || !strings.Contains(stderr, `warning: parameters odd: projct; is "project" meant?`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if out, _, code = treeline(t, "taskgraph"); code != 1 || !strings.Contains(out, "Usage:") {
		t.Errorf("nothing asked for: exit %d, %s", code, out)
	}
}

func TestParametersOfDecisionsOnAServer(t *testing.T) {
	startRemote(t)
	env := map[string]string{}
	for _, name := range []string{"TASKCLUSTER_ROOT_URL", "TASKCLUSTER_CLIENT_ID", "TASKCLUSTER_ACCESS_TOKEN"} {
		env[name] = os.Getenv(name)
	}
	c, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, now := slug.Nice(), time.Now().UTC()
	const index = "td.v2.theirs.latest.taskgraph.decision"
	if _, err := c.CreateTask(t.Context(), id, map[string]any{
		"taskQueueId": cliQueue, "schedulerId": "td-level-3", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "routes": []any{"index." + index},
		"payload": map[string]any{
			"command": []any{[]any{"sh", "-c", `printf "project: theirs\nlevel: '1'\n" > p.yml`}}, "maxRunTime": 60,
			"artifacts": []any{map[string]any{"type": "file", "path": "p.yml", "name": "public/parameters.yml"}},
		},
		"metadata": map[string]any{"name": "decision", "description": "d", "owner": "a@example.org", "source": "https://example.org"},
	}); err != nil {
		t.Fatal(err)
	}
	must(t, "task", "wait", id)
	enterTree(t, txtar.Parse([]byte(ownTree)))
	for name, v := range env {
		t.Setenv(name, v)
	}
	for _, spec := range []string{"task-id=" + id, "index=" + index, "project=theirs"} {
		if got := described(t, "-p", spec); got != "theirs 1 build nobody@mozilla.com" {
			t.Errorf("%s: %q", spec, got)
		}
	}
	must(t, "taskgraph", "full", "-p", "project=theirs", "-p", "one.yml", "-o", "labels")
	if _, err := os.Stat("labels_project=theirs"); err != nil {
		t.Error(err)
	}
	for spec, want := range map[string]string{
		"project=nobody":         "parameters index=td.v2.nobody.latest.taskgraph.decision:",
		"task-id=" + slug.Nice(): "404",
		"index=td.v2.nothing":    "parameters index=td.v2.nothing:",
	} {
		if _, stderr, code := treeline(t, "taskgraph", "full", "-p", spec); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", spec, code, stderr)
		}
	}
}

// dryRun decides in the current directory and gives the parameters that came of it.
func dryRun(t *testing.T, rev string, args ...string) (parameters, stderr string, code int) {
	t.Helper()
	t.Setenv("TASK_ID", slug.Nice())
	_, stderr, code = treeline(t, append([]string{"taskgraph", "decision", "--dry-run", "--project", "mine", "--pushlog-id", "1", "--pushdate", "0", "--owner", "a", "--level", "3",
		"--repository-type", "git", "--base-repository", "https://example.org/r", "--head-repository", ".",
		"--base-rev", strings.Repeat("0", 40), "--head-ref", "refs/heads/main", "--head-rev", rev}, args...)...)
	b, err := os.ReadFile("artifacts/parameters.yml")
	if err != nil && code == 0 {
		t.Fatal(err)
	}
	return string(b), stderr, code
}

// What makes the parameters of a decision, each winning over the one before: the event, the message
// of its commit, the tree's hook, a note or a file (taskgraph-map 12.4).
func TestWhatMakesTheParametersOfADecision(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree+"-- version.txt --\n1.2.3\nmore\n")))
	rev := commit(t, "documents only, DONTBUILD")
	check := func(t *testing.T, got string, want ...string) {
		t.Helper()
		for _, line := range want {
			if !strings.Contains("\n"+got, "\n"+line+"\n") {
				t.Errorf("there is no %q in\n%s", line, got)
			}
		}
	}
	push := []string{"--tasks-for", "github-push"}
	p, stderr, code := dryRun(t, rev, push...)
	if code != 0 {
		t.Fatal(stderr)
	}
	check(t, p, "owner: a@noreply.mozilla.org", "target_tasks_method: nothing", "phase: build", `version: "1.2.3"`, "optimize_target_tasks: true", "  - taskcluster/config.yml")
	p, _, _ = dryRun(t, rev, "--tasks-for", "cron", "--head-tag", "v1", "--optimize-target-tasks=false", "--target-tasks-method", "codereview")
	check(t, p, "target_tasks_method: codereview", "phase: ship", "optimize_target_tasks: false", "head_tag: v1")

	git(t, "notes", "--ref", "refs/notes/decision-parameters", "add", "-m", `{"phase": "noted", "target_tasks_method": "default"}`, rev)
	p, _, _ = dryRun(t, rev, push...)
	check(t, p, "phase: build", "target_tasks_method: nothing") // nobody allowed it
	push = append(push, "--allow-parameter-override")
	p, stderr, _ = dryRun(t, rev, push...)
	check(t, p, "phase: noted", "target_tasks_method: default")
	check(t, stderr, "parameters overridden by the git note refs/notes/decision-parameters: phase, target_tasks_method")
	for text, want := range map[string]string{
		`{"version": 2, "parameters": {"phase": "tried", "level": "1"}}`: "",
		`{"version": 1}`: "try_task_config.json: version 1 is not known; version 2 is",
		`{"version": 2, "parameters": {}, "tasks": []}`: `try_task_config.json: the key "tasks" is not known`,
		`{"version": 2}`: "try_task_config.json: parameters must be an object",
		`{"version": 2, "parameters": {"phse": "x"}}`:      `phse is not a known parameter; is "phase" meant?`,
		`{"version": 2, "parameters": {"phase": 3}}`:       "phase is 3, expected a string",
		`{"version": 2, "parameters": {"pushdate": "now"}`: "try_task_config.json",
	} {
		if err := os.WriteFile("try_task_config.json", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, stderr, code := dryRun(t, rev, push...)
		if want == "" {
			check(t, p, "phase: tried", `level: "1"`, "target_tasks_method: nothing")
		} else if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", text, code, stderr)
		}
	}
}

func TestArtifactsOfADecision(t *testing.T) {
	sets := enterRepository(t, "features")
	rev := commit(t, "all")
	_, stderr, code := dryRun(t, rev, "--tasks-for", "github-push", "--project", sets[0].Params(t).String("project"), "--index", "found.json")
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range []string{"parameters.yml", "actions.json", "full-task-graph.json", "task-graph.json", "label-to-taskid.json", "target-tasks.json",
		"runnable-jobs.json", "optimizations.log", "explain.json", "run-task", "fetch-content"} {
		if info, err := os.Stat(filepath.Join("artifacts", name)); err != nil || info.Size() == 0 {
			t.Errorf("artifact %s: %v", name, err)
		}
	}
	contexts, err := filepath.Glob("docker-contexts/*.tar.gz")
	if err != nil || len(contexts) == 0 {
		t.Errorf("docker contexts %v, %v", contexts, err)
	}
}

func TestImageDigest(t *testing.T) {
	sets := enterRepository(t, "features")
	full := parse(t, must(t, "taskgraph", "full", "-J", "-q", "-p", "params/"+sets[0].Name+".yml"))
	cached := full.Task("docker-image-base").Attributes["cached_task"].(map[string]any)
	if got := must(t, "taskgraph", "image-digest", "base"); got != cached["digest"].(string)+"\n" {
		t.Errorf("%s is not %v", got, cached)
	}
	if _, stderr, code := treeline(t, "taskgraph", "image-digest", "bass"); code != 1 || !strings.Contains(stderr, `there is no image "bass"; is "base" meant?`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// Every way in which a decision cannot begin, each with what to do about it.
func TestFaultsOfADecision(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree)))
	rev := commit(t, "first")
	gone := strings.Repeat("1", 40)
	for _, c := range []struct {
		name string
		args []string
		id   string
		want string
	}{
		{"no id", nil, "", `TASK_ID is "": a decision needs the id of the decision task it runs in`},
		{"an id that is none", nil, "decision", `TASK_ID is "decision"`},
		{"a level that is none", []string{"--level", "4"}, slug.Nice(), `level is "4", expected "1", "2" or "3"`},
		{"a repository of another sort", []string{"--repository-type", "svn"}, slug.Nice(), `repository_type is "svn", expected "git" or "hg"`},
		{"a revision that is an option", []string{"--head-rev", "--all"}, slug.Nice(), `"--all" is no revision`},
		{"a revision that is not here", []string{"--head-rev", gone}, slug.Nice(), gone},
		{"a base that is not here", []string{"--base-rev", gone}, slug.Nice(), "has no commit " + gone + " to compare " + rev + " with: fetch it"},
		{"a time that is none", []string{"--pushdate", "today"}, slug.Nice(), `invalid argument "today" for "--pushdate"`},
		{"a method nobody knows", []string{"--target-tasks-method", "defaults"}, slug.Nice(), `there is no method "defaults"`},
		{"a directory of artifacts that cannot be", []string{"--artifacts", "one.yml"}, slug.Nice(), "artifact parameters.yml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TASK_ID", c.id)
			args := []string{"taskgraph", "decision", "--dry-run", "--project", "mine", "--pushlog-id", "1", "--pushdate", "0", "--owner", "a", "--level", "3",
				"--repository-type", "git", "--base-repository", "https://example.org/r", "--head-repository", ".",
				"--base-rev", strings.Repeat("0", 40), "--head-ref", "refs/heads/main", "--head-rev", rev, "--tasks-for", "git-push"}
			_, stderr, code := treeline(t, append(args, c.args...)...)
			if code != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, %q does not say %q", code, stderr, c.want)
			}
			if c.id != "" && strings.HasPrefix(c.name, "a method") {
				b, err := os.ReadFile("artifacts/decision-errors.json")
				if err != nil || !strings.Contains(string(b), "there is no method") {
					t.Errorf("the artifact says %s, %v", b, err)
				}
			}
		})
	}
}

func TestStrategiesAreTriedOutByTheEnvironment(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree+"-- taskcluster/s.star --\nall = {\"never\": \"always\"}\n-- lazy.yml --\noptimize_strategies: taskcluster/gone.star:all\n")))
	edit(t, "taskcluster/kinds/k/kind.yml", "run-on-projects: [all]", "run-on-projects: [all], optimization: {never: null}")
	if got := must(t, "taskgraph", "optimized"); got != "k-a\n\n" {
		t.Errorf("without: %q", got)
	}
	t.Setenv("TASKGRAPH_OPTIMIZE_STRATEGIES", "taskcluster/s.star:all")
	if got := must(t, "taskgraph", "optimized", "-p", "lazy.yml"); got != "\n\n" {
		t.Errorf("with strategies that leave everything out: %q", got)
	}
	rev := commit(t, "first")
	if p, stderr, code := dryRun(t, rev, "--tasks-for", "git-push"); code != 0 || !strings.Contains(p, `optimize_strategies: taskcluster/s.star:all`) {
		t.Errorf("exit %d, %s\n%s", code, stderr, p)
	}
}
