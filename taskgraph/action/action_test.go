package action_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

type dict = map[string]any

const plainConfig = `trust-domain: td
task-priority: low
workers: {aliases: {}}
taskgraph: {repositories: {mine: {name: mine}}}
`

func load(t testing.TB, tree fstest.MapFS) *config.GraphConfig {
	t.Helper()
	c, err := config.Load(tree, "taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tree has a config.yml with more behind the usual keys, and files: name, content, …
func tree(more string, files ...string) fstest.MapFS {
	out := fstest.MapFS{"taskcluster/config.yml": {Data: []byte(plainConfig + more)}}
	for i := 0; i+1 < len(files); i += 2 {
		out[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return out
}

func parameters(t testing.TB, over dict) *params.Parameters {
	t.Helper()
	base := dict{"project": "mine", "level": "1", "head_rev": "0123456789abcdef", "head_repository": "https://github.com/me/mine",
		"base_repository": "https://github.com/us/mine", "repository_type": "git", "head_ref": "main", "pushlog_id": "7"}
	maps.Copy(base, over)
	p, err := params.FromMap(base, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func registry(t testing.TB, files fstest.MapFS, p *params.Parameters) *action.Registry {
	t.Helper()
	r, err := action.New(t.Context(), action.Tree{Config: load(t, files), Params: p, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// now is when action tasks of the tests were created.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	group     = "Group0000000000000000A"
	actionID  = "Action000000000000000A"
	buildID   = "Build0000000000000000A"
	testID    = "Test00000000000000000A"
	checkID   = "Check0000000000000000A"
	strangeID = "Strange00000000000000A"
)

// node is a task of the graph below.
func node(kind, label string, attributes dict, deps ...string) *graph.Task {
	t := &graph.Task{Kind: kind, Label: label, Attributes: dict{"kind": kind}, Dependencies: map[string]string{}, Definition: dict{
		"metadata": dict{"name": label}, "tags": dict{"kind": kind, "worker-implementation": "docker-worker"}, "payload": dict{"env": dict{"A": "b"}, "maxRunTime": int64(60)},
		"created": dict{"relative-datestamp": "0 seconds"}, "deadline": dict{"relative-datestamp": "1 day"},
		"scopes": []any{"secrets:get:x", "docker-worker:cache:y"}, "routes": []any{"index.x." + label},
		"extra": dict{"treeherder": dict{"symbol": "s", "groupSymbol": "G"}},
	}}
	maps.Copy(t.Attributes, attributes)
	for _, d := range deps {
		t.Dependencies[strings.TrimSuffix(d, "-opt")] = d
	}
	return t
}

// full is image ← build-opt ← test-opt-1, test-opt-2 ← check; of these image, build, test-opt-1 and
// check ran.
func full(t testing.TB) *graph.Graph {
	t.Helper()
	again := dict{"retrigger": true}
	g, err := graph.FromTasks([]*graph.Task{
		node("image", "image", dict{"cached_task": dict{"digest": "x"}}), node("build", "build-opt", nil, "image"),
		node("test", "test-opt-1", again, "build-opt"), node("test", "test-opt-2", again, "build-opt"),
		node("check", "check", nil, "test-opt-1"), node("lint", "lint", again),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func push(t testing.TB, over dict) action.Push {
	return action.Push{DecisionTaskID: group, Parameters: parameters(t, over), Full: full(t), Targets: []string{"build-opt", "check", "test-opt-1", "test-opt-2"},
		LabelToTaskID: map[string]string{"image": "Image0000000000000000A", "build-opt": buildID, "test-opt-1": testID, "check": checkID}}
}

// call is a call on the task of that label, or on the group.
func call(t testing.TB, files fstest.MapFS, label string, input any) action.Call {
	t.Helper()
	c := action.Call{ActionTaskID: actionID, TaskGroupID: group, Input: input, Config: load(t, files), Push: push(t, nil), Now: now}
	if label == "" {
		return c
	}
	c.TaskID = c.Push.LabelToTaskID[label]
	d := maps.Clone(c.Push.Full.Task(label).Definition)
	d["taskGroupId"], d["created"], d["deadline"], d["expires"] = group, "2026-02-01T10:00:00.000Z", "2026-02-02T10:00:00.000Z", "2027-02-01T10:00:00.500Z"
	c.Definition = d
	return c
}

func labels(e action.Effects) []string {
	var out []string
	for _, n := range e.Tasks {
		out = append(out, n.Label)
	}
	return out
}

func artifacts(e action.Effects) []string { return slices.Sorted(maps.Keys(e.Artifacts)) }

func decoded(t testing.TB, e action.Effects, name string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(e.Artifacts[name], &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func TestCallbacksSayWhatTheyWant(t *testing.T) {
	for name, c := range map[string]struct {
		action, label string
		input         any
		create        []string // labels, in order
		rerun, cancel []string
		artifacts     []string
		log           string
	}{
		"retrigger makes the task anew": {"retrigger-disabled", "test-opt-1", dict{"times": 1.0}, []string{"test-opt-1"}, nil, nil,
			[]string{"label-to-taskid.json", "task-graph.json", "to-run.json"}, "retriggered test-opt-1 1 times"},
		"several times": {"retrigger-disabled", "test-opt-1", dict{"times": int64(2)}, []string{"test-opt-1", "test-opt-1"}, nil, nil,
			[]string{"label-to-taskid-0.json", "label-to-taskid-1.json", "label-to-taskid.json", "task-graph-0.json", "task-graph-1.json", "task-graph.json",
				"to-run-0.json", "to-run-1.json", "to-run.json"}, "2 times"},
		"with what depends on it": {"retrigger-disabled", "test-opt-1", dict{"downstream": true}, []string{"test-opt-1", "check"}, nil, nil, nil, "with what depends on it"},
		"by force":                {"retrigger-disabled", "build-opt", dict{"force": true, "downstream": true}, []string{"build-opt", "test-opt-1", "check"}, nil, nil, nil, ""},
		"add-new-jobs makes what is missing once for all times": {"add-new-jobs", "", dict{"tasks": []any{"test-opt-2", "lint"}, "times": int64(2)},
			[]string{"lint", "test-opt-2", "lint", "test-opt-2"}, nil, nil, nil, "added 2 tasks 2 times"},
		"rebuild-cached-tasks": {"rebuild-cached-tasks", "", nil, []string{"image"}, nil, nil, nil, "rebuilt 1"},
		"rerun":                {"rerun", "check", dict{}, nil, []string{checkID}, nil, nil, ""},
		"cancel":               {"cancel", "check", nil, nil, nil, []string{checkID}, nil, ""},
		"retrigger-multiple": {"retrigger-multiple", "", dict{"requests": []any{dict{"tasks": []any{"test-opt-1", "build-opt"}, "times": int64(1)}, dict{"tasks": []any{"lint"}, "times": int64(2)}}},
			[]string{"test-opt-1", "lint", "lint"}, []string{buildID}, nil, nil, "build-opt is not meant to be retriggered"},
	} {
		t.Run(name, func(t *testing.T) {
			files := tree("")
			in := call(t, files, c.label, c.input)
			got, err := registry(t, files, in.Push.Parameters).Run(t.Context(), c.action, in)
			if err != nil {
				t.Fatal(err)
			}
			var rerun, cancel []string
			for _, x := range got.Rerun {
				rerun = append(rerun, x.TaskID)
			}
			for _, x := range got.Cancel {
				cancel = append(cancel, x.TaskID)
			}
			if diff := cmp.Diff([][]string{c.create, c.rerun, c.cancel}, [][]string{labels(got), rerun, cancel}, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if c.artifacts != nil && !slices.Equal(c.artifacts, artifacts(got)) {
				t.Errorf("artifacts %v, want %v", artifacts(got), c.artifacts)
			}
			if log := strings.Join(got.Log, "\n"); !strings.Contains(log, c.log) {
				t.Errorf("the log does not say %q:\n%s", c.log, log)
			}
			again, err := registry(t, files, in.Push.Parameters).Run(t.Context(), c.action, in)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("another run asks for something else: %v %s", err, diff)
			}
			ids := map[string]bool{}
			for _, n := range got.Tasks {
				ids[n.TaskID] = true
			}
			if len(ids) != len(got.Tasks) {
				t.Errorf("%d ids for %d tasks", len(ids), len(got.Tasks))
			}
		})
	}
}

func TestCancelAllCancelsTheGroup(t *testing.T) {
	got, err := action.Builtin().Run(t.Context(), "cancel-all", call(t, tree(""), "", nil))
	if diff := cmp.Diff([]string{group}, got.CancelGroups); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestATaskThatIsCreated(t *testing.T) {
	files := tree("")
	got, err := action.Builtin().Run(t.Context(), "add-new-jobs", call(t, files, "", dict{"tasks": []any{"test-opt-2"}}))
	if err != nil || len(got.Tasks) != 1 {
		t.Fatal(got.Tasks, err)
	}
	made := got.Tasks[0]
	want := dict{"taskGroupId": group, "schedulerId": "td-level-1", "created": "2026-03-01T12:00:00.000Z", "deadline": "2026-03-02T12:00:00.000Z"}
	for key, v := range want {
		if made.Definition[key] != v {
			t.Errorf("%s is %v, want %v", key, made.Definition[key], v)
		}
	}
	// It waits for the action task, for the build that ran, and (none of these being new) for the decision.
	if diff := cmp.Diff([]any{actionID, buildID, group}, made.Definition["dependencies"]); diff != "" {
		t.Error(diff)
	}
	if parent := made.Definition["extra"].(dict)["parent"]; parent != actionID {
		t.Errorf("its parent is %v", parent)
	}
	if made.TaskID != taskgraph.TaskID(actionID, "0\x00test-opt-2") {
		t.Errorf("its id is %s", made.TaskID)
	}
	ran := decoded(t, got, "label-to-taskid.json").(dict)
	if ran["test-opt-2"] != made.TaskID || ran["build-opt"] != buildID {
		t.Errorf("label-to-taskid.json: %v", ran)
	}
	inGraph := decoded(t, got, "task-graph.json").(dict)
	if len(inGraph) != 1 || inGraph[made.TaskID].(dict)["task"].(dict)["created"].(dict)["relative-datestamp"] != "0 seconds" {
		t.Errorf("task-graph.json: %v", inGraph)
	}
	if diff := cmp.Diff([]any{"test-opt-2"}, decoded(t, got, "to-run.json")); diff != "" {
		t.Error(diff)
	}
}

func TestRetriggeringADecisionShiftsItsDates(t *testing.T) {
	c := call(t, tree(""), "check", nil)
	c.Definition["tags"] = dict{"kind": "decision-task"}
	c.Definition["payload"] = dict{"list": []any{"2026-02-01T10:00:00.000Z", "on 2026-02-01T10:00:00.000Z"}}
	got, err := action.Builtin().Run(t.Context(), "retrigger-decision", c)
	if err != nil {
		t.Fatal(err)
	}
	d := got.Tasks[0].Definition
	want := []any{"2026-03-01T12:00:00.000Z", "2026-03-02T12:00:00.000Z", "2027-03-01T12:00:00.500Z", "2026-03-01T12:00:00.000Z", "on 2026-02-01T10:00:00.000Z"}
	list := d["payload"].(dict)["list"].([]any)
	if diff := cmp.Diff(want, []any{d["created"], d["deadline"], d["expires"], list[0], list[1]}); diff != "" {
		t.Error(diff)
	}
	if c.Definition["created"] != "2026-02-01T10:00:00.000Z" {
		t.Error("the definition that was given is changed")
	}
}

func TestWrongCallsSayWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		action, label string
		input         any
		change        func(*action.Call)
		want          string
	}{
		"unknown action":        {"retriger", "check", nil, nil, `there is no action "retriger"; is "retrigger" meant?`},
		"no task":               {"rerun", "", nil, nil, `"Rerun" is an action on a task, and none is given`},
		"tags do not fit":       {"retrigger-decision", "check", nil, nil, `"Retrigger" is not for task ` + checkID},
		"not to be retriggered": {"retrigger-disabled", "check", nil, nil, "check is not meant to be retriggered"},
		"times too many":        {"retrigger-disabled", "check", dict{"times": int64(101)}, nil, "times: must be 100 or less, not 101"},
		"times no number":       {"add-new-jobs", "", dict{"times": "x"}, nil, "times: must be integer, not string"},
		"input not asked for":   {"cancel", "check", dict{"a": true}, nil, "action cancel takes no input, but got a mapping"},
		"input no object":       {"rerun", "check", "x", nil, "must be object, not string"},
		"unknown label":         {"add-new-jobs", "", dict{"tasks": []any{"test-opt-3"}}, nil, `has no task "test-opt-3"; is "test-opt-1" meant?`},
		"no labels":             {"add-new-jobs", "", nil, nil, "the input names no tasks"},
		"a foreign task": {"rerun", "check", nil, func(c *action.Call) {
			c.TaskID, c.Definition["taskGroupId"] = strangeID, strangeID
		}, "does not use it: it is not rerun"},
		"a task that never ran": {"retrigger-multiple", "", dict{"requests": []any{dict{"tasks": []any{"nope"}, "times": int64(1)}}}, nil, "requests[0]: no task nope ran"},
		"an unknown key":        {"retrigger-multiple", "", dict{"requests": []any{dict{"task": []any{}}}}, nil, "additional properties 'task' not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			in := call(t, tree(""), c.label, c.input)
			if c.change != nil {
				c.change(&in)
			}
			got, err := action.Builtin().Run(t.Context(), c.action, in)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestNeedsFollowFromActionAndInput(t *testing.T) {
	files := tree("actions: {backfill: , release-promotion: {}}\nrelease-promotion: {flavors: {ship: {target-tasks-method: ship}}}\n")
	r := registry(t, files, parameters(t, nil))
	for name, c := range map[string]struct {
		action string
		input  any
		want   action.Needs
	}{
		"nothing":           {"cancel", nil, action.Needs{}},
		"the graph":         {"add-new-jobs", nil, action.Needs{Graph: true}},
		"earlier pushes":    {"backfill", nil, action.Needs{Graph: true, Earlier: 19}},
		"as many as asked":  {"backfill", dict{"depth": 3.0}, action.Needs{Graph: true, Earlier: 3}},
		"graphs named":      {"release-promotion", dict{"release_promotion_flavor": "ship", "previous_graph_ids": []any{"a", "b"}}, action.Needs{Graphs: []string{"a", "b"}}},
		"none named":        {"release-promotion", dict{"release_promotion_flavor": "ship"}, action.Needs{Graph: true}},
		"whatever Starlark": {"rerun", nil, action.Needs{Graph: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Needs(c.action, c.input)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestCanceledContextEndsARun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	files := tree("", "taskcluster/actions.star", starActions)
	in := call(t, files, "", dict{"labels": []any{"lint"}})
	if _, err := registry(t, files, in.Push.Parameters).Run(ctx, "pick", in); !errors.Is(err, context.Canceled) {
		t.Errorf("ran to its end: %v", err)
	}
}
