package action

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// Rendering is what actions.json depends on besides the actions.
type Rendering struct {
	Params      *params.Parameters
	TrustDomain string
	// TaskclusterYML is the file .taskcluster.yml: its digest is part of hook ids, and its first
	// task is what an action of kind task creates.
	TaskclusterYML []byte
	DecisionTaskID string // "" means "DECISION-TASK"
	RootURL        string // of the server; tells its own repositories from others
}

// Render gives the content of actions.json: version 1, in the order in which people see it.
func (r *Registry) Render(in Rendering) (map[string]any, error) {
	if in.DecisionTaskID == "" {
		in.DecisionTaskID = "DECISION-TASK"
	}
	list := []any{}
	for _, d := range r.All() {
		if strings.Contains(d.Permission, "/") {
			return nil, fmt.Errorf("action %s: the permission %q holds a slash", d.Callback, d.Permission)
		}
		entry := map[string]any{
			"kind": string(r.kind), "name": d.Name, "title": d.Title, "description": d.Description, "context": d.Context,
			"extra": map[string]any{"actionPerm": d.Permission},
		}
		if d.Schema != nil {
			entry["schema"] = d.Schema
		}
		if err := in.start(entry, r.kind, d); err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return map[string]any{"version": int64(1), "variables": map[string]any{}, "actions": list}, nil
}

// start adds what starts the action (taskgraph-map 18.1).
func (in Rendering) start(entry map[string]any, kind Kind, d Definition) error {
	if kind == Task {
		task, err := in.task(d)
		if err != nil {
			return &graph.Error{File: ".taskcluster.yml", Message: fmt.Sprintf("action %s: %v", d.Callback, err)}
		}
		entry["task"] = task
		return nil
	}
	entry["hookGroupId"] = hookGroup + in.TrustDomain
	entry["hookId"] = hookID(in.Params.IsPullRequest(), in.Params.String("level"), d.Permission, sha256.Sum256(in.TaskclusterYML))
	entry["hookPayload"] = map[string]any{
		"decision": map[string]any{"action": in.action(d), "repository": in.repository(), "push": in.push()},
		"user":     map[string]any{"input": eval("input"), "taskId": eval("taskId"), "taskGroupId": eval("taskGroupId")},
	}
	return nil
}

func eval(name string) map[string]any { return map[string]any{"$eval": name} }

func (in Rendering) action(d Definition) map[string]any {
	return map[string]any{
		"name": d.Name, "title": d.Title, "description": d.Description, "symbol": d.Symbol,
		"cb_name": d.Callback, "taskGroupId": in.DecisionTaskID,
	}
}

func (in Rendering) repository() map[string]any {
	return map[string]any{
		"url": in.Params.String("head_repository"), "base_url": in.Params.String("base_repository"),
		"project": in.Params.String("project"), "level": in.Params.String("level"),
	}
}

// push is the push that actions act for. Its owner is a robot: hooks do not act as people.
func (in Rendering) push() map[string]any {
	p := in.Params
	push := map[string]any{
		"owner": "mozilla-taskcluster-maintenance@mozilla.com", "pushlog_id": p.String("pushlog_id"),
		"revision": p.String("head_rev"), "base_revision": p.String("base_rev"),
	}
	branch, base := p.String("head_ref"), p.String("base_ref")
	if branch != "" {
		push["branch"] = branch
	}
	if base != "" && base != branch {
		push["base_branch"] = base
	}
	return push
}

// task is the template of an action task: the first task of .taskcluster.yml in the context that a
// hook would give it (taskgraph-map 18.6), which leaves input, taskId, taskGroupId and ownTaskId to
// whoever starts the action.
func (in Rendering) task(d Definition) (map[string]any, error) {
	tasks, err := Tasks(in.TaskclusterYML)
	if err != nil {
		return nil, err
	}
	tasksFor := "action"
	if in.Params.IsPullRequest() {
		tasksFor = "pr-action"
	}
	action := in.action(d)
	action["action_perm"] = d.Permission
	action["repo_scope"] = Scope(in.Params, d.Permission, in.RootURL)
	repository := in.repository()
	repository["role"] = RolePrefix(in.Params.String("head_repository"), in.RootURL)
	repository["type"] = in.Params.String("repository_type")
	names := map[string]any{
		"tasks_for": tasksFor, "action": action, "repository": repository, "push": in.push(), "parameters": map[string]any{},
		"input": eval("input"), "taskId": eval("taskId"), "taskGroupId": eval("taskGroupId"), "ownTaskId": eval("ownTaskId"),
	}
	return map[string]any{"$let": names, "in": map[string]any{"$let": map[string]any{"tasks": tasks}, "in": eval("tasks[0]")}}, nil
}

// Tasks is the template under the key tasks of a .taskcluster.yml.
func Tasks(taskclusterYML []byte) (any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(taskclusterYML, &doc); err != nil {
		return nil, err
	}
	if doc.Kind == 0 {
		return nil, errors.New("the file is missing or empty, and action tasks are made of its first task")
	}
	data, err := jsone.DecodeYAML(&doc)
	if err != nil {
		return nil, err
	}
	file, ok := plain(jsone.Plain(data)).(map[string]any)
	if !ok || file["tasks"] == nil {
		return nil, errors.New("the file has no tasks, and action tasks are made of the first of them")
	}
	return file["tasks"], nil
}

// plain turns the numbers of JSON-e's data into those of a graph: whole ones are integers.
func plain(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	}
	return v
}
