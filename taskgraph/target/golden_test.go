package target_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/target"
)

func TestTargetsEqualTheGoldens(t *testing.T) {
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		full, p := s.Graph(t, "full.json"), s.Params(t)
		var log explain.Log
		got, err := target.Select(t.Context(), target.Input{Full: full, Params: p, Log: &log})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.Labels(t, "target.labels"), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("targets: %s", diff)
		}
		if diff := cmp.Diff(s.Labels(t, "target-graph.labels"), target.Graph(full, p, got).Keys(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("target graph: %s", diff)
		}
		if len(log.Selections) != full.Len() {
			t.Errorf("%d answers are recorded for %d tasks", len(log.Selections), full.Len())
		}
	})
}

func one(attributes map[string]any) *graph.Graph {
	g, err := graph.FromTasks([]*graph.Task{{Kind: "k", Label: "a", Attributes: attributes}})
	if err != nil {
		panic(err)
	}
	return g
}

func with(t *testing.T, over map[string]any) *params.Parameters {
	t.Helper()
	base := map[string]any{"project": "x", "tasks_for": "git-push", "repository_type": "git", "head_ref": "refs/heads/main"}
	for k, v := range over {
		base[k] = v
	}
	p, err := params.FromMap(base, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaultMethodSaysWhichRuleDecided(t *testing.T) {
	all := []any{"all"}
	for name, c := range map[string]struct {
		attributes, params map[string]any
		kept               bool
		rule               string
	}{
		"no projects":           {map[string]any{}, nil, false, "run_on_projects"},
		"all projects":          {map[string]any{"run_on_projects": all}, nil, true, "runs for this project"},
		"this project":          {map[string]any{"run_on_projects": []any{"x"}}, nil, true, "runs for"},
		"a choice not resolved": {map[string]any{"run_on_projects": map[string]any{"by-level": nil}}, nil, false, "run_on_projects"},
		"cron":                  {map[string]any{"run_on_projects": all, "cron": true}, nil, false, "cron"},
		"promoted":              {map[string]any{"run_on_projects": all, "shipping_phase": "promote"}, nil, false, "shipping_phase"},
		"another event":         {map[string]any{"run_on_projects": all, "run_on_tasks_for": []any{"cron"}}, nil, false, "run_on_tasks_for"},
		"start of the branch":   {map[string]any{"run_on_projects": all, "run_on_git_branches": []any{"ma"}}, nil, true, "branch"},
		"another branch":        {map[string]any{"run_on_projects": all, "run_on_git_branches": []any{"release.*"}}, nil, false, "run_on_git_branches"},
		"trusted pull request":  {map[string]any{"run_on_projects": all, "run_on_git_branches": []any{"release"}}, map[string]any{"tasks_for": "github-pull-request"}, true, "runs for"},
		"untrusted one":         {map[string]any{"run_on_projects": all, "run_on_git_branches": []any{"release"}}, map[string]any{"tasks_for": "github-pull-request-untrusted"}, false, "run_on_git_branches"},
		"mercurial":             {map[string]any{"run_on_projects": all, "run_on_git_branches": []any{"release"}}, map[string]any{"repository_type": "hg"}, true, "runs for"},
		"code review":           {map[string]any{"run_on_projects": all, "code-review": true}, map[string]any{"target_tasks_method": "codereview"}, true, "runs for"},
		"no code review":        {map[string]any{"run_on_projects": all}, map[string]any{"target_tasks_method": "codereview"}, false, "code-review"},
		"no filters":            {map[string]any{"run_on_projects": all}, map[string]any{"filters": []any{}}, true, "runs for"},
	} {
		t.Run(name, func(t *testing.T) {
			var log explain.Log
			got, err := target.Select(t.Context(), target.Input{Full: one(c.attributes), Params: with(t, c.params), Log: &log})
			if err != nil || (len(got) == 1) != c.kept || len(log.Selections) != 1 {
				t.Fatalf("%v, %v", got, err)
			}
			if s := log.Selections[0]; s.Kept != c.kept || !strings.Contains(s.Rule, c.rule) {
				t.Errorf("recorded %+v, want rule %q", s, c.rule)
			}
		})
	}
}

func TestFaultsNameParameterAndTask(t *testing.T) {
	for name, c := range map[string]struct {
		attributes, params map[string]any
		want               string
	}{
		"unknown method": {nil, map[string]any{"target_tasks_method": "nope"}, `parameter target_tasks_method: there is no method "nope"`},
		"unknown filter": {nil, map[string]any{"filters": []any{"default"}}, `parameter filters: there is no filter "default"`},
		"bad expression": {map[string]any{"run_on_projects": []any{"all"}, "run_on_git_branches": []any{"("}}, nil, `task a: run_on_git_branches: `},
		"no tree":        {nil, map[string]any{"target_tasks_method": "x.star:f"}, "no tree"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := target.Select(t.Context(), target.Input{Full: one(c.attributes), Params: with(t, c.params)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

func TestStarlarkMethodsAndFilters(t *testing.T) {
	tree := fstest.MapFS{"t.star": {Data: []byte("def odd(task, parameters, graph_config):\n    return task['label'] in graph_config['odd']\ndef first(tasks, parameters, graph_config):\n    return tasks.keys()[:1]\ndef fails(task, parameters, graph_config):\n    return task['nope']\n")}}
	var tasks []*graph.Task
	for _, l := range []string{"a", "b", "c", "d"} {
		tasks = append(tasks, &graph.Task{Label: l, Attributes: map[string]any{}})
	}
	full, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	var log explain.Log
	p := with(t, map[string]any{"filters": []any{"target_tasks_method", "t.star:first"}, "target_tasks_method": "t.star:odd"})
	in := target.Input{Full: full, Params: p, GraphConfig: map[string]any{"odd": []any{"b", "c"}}, Star: star.NewFiles(tree, star.Options{}), Log: &log}
	got, err := target.Select(t.Context(), in)
	if err != nil || !cmp.Equal(got, []string{"b"}) {
		t.Errorf("got %v, %v", got, err)
	}
	in.Params = with(t, map[string]any{"target_tasks_method": "t.star:fails"})
	var e *graph.Error
	if _, err := target.Select(t.Context(), in); !errors.As(err, &e) || e.File != "t.star" || e.Line != 6 || e.Label != "a" {
		t.Errorf("error %v", err)
	}
	if len(log.Selections) != 6 {
		t.Errorf("recorded %+v", log.Selections)
	}
}
