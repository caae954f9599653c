package actions_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/importer/actions"
	"github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/templates"
)

const everything = `on:
  push:
  pull_request:
  release: {types: [published]}
  merge_group:
  schedule: [{cron: "0 4 * * 1"}]
concurrency: {group: "x-${{ github.ref }}", cancel-in-progress: true}
jobs:
  a:
    runs-on: ubuntu-latest
    steps: [{run: "true"}]
`

// TestTheDecisionOfEveryEvent: the .taskcluster.yml asks for one decision with the role of what happened.
func TestTheDecisionOfEveryEvent(t *testing.T) {
	r, err := actions.Convert(fstest.MapFS{".github/workflows/all.yml": {Data: []byte(everything)}}, project, actions.Options{})
	if err != nil || !r.Whole() {
		t.Fatal(err, r)
	}
	files := fstest.MapFS{}
	for _, f := range r.Files {
		files[f.Name] = &fstest.MapFile{Data: []byte(f.Content)}
	}
	file, err := templates.Parse(files[".taskcluster.yml"].Data, ".taskcluster.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !file.AutoCancel || !slices.Equal(file.Extras.CancelBranches, []string{"*"}) || file.Policy.PullRequests != "public_restricted" {
		t.Errorf("%+v", file)
	}
	at := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	body := func(more map[string]any) map[string]any {
		e := map[string]any{"repository": map[string]any{"full_name": "acme/app", "html_url": "https://github.com/acme/app"}, "sender": map[string]any{"login": "ann"}}
		for k, v := range more {
			e[k] = v
		}
		return e
	}
	local := map[string]any{
		"push": map[string]any{"owner": "ann@example.com", "branch": "main"}, "ownTaskId": "fN1SbArXTPSVFNUvaOlinQ", "taskId": nil, "input": nil,
		"repository": map[string]any{"url": "https://github.com/acme/app", "level": "3", "role": "repo:github.com/acme/app"},
		"cron":       map[string]any{"job_name": "all", "job_symbol": "all"},
		"action":     map[string]any{"taskGroupId": "fN1SbArXTPSVFNUvaOlinQ", "title": "T", "description": "d", "repo_scope": "assume:repo:github.com/acme/app:action:x", "cb_name": "x", "name": "x", "symbol": ""},
	}
	for tasksFor, c := range map[string]struct {
		event            map[string]any
		scope, scheduler string
	}{
		"github-push":                   {body(map[string]any{"ref": "refs/heads/a/b"}), "branch:a/b", "app-level-3"},
		"github-pull-request":           {body(nil), "pull-request", "app-level-1"},
		"github-pull-request-untrusted": {body(nil), "pull-request-untrusted", "app-level-1"},
		"github-release":                {body(nil), "release:published", "app-level-3"},
		"github-merge-group":            {body(map[string]any{"merge_group": map[string]any{"head_ref": "refs/heads/q/1"}}), "branch:q/1", "app-level-1"},
		"git-push":                      {nil, "branch:main", "app-level-3"},
		"cron":                          {nil, "cron:all", "app-level-3"},
		"action":                        {nil, "action:x", "app-level-3"},
	} {
		e := templates.Event{TasksFor: tasksFor, Event: c.event, RootURL: "https://ci.example.com", Now: at, Seed: "seed"}
		if c.event == nil {
			e.Context = local
		}
		tasks, err := file.Render(e)
		if err != nil || len(tasks) != 1 {
			t.Errorf("%s: %d tasks, %v", tasksFor, len(tasks), err)
			continue
		}
		d := tasks[0].Definition
		if diff := cmp.Diff([]string{"assume:repo:github.com/acme/app:" + c.scope, c.scheduler, "built-in/decision"}, []string{strings.Join(d.Scopes, " "), d.SchedulerID, string(d.TaskQueueID)}); diff != "" {
			t.Errorf("%s: %s", tasksFor, diff)
		}
	}
	for _, other := range []string{"github-issue-comment", "hg-push"} {
		if tasks, err := file.Render(templates.Event{TasksFor: other, Event: body(nil), Now: at, Seed: "seed"}); err != nil || len(tasks) != 0 {
			t.Errorf("%s: %v %v", other, tasks, err)
		}
	}
	jobs, err := cron.Load(files)
	if err != nil || len(jobs.Jobs) != 1 || jobs.Jobs[0].Name != "all" {
		t.Errorf("%+v %v", jobs, err)
	}
}

// TestWhatCannotBeBroughtOver is refused, and the file and line are named.
func TestWhatCannotBeBroughtOver(t *testing.T) {
	for text, want := range map[string]string{
		"on: push\n": "w.yml has no jobs", "[1]": "has no jobs", "a: [": "not YAML", "on: issues\njobs: {a: {}}": "none of the events",
		"on: push\njobs: {a: {uses: x/y/z.yml@v1}}":                                                                                                        ":2: left: calls the workflow x/y/z.yml@v1 of another repository",
		"on: push\njobs: {a: {runs-on: x, steps: [{run: a, iff: b}]}}":                                                                                     `:2: left: the key "iff" of a step`,
		"on: push\njobs:\n  a:\n    uses: ./.github/workflows/w.yml":                                                                                       "more than 4 deep",
		"on: push\njobs: {a: {runs-on: x, steps: [{uses: ./.github/actions/a}]}}":                                                                          "actions use each other more than 10 deep",
		"on: push\njobs: {a: {runs-on: x, strategy: {matrix: {a: \"${{ fromJSON(vars.x) }}\"}}, steps: []}}":                                               "only known when something has run",
		"on: push\njobs: {a: {runs-on: x, strategy: {matrix: {a: [" + strings.Repeat("1,", 30) + "], b: [" + strings.Repeat("1,", 30) + "]}}, steps: []}}": "more than 256 combinations",
	} {
		loop := "runs: {using: composite, steps: [{uses: ./.github/actions/a}]}"
		r, err := actions.Convert(fstest.MapFS{".github/workflows/w.yml": {Data: []byte(text)}, ".github/actions/a/action.yml": {Data: []byte(loop)}}, project, actions.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, m := range r.Remarks {
			all += m.String() + "\n"
		}
		if r.Whole() || !strings.Contains(all, want) {
			t.Errorf("%s:\n%s\nlacks %s", text, all, want)
		}
	}
	for _, o := range []actions.Options{{}, {Workflows: []string{"nope"}}} {
		files := fstest.MapFS{"README.md": {}}
		if o.Workflows != nil {
			files[".github/workflows/w.yml"] = &fstest.MapFile{}
		}
		if _, err := actions.Convert(files, project, o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}
