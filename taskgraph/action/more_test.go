package action_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// earlier is a push whose graph has the tests named only.
func earlier(t testing.TB, decision, revision string, tests ...string) action.Push {
	t.Helper()
	tasks := []*graph.Task{node("build", "build-opt", nil)}
	for _, label := range tests {
		tasks = append(tasks, node("test", label, dict{"retrigger": true}, "build-opt"))
	}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	return action.Push{DecisionTaskID: decision, Parameters: parameters(t, dict{"head_rev": revision}), Full: g, LabelToTaskID: map[string]string{}}
}

func TestBackfill(t *testing.T) {
	files := tree("actions: {backfill: {}}\n")
	r := registry(t, files, parameters(t, nil))
	one, two, none := "Earlier1000000000000AA", "Earlier2000000000000AA", "Earlier3000000000000AA"
	for name, c := range map[string]struct {
		input any
		want  []string // group and label
		log   string
	}{
		"each push in its own group": {dict{}, []string{one + " build-opt", one + " test-opt-2", two + " build-opt", two + " test-opt-1"}, "fed3: has no task test-opt-2"},
		"this push too":              {dict{"inclusive": true}, []string{group + " test-opt-2", one + " build-opt", one + " test-opt-2", two + " build-opt", two + " test-opt-1"}, ""},
		"the build once":             {dict{"times": int64(2)}, []string{one + " build-opt", one + " test-opt-2", one + " test-opt-2", two + " build-opt", two + " test-opt-1", two + " test-opt-1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := call(t, files, "check", c.input)
			in.TaskID, in.Definition["metadata"] = strangeID, dict{"name": "test-opt-2"}
			in.Definition["payload"] = dict{"env": dict{"MOZHARNESS_TEST_PATHS": `{"a": ["b"]}`}}
			in.Earlier = []action.Push{earlier(t, one, "fed1", "test-opt-2"), earlier(t, two, "fed2", "test-opt-1"), earlier(t, none, "fed3")}
			got, err := r.Run(t.Context(), "backfill", in)
			if err != nil {
				t.Fatal(err)
			}
			var made []string
			for _, n := range got.Tasks {
				made = append(made, n.Definition["taskGroupId"].(string)+" "+n.Label)
				th := n.Definition["extra"].(dict)["treeherder"].(dict)
				marked := th["symbol"] == "s-0123456789a-bk" && th["groupSymbol"] == "G-bk" && n.Definition["payload"].(dict)["env"].(dict)["MOZHARNESS_TEST_PATHS"] == `{"a": ["b"]}`
				if marked != strings.HasPrefix(n.Label, "test") {
					t.Errorf("%s: marked is %v: %v", n.Label, marked, n.Definition)
				}
			}
			if diff := cmp.Diff(c.want, made); diff != "" {
				t.Error(diff)
			}
			if log := strings.Join(got.Log, "\n"); !strings.Contains(log, c.log) {
				t.Errorf("the log does not say %q:\n%s", c.log, log)
			}
		})
	}
	t.Run("what ran is left out where asked", func(t *testing.T) {
		in := call(t, files, "test-opt-1", dict{"retrigger": false, "inclusive": true})
		if _, err := r.Run(t.Context(), "backfill", in); err == nil || !strings.Contains(err.Error(), "none of 1 pushes got the task") {
			t.Error(err)
		}
	})
	t.Run("without earlier pushes", func(t *testing.T) {
		if _, err := r.Run(t.Context(), "backfill", call(t, files, "test-opt-1", nil)); err == nil || !strings.Contains(err.Error(), "no decision of an earlier push of mine") {
			t.Error(err)
		}
	})
}

func TestRunMissingTests(t *testing.T) {
	files := tree("actions: {run-missing-tests: {kinds: [test, check]}}\n")
	got, err := registry(t, files, parameters(t, nil)).Run(t.Context(), "run-missing-tests", call(t, files, "", nil))
	if err != nil || !slices.Equal(labels(got), []string{"test-opt-2"}) || got.Log[0] != "of 3 tests selected, 2 exist and 1 are created" {
		t.Error(labels(got), got.Log, err)
	}
}

func TestCreateInteractive(t *testing.T) {
	files := tree("actions: {create-interactive: {scopes: ['secrets:get:']}}\n")
	got, err := registry(t, files, parameters(t, nil)).Run(t.Context(), "create-interactive", call(t, files, "test-opt-1", dict{"notify": "a@b.example"}))
	if err != nil || !slices.Equal(labels(got), []string{"test-opt-1"}) {
		t.Fatal(labels(got), err)
	}
	d := got.Tasks[0].Definition
	want := dict{
		"taskGroupId": actionID, "retries": int64(0), "routes": []any{"notify.email.a@b.example.on-pending"}, "scopes": []any{"secrets:get:x"},
		"created": "2026-03-01T12:00:00.000Z", "deadline": "2026-03-02T00:00:00.000Z", "expires": "2026-03-02T12:00:00.000Z",
		"payload": dict{"maxRunTime": int64(10800), "cache": dict{}, "artifacts": dict{}, "features": dict{"interactive": true},
			"env": dict{"A": "b", "TASKCLUSTER_INTERACTIVE": "true"}},
	}
	for key, v := range want {
		if diff := cmp.Diff(v, d[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	t.Run("of generic-worker", func(t *testing.T) {
		in := call(t, files, "test-opt-1", nil)
		d := in.Push.Full.Task("test-opt-1").Definition
		tool := dict{"directory": "tool", "format": "zip", "content": dict{"url": "u"}}
		d["tags"] = dict{"worker-implementation": "generic-worker", "os": "linux"}
		d["payload"] = dict{"artifacts": []any{dict{"path": "log"}}, "mounts": []any{
			dict{"directory": "cache", "cacheName": "c"}, tool, dict{"directory": "both", "format": "zip", "content": dict{"url": "v"}, "cacheName": "d"},
		}}
		got, err := registry(t, files, parameters(t, nil)).Run(t.Context(), "create-interactive", in)
		if err != nil {
			t.Fatal(err)
		}
		want := dict{
			"maxRunTime": int64(10800), "artifacts": []any{}, "features": dict{"interactive": true}, "env": dict{"TASKCLUSTER_INTERACTIVE": "true"},
			"mounts": []any{tool, dict{"directory": "both", "format": "zip", "content": dict{"url": "v"}}},
		}
		if diff := cmp.Diff(want, got.Tasks[0].Definition["payload"]); diff != "" {
			t.Error(diff)
		}
	})
	if _, err := registry(t, files, parameters(t, nil)).Run(t.Context(), "create-interactive", call(t, files, "test-opt-1", dict{"notify": "nobody"})); err == nil || !strings.Contains(err.Error(), "notify: 'nobody' is not valid email") {
		t.Error(err)
	}
}

const promotionConfig = `actions: {release-promotion: }
release-promotion:
    rebuild-kinds: [check]
    flavors:
        promote: {target-tasks-method: "{project}_promote"}
        ship: {target-tasks-method: ship, rebuild-kinds: [test], do-not-optimize: [build-opt]}
`

func TestReleasePromotion(t *testing.T) {
	files := tree(promotionConfig)
	r := registry(t, files, parameters(t, nil))
	for name, c := range map[string]struct {
		input  dict
		graphs []action.Push
		want   dict
	}{
		"of the push": {dict{"release_promotion_flavor": "promote", "version": "2.0"}, nil, dict{
			"target_tasks_method": "mine_promote", "shipping_phase": "promote", "version": "2.0", "build_number": int64(1), "tasks_for": "action",
			"existing_tasks": dict{"image": "Image0000000000000000A", "build-opt": buildID, "test-opt-1": testID}, "do_not_optimize": []any{}}},
		"of graphs named": {dict{"release_promotion_flavor": "ship", "build_number": int64(3), "previous_graph_ids": []any{"x", "y"}},
			[]action.Push{push(t, dict{"version": "1.5", "owner": "me@example.org"}), {Parameters: parameters(t, nil), Full: full(t), LabelToTaskID: map[string]string{"check": "Newer0000000000000000A"}}},
			dict{"target_tasks_method": "ship", "version": "1.5", "build_number": int64(3), "owner": "me@example.org", "do_not_optimize": []any{"build-opt"},
				"existing_tasks": dict{"image": "Image0000000000000000A", "build-opt": buildID, "check": "Newer0000000000000000A"}}},
		"kinds asked for": {dict{"release_promotion_flavor": "ship", "rebuild_kinds": []any{"build", "image", "test"}}, nil, dict{"existing_tasks": dict{"check": checkID}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := call(t, files, "", c.input)
			in.Graphs = c.graphs
			got, err := r.Run(t.Context(), "release-promotion", in)
			if err != nil || got.Decide == nil || len(got.Tasks) > 0 {
				t.Fatal(got.Log, err)
			}
			for key, v := range c.want {
				if diff := cmp.Diff(v, got.Decide.Get(key)); diff != "" {
					t.Errorf("%s: %s", key, diff)
				}
			}
		})
	}
	t.Run("a flavor that is none", func(t *testing.T) {
		_, err := r.Run(t.Context(), "release-promotion", call(t, files, "", dict{"release_promotion_flavor": "sink"}))
		if err == nil || !strings.Contains(err.Error(), "must be one of promote, ship") {
			t.Error(err)
		}
	})
}

func TestScopesOfActionTasks(t *testing.T) {
	const root = "https://ci.example.org"
	for name, c := range map[string]struct {
		params dict
		want   string
	}{
		"the head's":              {nil, "assume:repo:github.com/me/mine:action:generic"},
		"of a pull request":       {dict{"tasks_for": "github-pull-request"}, "assume:repo:github.com/us/mine:pr-action:generic"},
		"of an untrusted one":     {dict{"tasks_for": "github-pull-request-untrusted"}, "assume:repo:github.com/us/mine:pr-action:generic"},
		"over ssh":                {dict{"head_repository": "git@github.com:me/mine.git"}, "assume:repo:github.com/me/mine:action:generic"},
		"Mercurial":               {dict{"head_repository": "https://hg.mozilla.org/projects/x/"}, "assume:repo:hg.mozilla.org/projects/x:action:generic"},
		"that the server has":     {dict{"head_repository": root + "/git/pebble"}, "assume:repo:local/pebble:action:generic"},
		"like it, but of another": {dict{"head_repository": "https://else.example.org/git/pebble"}, "assume:repo:else.example.org/git/pebble:action:generic"},
	} {
		t.Run(name, func(t *testing.T) {
			p := parameters(t, c.params)
			r := action.Builtin()
			if err := r.CheckScope("rerun", p, root, []string{"x", c.want}); err != nil {
				t.Error(err)
			}
			for _, held := range [][]string{nil, {"assume:*"}, {"*"}, {c.want + "*"}, {strings.Replace(c.want, "generic", "other", 1)}} {
				if err := r.CheckScope("rerun", p, root, held); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("with %v: %v", held, err)
				}
			}
			if err := r.CheckScope("nope", p, root, []string{c.want}); err == nil {
				t.Error("an unknown action is let through")
			}
		})
	}
}
