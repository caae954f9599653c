package action

import (
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// builtin are the actions of taskgraph-map 18.3. Titles and descriptions are those that tools of
// the field show and test for.
func builtin() []Definition {
	clone := "Create a clone of the task."
	return []Definition{
		{Name: "retrigger", Callback: "retrigger-decision", Title: "Retrigger", Symbol: "rt", Order: 11, Permission: "retrigger-decision",
			Description: "Create a clone of the task (retriggering decision, action, and cron tasks requires\nspecial scopes).",
			Context:     []any{tag("kind", "decision-task"), tag("kind", "action-callback"), tag("kind", "cron-task")}, run: retriggerDecision},
		{Name: "retrigger", Callback: "retrigger", Title: "Retrigger", Symbol: "rt", Order: 19, Permission: "generic", Description: clone,
			Context: []any{tag("retrigger", "true")}, Schema: object("downstream", downstream(), "times", times(100)), needs: graphOnly, run: retrigger},
		{Name: "retrigger", Callback: "retrigger-disabled", Title: "Retrigger (disabled)", Symbol: "rt", Order: 20, Permission: "generic",
			Description: clone + "\n\nThis type of task should typically be re-run instead of re-triggered.", Context: anyTask(),
			Schema: object("downstream", downstream(), "times", times(100), "force", map[string]any{"type": "boolean", "default": false,
				"description": "This task should not be re-triggered. This can be overridden by passing `true` here."}),
			needs: graphOnly, run: retrigger},
		{Name: "add-new-jobs", Callback: "add-new-jobs", Title: "Add new jobs", Symbol: "add-new", Order: 100, Permission: "generic",
			Description: "Add new jobs using task labels.", Context: wholeGroup(), Schema: object("tasks", labels(), "times", times(100)),
			needs: graphOnly, run: addNewJobs},
		{Name: "rerun", Callback: "rerun", Title: "Rerun", Symbol: "rr", Order: 300, Permission: "generic",
			Description: "Rerun a task.\n\nThis only works on failed or exception tasks in the original taskgraph, and is CoT friendly.",
			Context:     anyTask(), Schema: object(), needs: graphOnly, run: rerun},
		{Name: "cancel", Callback: "cancel", Title: "Cancel Task", Symbol: "cx", Order: 350, Permission: "generic",
			Description: "Cancel the given task", Context: anyTask(), run: cancel},
		{Name: "cancel-all", Callback: "cancel-all", Title: "Cancel All", Symbol: "cAll", Order: 400, Permission: "generic",
			Description: "Cancel all running and pending tasks created by the decision task this action task is associated with.",
			Context:     wholeGroup(), run: cancelAll},
		{Name: "rebuild-cached-tasks", Callback: "rebuild-cached-tasks", Title: "Rebuild Cached Tasks", Symbol: "rebuild-cached", Order: 1000,
			Permission: "rebuild-cached-tasks", Description: "Rebuild cached tasks.", Context: wholeGroup(), needs: graphOnly, run: rebuildCached},
		{Name: "retrigger-multiple", Callback: "retrigger-multiple", Title: "Retrigger", Symbol: "rt", Order: 10000, Permission: "generic",
			Description: clone, Context: wholeGroup(), Schema: requests(), needs: graphOnly, run: retriggerMultiple},
	}
}

func tag(name, value string) map[string]any { return map[string]any{name: value} }

func anyTask() []any    { return []any{map[string]any{}} }
func wholeGroup() []any { return []any{} }

func graphOnly(map[string]any) Needs { return Needs{Graph: true} }

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

func times(most int64) map[string]any {
	return map[string]any{"type": "integer", "title": "Times", "description": "How many times to run each task.", "default": int64(1),
		"minimum": int64(1), "maximum": most}
}

func labels() map[string]any {
	return map[string]any{"type": "array", "description": "An array of task labels", "items": map[string]any{"type": "string"}}
}

func requests() map[string]any {
	n := times(100)
	delete(n, "default")
	item := object("tasks", labels(), "times", n)
	item["additionalProperties"] = false
	s := object("requests", map[string]any{"type": "array", "items": item})
	value.Map(s, "properties")["additionalProperties"] = false // where the field's own schema has it
	return s
}
