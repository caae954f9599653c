package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// ActionsInput is what actions.json depends on.
type ActionsInput struct {
	Params         *params.Parameters
	TrustDomain    string
	Disabled       []string // callback names (taskgraph.disabled-actions of config.yml)
	TaskclusterYML []byte   // the file .taskcluster.yml; its digest is part of hook ids
	DecisionTaskID string   // "" means "DECISION-TASK"
}

// Action is something people may do with a task or a task group.
type Action struct {
	Name, Title, Symbol, Description string
	Callback                         string // cb_name
	Permission                       string
	Order                            int
	Context                          []any          // sets of tags; none: the whole group
	Schema                           map[string]any // of the input; nil: takes none
}

// Actions gives the content of actions.json: version 1, in the order in which people see it.
func Actions(in ActionsInput) (map[string]any, error) {
	all := Builtin()
	for _, name := range in.Disabled {
		if !slices.ContainsFunc(all, func(a Action) bool { return a.Callback == name }) {
			known := make([]string, len(all))
			for i, a := range all {
				known[i] = a.Callback
			}
			return nil, fmt.Errorf("config.yml: taskgraph.disabled-actions: there is no action %q (known: %s)", name, strings.Join(known, ", "))
		}
	}
	slices.SortStableFunc(all, func(a, b Action) int { return a.Order - b.Order })
	list := []any{}
	for _, a := range all {
		if slices.Contains(in.Disabled, a.Callback) {
			continue
		}
		entry, err := in.entry(a)
		if err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return map[string]any{"version": int64(1), "variables": map[string]any{}, "actions": list}, nil
}

// entry is one action in its wire form (taskgraph-map 18.1).
func (in ActionsInput) entry(a Action) (map[string]any, error) {
	if strings.Contains(a.Permission, "/") {
		return nil, fmt.Errorf("action %s: the permission %q holds a slash", a.Callback, a.Permission)
	}
	group := in.DecisionTaskID
	if group == "" {
		group = "DECISION-TASK"
	}
	kind := "in-tree-action"
	if in.Params.IsPullRequest() {
		kind = "in-tree-pr-action"
	}
	sum := sha256.Sum256(in.TaskclusterYML)
	entry := map[string]any{
		"kind": "hook", "name": a.Name, "title": a.Title, "description": a.Description, "context": a.Context,
		"hookGroupId": "project-" + in.TrustDomain,
		"hookId":      fmt.Sprintf("%s-%s-%s/%s", kind, in.Params.String("level"), a.Permission, hex.EncodeToString(sum[:])[:10]),
		"extra":       map[string]any{"actionPerm": a.Permission},
		"hookPayload": map[string]any{
			"decision": map[string]any{
				"action": map[string]any{
					"name": a.Name, "title": a.Title, "description": a.Description, "symbol": a.Symbol,
					"cb_name": a.Callback, "taskGroupId": group,
				},
				"repository": in.repository(),
				"push":       in.push(),
			},
			"user": map[string]any{
				"input": eval("input"), "taskId": eval("taskId"), "taskGroupId": eval("taskGroupId"),
			},
		},
	}
	if a.Schema != nil {
		entry["schema"] = a.Schema
	}
	return entry, nil
}

func eval(name string) map[string]any { return map[string]any{"$eval": name} }

func (in ActionsInput) repository() map[string]any {
	return map[string]any{
		"url": in.Params.String("head_repository"), "base_url": in.Params.String("base_repository"),
		"project": in.Params.String("project"), "level": in.Params.String("level"),
	}
}

// push is the push that actions act for. Its owner is a robot: hooks do not act as people.
func (in ActionsInput) push() map[string]any {
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

// Builtin are the actions that every tree has (taskgraph-map 18.3). Titles and descriptions are
// those that tools of the field show and test for.
func Builtin() []Action {
	anyTask := []any{map[string]any{}}
	group := []any{}
	clone := "Create a clone of the task."
	return []Action{
		{Name: "retrigger", Callback: "retrigger-decision", Title: "Retrigger", Symbol: "rt", Order: 11, Permission: "retrigger-decision",
			Description: "Create a clone of the task (retriggering decision, action, and cron tasks requires\nspecial scopes).",
			Context:     []any{tag("kind", "decision-task"), tag("kind", "action-callback"), tag("kind", "cron-task")}},
		{Name: "retrigger", Callback: "retrigger", Title: "Retrigger", Symbol: "rt", Order: 19, Permission: "generic", Description: clone,
			Context: []any{tag("retrigger", "true")}, Schema: object("downstream", downstream(), "times", times())},
		{Name: "retrigger", Callback: "retrigger-disabled", Title: "Retrigger (disabled)", Symbol: "rt", Order: 20, Permission: "generic",
			Description: clone + "\n\nThis type of task should typically be re-run instead of re-triggered.", Context: anyTask,
			Schema: object("downstream", downstream(), "times", times(), "force", map[string]any{"type": "boolean", "default": false,
				"description": "This task should not be re-triggered. This can be overridden by passing `true` here."})},
		{Name: "add-new-jobs", Callback: "add-new-jobs", Title: "Add new jobs", Symbol: "add-new", Order: 100, Permission: "generic",
			Description: "Add new jobs using task labels.", Context: group, Schema: object("tasks", labels(), "times", times())},
		{Name: "rerun", Callback: "rerun", Title: "Rerun", Symbol: "rr", Order: 300, Permission: "generic",
			Description: "Rerun a task.\n\nThis only works on failed or exception tasks in the original taskgraph, and is CoT friendly.",
			Context:     anyTask, Schema: object()},
		{Name: "cancel", Callback: "cancel", Title: "Cancel Task", Symbol: "cx", Order: 350, Permission: "generic",
			Description: "Cancel the given task", Context: anyTask},
		{Name: "cancel-all", Callback: "cancel-all", Title: "Cancel All", Symbol: "cAll", Order: 400, Permission: "generic",
			Description: "Cancel all running and pending tasks created by the decision task this action task is associated with.", Context: group},
		{Name: "rebuild-cached-tasks", Callback: "rebuild-cached-tasks", Title: "Rebuild Cached Tasks", Symbol: "rebuild-cached", Order: 1000,
			Permission: "rebuild-cached-tasks", Description: "Rebuild cached tasks.", Context: group},
		{Name: "retrigger-multiple", Callback: "retrigger-multiple", Title: "Retrigger", Symbol: "rt", Order: 10000, Permission: "generic",
			Description: clone, Context: group, Schema: requests()},
	}
}

func tag(name, value string) map[string]any { return map[string]any{name: value} }

// object is the schema of an object with the given properties: name, schema, name, schema, …
func object(pairs ...any) map[string]any {
	properties := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		properties[pairs[i].(string)] = pairs[i+1]
	}
	return map[string]any{"type": "object", "properties": properties}
}

func downstream() map[string]any {
	return map[string]any{"type": "boolean", "default": false,
		"description": "If true, downstream tasks from this one will be cloned as well. The dependencies will be updated to work with the new task at the root."}
}

func times() map[string]any {
	return map[string]any{"type": "integer", "title": "Times", "description": "How many times to run each task.", "default": int64(1),
		"minimum": int64(1), "maximum": int64(100)}
}

func labels() map[string]any {
	return map[string]any{"type": "array", "description": "An array of task labels", "items": map[string]any{"type": "string"}}
}

func requests() map[string]any {
	n := times()
	delete(n, "default")
	item := object("tasks", labels(), "times", n)
	item["additionalProperties"] = false
	s := object("requests", map[string]any{"type": "array", "items": item})
	value.Map(s, "properties")["additionalProperties"] = false // where the field's own schema has it
	return s
}
