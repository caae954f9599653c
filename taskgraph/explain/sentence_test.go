package explain_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

func TestSentenceAndPlace(t *testing.T) {
	p := explain.Provenance{Kind: "test", File: "taskcluster/kinds/test/kind.yml", Line: 12, Entry: "unit", Places: map[string]string{
		"run-on-projects": "taskcluster/kinds/test/kind.yml:17", "optimization": "taskcluster/kinds/test/kind.yml:14",
	}}
	selected := explain.Selection{Label: "t", Filter: "target_tasks_method: default", Kept: true, Rule: "runs for this project and event"}
	for _, c := range []struct {
		name            string
		log             explain.Log
		sentence, place string
	}{
		{"selected, and no strategy was asked", explain.Log{Selections: []explain.Selection{selected}},
			"It runs because target_tasks_method: default wants it: runs for this project and event.", "taskcluster/kinds/test/kind.yml:12"},
		{"kept by a strategy", explain.Log{Selections: []explain.Selection{selected}, Optimizations: []explain.Optimization{
			{Label: "t", Phase: "remove", Outcome: explain.Kept, Strategy: "skip-unless-changed", Reason: "changed file src/a.c matches src/**"},
		}}, "It runs because target_tasks_method: default wants it: runs for this project and event, and changed file src/a.c matches src/** (skip-unless-changed).",
			"taskcluster/kinds/test/kind.yml:14"},
		{"needed by others", explain.Log{Optimizations: []explain.Optimization{
			{Label: "t", Phase: "remove", Outcome: explain.Kept, Reason: "needed by u"}, {Label: "u", Phase: "remove", Outcome: explain.Kept, Reason: "needed by w"},
			{Label: "w", Phase: "remove", Outcome: explain.Kept, Reason: "wanted"},
		}}, "It runs because u needs it, which in the end w needs.", "taskcluster/kinds/test/kind.yml:12"},
		{"replaced", explain.Log{Optimizations: []explain.Optimization{
			{Label: "t", Phase: "remove", Outcome: explain.Kept, Reason: "wanted"},
			{Label: "t", Phase: "replace", Outcome: explain.Replaced, Strategy: "index-search", TaskID: "T", Reason: "found at td.v1.cached"},
		}}, "Task T stands in for it: found at td.v1.cached (index-search).", "taskcluster/kinds/test/kind.yml:14"},
		{"removed", explain.Log{Optimizations: []explain.Optimization{
			{Label: "t", Phase: "remove", Outcome: explain.Removed, Strategy: "always", Reason: "always left out unless something needs it"},
		}}, "It was left out: always left out unless something needs it (always).", "taskcluster/kinds/test/kind.yml:14"},
		{"not selected", explain.Log{Selections: []explain.Selection{
			{Label: "t", Filter: "target_tasks_method: default", Rule: "run_on_projects does not name the project", Input: "mine not in [main]"},
		}}, "It was not wanted: target_tasks_method: default says that run_on_projects does not name the project (mine not in [main]).", "taskcluster/kinds/test/kind.yml:17"},
		{"added by a morph", explain.Log{Morphs: []explain.Morph{{Label: "t", Morph: "index-task", Change: "writes 12 index routes"}}},
			"It runs because morph index-task added it: writes 12 index routes.", "taskcluster/kinds/test/kind.yml:12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.log.Story("t", p)
			if got := s.Sentence(); got != c.sentence {
				t.Errorf("got %q, want %q", got, c.sentence)
			}
			if got := s.Place(); got != c.place {
				t.Errorf("it stands at %q, want %q", got, c.place)
			}
		})
	}
	t.Run("no kind makes it", func(t *testing.T) {
		log := explain.Log{Drops: []explain.Drop{{Label: "test-unit", Kind: "test", File: "k.yml", Line: 3, Entry: "unit", By: explain.IfCondition, Reason: "level >= 3", Rule: "k.yml:4"}}}
		s := log.Missing("test-unit", nil, []string{"test"})
		if got, want := s.Sentence(), `No kind makes it: k.yml:3 entry "unit" was left out: its condition does not hold: level >= 3 (k.yml:4).`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := s.Place(); got != "k.yml:4" {
			t.Errorf("it stands at %q", got)
		}
	})
}
