package action_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/templates/jsone"
)

const hookYML = `version: 1
tasks:
  - $if: tasks_for == "action"
    then:
      taskId: ${ownTaskId}
      taskGroupId: ${action.taskGroupId}
      created: {$fromNow: ""}
      scopes: ["${action.repo_scope}"]
      metadata: {name: "${action.title}", owner: "${push.owner}", source: "${repository.url}"}
      payload: {level: "${repository.level}", perm: "${action.action_perm}", input: {$eval: input}, on: {$eval: taskId}, group: "${taskGroupId}", project: "${repository.project}", root: "${taskcluster_root_url}"}
      extra: {action: {name: mine}, other: 1}
`

func hookFor(urls ...string) action.HookFor {
	h := action.HookFor{TaskclusterYML: []byte(hookYML), Permission: "generic", Level: 3, RootURL: "https://ci.example"}
	for _, u := range urls {
		h.Repositories = append(h.Repositories, action.HookRepository{URL: u, Project: "p" + u[len(u)-1:], Role: "repo:" + u[8:], Type: "git"})
	}
	return h
}

func fire(t *testing.T, h action.HookFor, payload dict) (dict, error) {
	t.Helper()
	template, err := h.Task()
	if err != nil {
		t.Fatal(err)
	}
	var plainTemplate, plainContext any
	for from, to := range map[*any]any{&plainTemplate: template, &plainContext: dict{"payload": payload, "taskId": "own", "firedBy": "triggerHook", "clientId": "me"}} {
		b, err := json.Marshal(to)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, from); err != nil {
			t.Fatal(err)
		}
	}
	out, err := jsone.Render(plainTemplate, plainContext, jsone.Options{Now: time.Unix(0, 0)})
	if err != nil {
		return nil, err
	}
	return jsone.Plain(out).(dict), nil
}

func hookPayload(url, level string) dict {
	return dict{
		"decision": dict{
			"action":     dict{"name": "rerun", "title": "Rerun", "description": "d", "symbol": "rr", "cb_name": "rerun", "taskGroupId": "G", "action_perm": "release-promotion", "repo_scope": "assume:*"},
			"repository": dict{"url": url, "base_url": url, "level": level, "project": "forged", "role": "repo:forged"},
			"push":       dict{"owner": "robot", "revision": "r"},
		},
		"user": dict{"input": dict{"a": 1}, "taskId": "T", "taskGroupId": "G", "by": "github/1|me"},
	}
}

func TestTheTaskOfAHookIsTheServersAndNotThePayloads(t *testing.T) {
	one, two := "https://forge.example/o/1", "https://forge.example/o/2"
	got, err := fire(t, hookFor(one, two), hookPayload(two, "9"))
	if err != nil {
		t.Fatal(err)
	}
	want := dict{
		"taskGroupId": "G", "created": "1970-01-01T00:00:00.000Z", "scopes": []any{"assume:repo:forge.example/o/2:action:generic"},
		"metadata": dict{"name": "Rerun", "owner": "robot", "source": two},
		"payload":  dict{"level": "3", "perm": "generic", "input": dict{"a": 1.0}, "on": "T", "group": "G", "project": "p2", "root": "https://ci.example"},
		"extra":    dict{"other": 1.0, "action": dict{"name": "rerun", "startedBy": dict{"clientId": "me", "by": "github/1|me"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := fire(t, hookFor(one), hookPayload(two, "3")); err == nil {
		t.Error("a hook acts for a repository that it is not for")
	}
	if diff := cmp.Diff([]string{"assume:repo:forge.example/o/1:action:generic"}, hookFor(one).Scopes()); diff != "" {
		t.Error(diff)
	}
	h := hookFor(one)
	h.PullRequest = true
	if diff := cmp.Diff([]string{"assume:repo:forge.example/o/1:pr-action:generic"}, h.Scopes()); diff != "" {
		t.Error(diff)
	}
}

func TestAHookIsForItsPayloadOnly(t *testing.T) {
	h := hookFor("https://forge.example/o/1")
	good := hookPayload("https://forge.example/o/1", "3")
	delete(good["decision"].(dict)["action"].(dict), "action_perm")
	delete(good["decision"].(dict)["action"].(dict), "repo_scope")
	delete(good["decision"].(dict)["repository"].(dict), "role")
	id := "AAAAAAAAAAAAAAAAAAAAAA"
	good["user"].(dict)["taskId"], good["user"].(dict)["taskGroupId"], good["decision"].(dict)["action"].(dict)["taskGroupId"] = id, id, id
	check := func(payload dict) error {
		d := action.Definition{Callback: "hook", Schema: h.TriggerSchema()}
		_, err := d.CheckInput(payload)
		return err
	}
	if err := check(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(p dict){
		"level":      func(p dict) { p["decision"].(dict)["repository"].(dict)["level"] = "1" },
		"repository": func(p dict) { p["decision"].(dict)["repository"].(dict)["base_url"] = "https://forge.example/o/2" },
		"scope":      func(p dict) { p["decision"].(dict)["action"].(dict)["repo_scope"] = "assume:*" },
		"task":       func(p dict) { p["user"].(dict)["taskId"] = "x" },
		"input":      func(p dict) { p["user"].(dict)["input"] = "x" },
		"more":       func(p dict) { p["parameters"] = dict{} },
	} {
		b, _ := json.Marshal(good)
		var bad dict
		if err := json.Unmarshal(b, &bad); err != nil {
			t.Fatal(err)
		}
		change(bad)
		if err := check(bad); err == nil {
			t.Errorf("%s: the schema takes %v", name, bad)
		}
	}
}

func TestAnEntryThatNamesAnotherHookIsRefused(t *testing.T) {
	p := parameters(t, nil)
	rendered, err := registry(t, tree(""), p).Render(action.Rendering{Params: p, TrustDomain: "td", TaskclusterYML: []byte(hookYML)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(rendered)
	if err != nil {
		t.Fatal(err)
	}
	l, err := action.ParseListing(b)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Find("add-new-jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	level := 1
	if _, err := fmt.Sscanf(e.HookID, "in-tree-action-%d-", &level); err != nil {
		t.Fatal(e.HookID, err)
	}
	h := hookFor("https://forge.example/o/1")
	h.Level = level
	if err := h.Check(e); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(e *action.Entry, h *action.HookFor){
		"level": func(e *action.Entry, _ *action.HookFor) {
			e.HookID = strings.Replace(e.HookID, fmt.Sprintf("-%d-", level), "-9-", 1)
		},
		"permission": func(e *action.Entry, _ *action.HookFor) {
			e.HookID = strings.Replace(e.HookID, "generic", "release-promotion", 1)
		},
		"pull request": func(_ *action.Entry, h *action.HookFor) { h.PullRequest = true },
		"text": func(_ *action.Entry, h *action.HookFor) {
			h.TaskclusterYML = append([]byte("# \n"), h.TaskclusterYML...)
		},
		"group":            func(e *action.Entry, _ *action.HookFor) { e.HookGroupID = "secrets" },
		"group with slash": func(e *action.Entry, _ *action.HookFor) { e.HookGroupID = "project-a/b" },
		"odd permission":   func(_ *action.Entry, h *action.HookFor) { h.Permission = "a/*" },
	} {
		e, h := e, h
		change(&e, &h)
		if h.Check(e) == nil {
			t.Errorf("%s: %s/%s is taken", name, e.HookGroupID, e.HookID)
		}
	}
}

func TestSchemasAndInputsAreCheckedInBoundedTime(t *testing.T) {
	definitions := dict{"a0": dict{"type": "integer"}}
	for i := 1; i < 60; i++ {
		before := dict{"$ref": fmt.Sprintf("#/definitions/a%d", i-1)}
		definitions[fmt.Sprintf("a%d", i)] = dict{"allOf": []any{before, before}}
	}
	long := make([]any, 20_000)
	for i := range long {
		long[i] = int64(i)
	}
	for name, c := range map[string]struct {
		schema dict
		input  any
		want   string
	}{
		"each names the one before twice": {dict{"definitions": definitions, "properties": dict{"x": dict{"$ref": "#/definitions/a59"}}}, dict{"x": int64(1)}, "more than 5000 parts"},
		"itself":                          {dict{"properties": dict{"x": dict{"$ref": "#"}}}, dict{"x": dict{}}, "refers to itself"},
		"two in a ring":                   {dict{"definitions": dict{"a": dict{"not": dict{"$ref": "#/definitions/b"}}, "b": dict{"not": dict{"$ref": "#/definitions/a"}}}, "$ref": "#/definitions/a"}, nil, "refers to itself"},
		"elsewhere":                       {dict{"$ref": "https://example.org/schema"}, nil, "only places inside it"},
		"a file":                          {dict{"properties": dict{"x": dict{"$ref": "file:///etc/passwd"}}}, nil, "only places inside it"},
		"a long list":                     {dict{"properties": dict{"x": dict{"uniqueItems": true}}}, dict{"x": long}, "20000 items"},
		"a regular expression":            {dict{"properties": dict{"x": dict{"type": "string", "pattern": "^(a+)+$"}}}, dict{"x": strings.Repeat("a", 100_000) + "!"}, "must match"},
		"a huge repetition":               {dict{"properties": dict{"x": dict{"pattern": "((a{1000}){1000}){1000}"}}}, dict{"x": "a"}, "invalid repeat count"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := action.Definition{Callback: "x", Schema: c.schema}.CheckInput(c.input)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.200v, want %q", err, c.want)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
