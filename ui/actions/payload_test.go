package actions_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// sameAsTheHook renders hookPayload of the decision's actions.json, as any client of it does, triggers the hook with it,
// and compares the action task with one that the pages started: byte for byte, but for what each task has of its own.
func (h *house) sameAsTheHook(t *testing.T, byPage, action, of string) {
	t.Helper()
	made, err := h.root.Task(t.Context(), byPage)
	if err != nil {
		t.Fatal(err)
	}
	target, err := h.root.Task(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	var content strings.Builder
	if _, err := h.root.DownloadArtifact(t.Context(), client.Download{TaskID: h.group, RunID: client.LatestRun, Name: "public/actions.json"}, &content); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Actions []struct {
			Name, Kind, HookGroupID, HookID string
			HookPayload                     json.RawMessage
			Context                         []map[string]string
		}
	}
	if err := json.Unmarshal([]byte(content.String()), &list); err != nil {
		t.Fatal(err)
	}
	for _, a := range list.Actions {
		if a.Name != action || !slices.ContainsFunc(a.Context, func(tags map[string]string) bool { return within(tags, target.Tags) }) {
			continue
		}
		if a.Kind != "hook" {
			t.Fatalf("%s is a %s", action, a.Kind)
		}
		var fired struct{ TaskID string }
		in := h.rendered(t, a.HookPayload, map[string]any{"input": input(t, made), "taskId": of, "taskGroupId": h.group})
		answer := struct {
			Status *struct{ TaskID string }
		}{&fired}
		if err := h.root.Call(t.Context(), "hooks", http.MethodPost, "/hooks/"+a.HookGroupID+"/"+url.PathEscape(a.HookID)+"/trigger", nil, in, &answer); err != nil {
			t.Fatal(err)
		}
		direct, err := h.root.Task(t.Context(), fired.TaskID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bare(t, direct, fired.TaskID), bare(t, made, byPage)); diff != "" {
			t.Errorf("the hook alone makes another task than the page (-hook +page):\n%s", diff)
		}
		return
	}
	t.Fatalf("actions.json has no %s", action)
}

func within(part, whole map[string]string) bool {
	for k, v := range part {
		if whole[k] != v {
			return false
		}
	}
	return true
}

func (h *house) rendered(t *testing.T, template json.RawMessage, context map[string]any) json.RawMessage {
	t.Helper()
	v, err := jsone.DecodeJSON(template)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := jsone.DecodeJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsone.Render(v, vars, jsone.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return jsone.AppendJSON(nil, out)
}

// input is what an action task was started with.
func input(t *testing.T, d task.Definition) any {
	t.Helper()
	var payload struct{ Action struct{ Input any } }
	if err := json.Unmarshal(d.Payload, &payload); err != nil {
		t.Fatalf("%v in %s", err, d.Payload)
	}
	return payload.Action.Input
}

// bare is a definition without its id and times.
func bare(t *testing.T, d task.Definition, id string) string {
	t.Helper()
	d.Created, d.Deadline, d.Expires = task.Time{}, task.Time{}, task.Time{}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), id, "<itself>")
}
