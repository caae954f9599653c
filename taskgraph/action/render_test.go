package action_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// listing renders actions.json and reads it again, as somebody does who starts an action.
func listing(t testing.TB, more string, over dict) *action.Listing {
	t.Helper()
	yml, err := os.ReadFile("testdata/taskcluster.yml")
	if err != nil {
		t.Fatal(err)
	}
	p := parameters(t, over)
	rendered, err := registry(t, tree(more), p).Render(action.Rendering{Params: p, TrustDomain: "td", TaskclusterYML: yml, DecisionTaskID: group})
	if err != nil {
		t.Fatal(err)
	}
	b, err := graph.AppendJSON(nil, rendered)
	if err != nil {
		t.Fatal(err)
	}
	l, err := action.ParseListing(b)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAnActionOfKindTaskCreatesTheActionTask(t *testing.T) {
	l := listing(t, "actions: {kind: task}\n", nil)
	e, err := l.Find("retrigger", map[string]string{"kind": "test"})
	if err != nil || e.Title != "Retrigger (disabled)" || e.Scope() != "" {
		t.Fatal(e.Title, err)
	}
	got, err := l.Render(e, action.Start{TaskGroupID: group, TaskID: testID, Input: dict{"times": 2.0}, OwnTaskID: actionID, Now: now, Definition: dict{}})
	if err != nil {
		t.Fatal(err)
	}
	want := dict{
		"taskGroupId": group, "schedulerId": "td-level-1", "created": "2026-03-01T12:00:00.000Z", "deadline": "2026-03-02T12:00:00.000Z",
		"scopes":   []any{"assume:repo:github.com/me/mine:action:generic"},
		"metadata": dict{"name": "Action: Retrigger (disabled)", "owner": "mozilla-taskcluster-maintenance@mozilla.com"},
		"payload": dict{"env": dict{"ACTION_TASK_GROUP_ID": group, "ACTION_TASK_ID": `"` + testID + `"`, "ACTION_CALLBACK": "retrigger-disabled",
			"ACTION_INPUT": `{"downstream":false,"force":false,"times":2}`}},
		"tags": dict{"kind": "action-callback"}, "extra": dict{"parent": group, "action": dict{"name": "retrigger"}, "own": actionID},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnActionOfKindHookSendsItsPayload(t *testing.T) {
	l := listing(t, "", dict{"tasks_for": "github-pull-request", "base_ref": "main2"})
	e, err := l.Find("add-new-jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Scope(), "in-tree:hook-action:project-td/in-tree-pr-action-1-generic/") || e.Extra.Permission != "generic" {
		t.Error(e.Scope())
	}
	got, err := l.Render(e, action.Start{TaskGroupID: group, Input: dict{"tasks": []any{"a"}}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := dict{"input": dict{"tasks": []any{"a"}, "times": int64(1)}, "taskId": nil, "taskGroupId": group}
	if diff := cmp.Diff(want, got.(dict)["user"]); diff != "" {
		t.Error(diff)
	}
	push := got.(dict)["decision"].(dict)["push"].(dict)
	if push["base_branch"] != "main2" || push["branch"] != "main" {
		t.Error(push)
	}
}

func TestStartingAnActionChecksItsInput(t *testing.T) {
	l := listing(t, "", nil)
	e, err := l.Find("add-new-jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Render(e, action.Start{TaskGroupID: group, Input: dict{"times": 0.0}, Now: now}); err == nil || !strings.Contains(err.Error(), "times: must be 1 or more, not 0") {
		t.Error(err)
	}
	if _, err := l.Find("nope", nil); err == nil || !strings.Contains(err.Error(), "there are add-new-jobs, cancel-all") {
		t.Error(err)
	}
	if _, err := l.Find("rerun", nil); err == nil {
		t.Error("an action on a task is one on the group")
	}
	if _, err := action.ParseListing([]byte(`{"version": 2}`)); err == nil {
		t.Error("version 2 is read")
	}
}

func TestKindTaskNeedsATaskclusterYML(t *testing.T) {
	for _, yml := range []string{"", "version: 1\n", "a: ["} {
		p := parameters(t, nil)
		_, err := registry(t, tree("actions: {kind: task}\n"), p).Render(action.Rendering{Params: p, TrustDomain: "td", TaskclusterYML: []byte(yml)})
		if faults := graph.Errors(err); len(faults) != 1 || faults[0].File != ".taskcluster.yml" {
			t.Errorf("%q: %v", yml, err)
		}
	}
}

// Whatever an actions.json says, starting one of its actions ends with an answer.
func FuzzListing(f *testing.F) {
	p := parameters(f, nil)
	for _, r := range []*action.Registry{action.Builtin(), registry(f, tree("actions: {kind: task}\n"), p)} {
		rendered, err := r.Render(action.Rendering{Params: p, TrustDomain: "td", TaskclusterYML: []byte("tasks: [{payload: {$eval: input}}]")})
		if err != nil {
			f.Fatal(err)
		}
		b, err := json.Marshal(rendered)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte(`{"times": 3, "tasks": ["a"]}`))
	}
	f.Add([]byte(`{"version": 1, "actions": [{"name": "a", "kind": "task", "context": [{}], "schema": {"$ref": "#"}, "task": {"$map": [1], "each(x)": "${x}"}}]}`), []byte(`null`))
	f.Fuzz(func(t *testing.T, src, input []byte) {
		l, err := action.ParseListing(src)
		if err != nil {
			return
		}
		var in any
		if json.Unmarshal(input, &in) != nil {
			return
		}
		for _, e := range l.Actions {
			out, err := l.Render(e, action.Start{TaskGroupID: group, Input: in, Now: now})
			if err == nil && !slices.Contains([]action.Kind{action.Hook, action.Task}, e.Kind) {
				t.Errorf("kind %q gives %v", e.Kind, out)
			}
		}
	})
}
