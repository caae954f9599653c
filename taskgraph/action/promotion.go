package action

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// promote is the action release-promotion (taskgraph-map 18.3): a decision of its own for a later
// phase of a release, which uses what earlier phases made.
func (s *settings) promote() Definition {
	list := func(title, description string) map[string]any {
		return map[string]any{"type": "array", "title": title, "description": description, "items": map[string]any{"type": "string"}}
	}
	schema := object(
		"release_promotion_flavor", map[string]any{"type": "string", "title": "Flavor", "description": "Which phase of the release to make.",
			"enum": value.Anys(flavors(s.promotion))},
		"build_number", map[string]any{"type": "integer", "title": "Build number", "default": int64(1), "minimum": int64(1),
			"description": "Which build of this version it is; counts from 1 again for each version."},
		"version", map[string]any{"type": "string", "title": "Version", "description": "The version to be released; without it that of the first graph."},
		"next_version", map[string]any{"type": "string", "title": "Next version", "description": "The version after it, where the phase asks for one."},
		"do_not_optimize", list("Do not optimize", "Labels of tasks that are made anew whatever was made before."),
		"rebuild_kinds", list("Kinds to rebuild", "Kinds whose tasks are not taken from earlier graphs."),
		"previous_graph_ids", list("Earlier graphs", "Decision and action tasks whose tasks may be used, oldest first; without any the decision of the push."),
	)
	schema["required"] = []any{"release_promotion_flavor", "build_number"}
	schema["additionalProperties"] = false
	return Definition{
		Name: "release-promotion", Callback: "release-promotion", Title: "Release Promotion", Symbol: "${input.release_promotion_flavor}",
		Description: "Make the next phase of a release.", Order: 500, Permission: "release-promotion",
		Context: wholeGroup(), Schema: schema, needs: promotionNeeds, run: s.release,
	}
}

func promotionNeeds(input map[string]any) Needs {
	ids, _ := value.Strings(input["previous_graph_ids"])
	return Needs{Graph: len(ids) == 0, Graphs: ids}
}

// release asks for the decision.
func (s *settings) release(_ context.Context, r *run) error {
	flavor := value.String(r.input, "release_promotion_flavor")
	phase := value.Map(value.Map(s.promotion, "flavors"), flavor)
	graphs := r.Graphs
	if len(graphs) == 0 {
		graphs = []Push{r.Push}
	}
	rebuild := s.listed(r, phase, "rebuild_kinds", "rebuild-kinds")
	existing := map[string]any{}
	for _, g := range graphs {
		for label, id := range g.LabelToTaskID {
			if kind, known := kindOf(graphs, label); known && !slices.Contains(rebuild, kind) {
				existing[label] = id
			}
		}
	}
	first := graphs[0].Parameters
	values := first.Map()
	maps.Copy(values, map[string]any{
		"build_number": r.input["build_number"], "do_not_optimize": value.Anys(s.listed(r, phase, "do_not_optimize", "do-not-optimize")),
		"existing_tasks": existing, "optimize_target_tasks": true, "shipping_phase": flavor, "tasks_for": "action",
		"head_rev":            r.Push.Parameters.String("head_rev"),
		"target_tasks_method": strings.ReplaceAll(value.String(phase, "target-tasks-method"), "{project}", first.String("project")),
	})
	for _, key := range []string{"version", "next_version"} {
		if v, has := r.input[key]; has {
			values[key] = v
		}
	}
	p, err := params.FromMap(values, false) // shipping_phase is no parameter that every tree has
	if err != nil {
		return fmt.Errorf("parameters of the decision: %w", err)
	}
	r.effects.Decide = p
	r.say("%s of %s build %v: %d tasks of %d graphs may be used", flavor, p.String("version"), r.input["build_number"], len(existing), len(graphs))
	return nil
}

// listed is a list of the input, or of the flavor, or of the whole configuration.
func (s *settings) listed(r *run, phase map[string]any, input, key string) []string {
	for _, v := range []any{r.input[input], phase[key], s.promotion[key]} {
		if list, ok := value.Strings(v); ok && len(list) > 0 {
			return list
		}
	}
	return nil
}

// kindOf is the kind of a task in the last of the graphs that has it.
func kindOf(graphs []Push, label string) (string, bool) {
	for _, g := range slices.Backward(graphs) {
		if t := g.Full.Task(label); t != nil {
			return t.Kind, true
		}
	}
	return "", false
}
