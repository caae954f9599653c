package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph/diff"
)

const diffTree = `
-- src/main.c --
int main;
-- ci/taskcluster/config.yml --
trust-domain: td
task-priority: low
taskgraph:
    repositories: {mine: {name: Mine}}
workers:
    aliases:
        t: {provisioner: cli, implementation: generic-worker, os: linux, worker-type: test}
-- ci/taskcluster/kinds/k/kind.yml --
loader: taskgraph.loader.transform:loader
transforms:
    - taskgraph.transforms.task:transforms
task-defaults:
    worker-type: t
    worker:
        max-run-time: 600
        command: ['true']
tasks:
    build:
        description: builds
    test:
        description: tests
        dependencies: {build: k-build}
    main-only:
        description: only on main
        run-on-projects: [main]
    docs:
        description: writes documents
        optimization: {skip-unless-changed: ['docs/**']}
`

// replaceIn changes one text in a file.
func replaceIn(t *testing.T, file, old, with string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, with, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// enterRevisions makes a repository of two commits, base and the head, and goes there.
func enterRevisions(t *testing.T) {
	t.Helper()
	enterTree(t, txtar.Parse([]byte(diffTree)))
	commit(t, "first")
	git(t, "tag", "base")
	kind := "ci/taskcluster/kinds/k/kind.yml"
	replaceIn(t, kind, "        description: tests\n", "        description: tests\n        scopes: ['secrets:get:x']\n        worker: {max-run-time: 1200}\n")
	replaceIn(t, kind, "    docs:\n", "    lint:\n        description: looks at style\n    docs:\n")
	git(t, "rm", "-q", "src/main.c")
	commit(t, "second")
}

func TestDiffOfTwoRevisions(t *testing.T) {
	enterRevisions(t)
	for name, text := range map[string]string{
		"main.yml": "project: main\n", "try.yml": "project: try\n", "durations.json": `{"k-build": 120, "k-test": 30}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The work tree holds nothing that could be generated from: trees are read from git's objects.
	replaceIn(t, "ci/taskcluster/kinds/k/kind.yml", "tasks:", "tasks: [")
	before := git(t, "status", "--porcelain")
	got := must(t, "taskgraph", "diff", "base..HEAD", "--root", "ci", "-p", "main.yml", "-p", "try.yml")
	want := `base → HEAD, target-graph

parameters main
1 added, 0 removed, 1 changed
tasks          4 → 5
machine time   40m → 1h0m  (estimated by max-run-time)
critical path  20m → 30m  (k-build, k-test)
! NEW SCOPE secrets:get:x  by k-test
+ k-lint
~ k-test
    task.payload.maxRunTime: 600 → 1200
    + task.scopes[0…]: ["secrets:get:x"]

parameters try
1 added, 0 removed, 1 changed
tasks          3 → 4
machine time   30m → 50m  (estimated by max-run-time)
critical path  20m → 30m  (k-build, k-test)
! NEW SCOPE secrets:get:x  by k-test
+ k-lint
~ k-test
    task.payload.maxRunTime: 600 → 1200
    + task.scopes[0…]: ["secrets:get:x"]
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if after := git(t, "status", "--porcelain"); after != before {
		t.Errorf("the work tree was touched: %s", after)
	}
	var r diff.Report
	js := must(t, "taskgraph", "diff", "base...HEAD", "--root", "ci", "-p", "main.yml", "--durations", "durations.json", "--json")
	var sizes struct {
		Sets []struct {
			Head struct {
				CriticalPathSeconds float64
				Measured            int
			}
		}
	}
	if err := json.Unmarshal([]byte(js), &sizes); err != nil || len(sizes.Sets) != 1 || sizes.Sets[0].Head.Measured != 2 || sizes.Sets[0].Head.CriticalPathSeconds != 600 {
		t.Errorf("%v: %+v of %v", err, sizes, r)
	}
	past := `{"version": 1, "project": "mine", "push": {"number": 3, "time": "2026-01-01T00:00:00Z"}, "pushes": [], "regressions": [],
 "labels": {"k-build": {"runs": 2, "median": 60, "p90": 70}}}`
	if err := os.WriteFile("past.json", []byte(past), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--history", "--durations"} {
		if got := must(t, "taskgraph", "diff", "base..HEAD", "--root", "ci", "-p", "try.yml", flag, "past.json"); !strings.Contains(got, "(estimated 1 tasks from earlier runs, 3 by max-run-time, 0 unknown)") {
			t.Errorf("%s: %s", flag, got)
		}
	}
	if md := must(t, "taskgraph", "diff", "base..HEAD", "--root", "ci", "--markdown"); !strings.HasPrefix(md, "## Task graph: 1 added, 0 removed, 1 changed; 1 scope gained; tasks 3 → 4") {
		t.Error(md)
	}
}

func TestDiffChoosesWhatToCompare(t *testing.T) {
	enterRevisions(t)
	root := []string{"taskgraph", "diff", "--root", "ci"}
	run := func(args ...string) string { return must(t, append(root, args...)...) }
	if got := run("HEAD"); !strings.HasPrefix(got, "HEAD → the work tree, target-graph\nno task differs") {
		t.Error(got)
	}
	if got := run(); !strings.HasPrefix(got, "HEAD → the work tree") { // nothing is published
		t.Error(got)
	}
	replaceIn(t, "ci/taskcluster/kinds/k/kind.yml", "description: builds", "description: builds it")
	if got := run(); !strings.Contains(got, `description: "builds" → "builds it"`) {
		t.Error(got)
	}
	git(t, "update-ref", "refs/remotes/origin/main", "base")
	base := git(t, "rev-parse", "base")[:12]
	if got := run(); !strings.HasPrefix(got, base+" → the work tree") || !strings.Contains(got, "+ k-lint\n") {
		t.Error(got)
	}
	if got := run("..HEAD"); !strings.HasPrefix(got, base+" → HEAD") {
		t.Error(got)
	}
	// The files changed of the parameters are those between the revisions.
	if got := run("base..HEAD", "--stage", "optimized"); !strings.Contains(got, "tasks          2 → 3") {
		t.Error(got)
	}
	// --diff of a stage is the same, for some tasks and without some keys where that is asked.
	if got := must(t, "taskgraph", "full", "--root", "ci", "--diff"); !strings.HasPrefix(got, base+" → the work tree, full\n1 added, 0 removed, 2 changed\n") {
		t.Error(got)
	}
	if got := must(t, "taskgraph", "full", "--root", "ci", "--diff=HEAD", "--tasks", "k-build"); !strings.HasPrefix(got, "HEAD → the work tree, full\n0 added, 0 removed, 1 changed\n") {
		t.Error(got)
	}
	if got := must(t, "taskgraph", "full", "--root", "ci", "--diff=HEAD", "--exclude-key", "description", "--exclude-key", "task.metadata"); !strings.Contains(got, "no task differs") {
		t.Error(got)
	}
	// A revision from before there was a configuration has no tasks.
	git(t, "checkout", "-q", "--orphan", "empty")
	git(t, "rm", "-q", "-r", "-f", "ci")
	if err := os.WriteFile("README", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, "nothing")
	git(t, "tag", "nothing")
	git(t, "checkout", "-q", "-f", "base")
	if got := run("nothing..base"); !strings.Contains(got, "3 added, 0 removed, 0 changed") {
		t.Error(got)
	}
	if _, _, code := treeline(t, append(root, "nothing..base", "--exit-code")...); code != 1 {
		t.Errorf("--exit-code: %d", code)
	}
}

func TestDiffSaysWhatIsWrong(t *testing.T) {
	enterRevisions(t)
	replaceIn(t, "ci/taskcluster/kinds/k/kind.yml", "description: builds", "descriptoin: builds")
	commit(t, "third, with a fault")
	if err := os.WriteFile("bad.json", []byte(`{"a": "b"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown revision": {[]string{"nope..HEAD"}, `there is no revision "nope" here`},
		"an option":        {[]string{"base..-x"}, `"-x" is no revision`},
		"unknown stage":    {[]string{"base..HEAD~1", "--stage", "all"}, "there is no such stage"},
		"durations":        {[]string{"base..HEAD~1", "--durations", "bad.json"}, "neither {label: seconds} nor a history"},
		"a fault":          {[]string{"base..HEAD"}, filepath.ToSlash("taskcluster/kinds/k/kind.yml:11")},
		"whose fault":      {[]string{"base..HEAD"}, "the tree of HEAD has faults"},
	} {
		_, stderr, code := treeline(t, append([]string{"taskgraph", "diff", "--root", "ci"}, c.args...)...)
		if code != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %q does not say %q", name, code, stderr, c.want)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("ci")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if _, stderr, code := treeline(t, "taskgraph", "diff", "base..HEAD"); code != 1 || !strings.Contains(stderr, "is no git checkout") {
		t.Errorf("without git: %d %s", code, stderr)
	}
}
