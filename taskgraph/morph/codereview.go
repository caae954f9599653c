package morph

import (
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// addCodeReviewTask adds the task that tells the review bot that analysis has ended.
func (m *morpher) addCodeReviewTask() {
	review, _ := m.Params.Get("code-review").(map[string]any)
	target := value.String(review, "phabricator-build-target")
	if target == "" {
		return
	}
	deps := map[string]string{}
	var ids []string
	for _, t := range m.byLabel() {
		if value.Truthy(t.Attribute("code-review")) {
			deps[t.Label] = t.TaskID
			ids = append(ids, t.TaskID)
		}
	}
	if len(deps) == 0 {
		return
	}
	slices.Sort(ids)
	const name = "code-review"
	task := &graph.Task{
		Kind: "misc", Label: name, Attributes: map[string]any{"kind": "misc"}, Dependencies: deps,
		Provenance: explain.Provenance{Kind: "misc"}.With(explain.Step{Transform: "morph add_code_review_task"}),
		Definition: map[string]any{
			"provisionerId": "built-in", "workerType": "succeed",
			"dependencies": value.Anys(ids),
			"requires":     "all-resolved", // failures are what the bot wants to hear of
			"created":      map[string]any{"relative-datestamp": "0 seconds"},
			"deadline":     map[string]any{"relative-datestamp": "1 day"},
			"expires":      map[string]any{"relative-datestamp": "1 day"},
			"metadata": map[string]any{
				"name": name, "description": "List all issues found in static analysis and linting tasks", // as the review bot knows it
				"owner": m.Params.String("owner"), "source": "https://github.com/taskcluster/taskgraph/raw-file/default/src/taskgraph/morph.py",
			},
			"scopes": []any{}, "payload": map[string]any{},
			"routes": []any{"project.relman.codereview.v1.try_ending"},
			"extra": map[string]any{"code-review": map[string]any{
				"phabricator-build-target": target,
				"repository":               m.Params.String("head_repository"), "revision": m.Params.String("head_rev"),
			}},
		},
	}
	if err := m.add(task); err != nil {
		return // a task of the tree has the label: it is the tree's own way of doing this
	}
	m.Log.Morphed(explain.Morph{Label: name, Morph: "add_code_review_task", Change: "made to end after all tasks with the attribute code-review"})
}
