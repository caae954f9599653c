package optimize_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// parse reads lines "label: dependency? …; strategy", where a question mark makes the dependency
// an if-dependency too and the strategy is "skip" or "keep".
func parse(t testing.TB, text string) *graph.Graph {
	t.Helper()
	var tasks []*graph.Task
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		head, strategy, _ := strings.Cut(line, ";")
		label, deps, _ := strings.Cut(head, ":")
		task := &graph.Task{Label: strings.TrimSpace(label), Kind: "k", Dependencies: map[string]string{}, Definition: map[string]any{}}
		for _, d := range strings.Fields(deps) {
			name, conditional := strings.CutSuffix(d, "?")
			task.Dependencies[name] = name
			if conditional {
				task.IfDependencies = append(task.IfDependencies, name)
			}
		}
		if strings.TrimSpace(strategy) == "skip" {
			task.Optimization = map[string]any{"always": nil}
		}
		tasks = append(tasks, task)
	}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func loose(t testing.TB, over map[string]any) *params.Parameters {
	t.Helper()
	p, err := params.FromMap(over, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// input asks for all tasks of g.
func input(t testing.TB, g *graph.Graph, over map[string]any) optimize.Input {
	return optimize.Input{Target: g, Requested: g.Keys(), Targets: g.Keys(), Params: loose(t, over), NewID: func(l string) string { return "id-" + l }}
}

func labels(g *graph.Graph) string {
	var out []string
	for _, t := range g.All() {
		out = append(out, t.Label)
	}
	return strings.Join(out, " ")
}

func TestRemoval(t *testing.T) {
	for name, c := range map[string]struct {
		graph, want string
		requested   []string
		dno         []any
	}{
		"a chain nobody wants goes":                       {"a:;skip\nb: a;skip\nc: b;skip", "", nil, nil},
		"a kept task keeps its chain":                     {"a:;skip\nb: a;skip\nc: b;keep", "a b c", nil, nil},
		"do_not_optimize keeps its chain":                 {"a:;skip\nb: a;skip\nc: b;skip", "a b", nil, []any{"b"}},
		"what was only a dependency goes":                 {"a:\nb: a;skip", "", []string{"b"}, nil},
		"an if-task goes with its reason":                 {"a:;skip\nb: a?", "", nil, nil},
		"an if-task stays with its reason":                {"a:\nb: a?", "a b", nil, nil},
		"one of two reasons is enough":                    {"a:;skip\nb:\nc: a? b?", "a b c", nil, nil},
		"nested reasons, field issue 711":                 {"a:;skip\npa: a?\nb:\nfinal: pa? b?", "a b final pa", nil, nil},
		"nested reasons all go":                           {"a:;skip\npa: a?\nb:;skip\nfinal: pa? b?", "", nil, nil},
		"a triangle holds itself up":                      {"top:;skip\nmid: top?\nend: top mid?", "end mid top", nil, nil},
		"an open task that is only needed stays":          {"y:;skip\nx: y;skip\nu:\nd: x? u?", "d u x y", nil, nil},
		"a reason kept late keeps those who came earlier": {"u:\nt:;skip\nd: t?\ne: t? u?", "d e t u", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, parse(t, c.graph), map[string]any{"do_not_optimize": c.dno})
			if c.dno == nil {
				in.Params = loose(t, nil)
			}
			if c.requested != nil {
				in.Requested = c.requested
			}
			res, err := optimize.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if got := labels(res.Graph); got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
		})
	}
}

func TestStrategies(t *testing.T) {
	files := fstest.MapFS{"s.star": {Data: []byte("def f(task, params, arg):\n    return 'because ' + arg if arg else False\nTABLE = {'mine': f, 'old': 'always'}\n")}}
	far := time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		optimization map[string]any
		params       map[string]any
		want         string // outcome of the last decision and its reason
	}{
		"none":                       {nil, nil, "kept: wanted"},
		"never":                      {map[string]any{"never": nil}, nil, "kept: wanted"},
		"always":                     {map[string]any{"always": nil}, nil, "removed: always"},
		"a changed file matches":     {map[string]any{"skip-unless-changed": []any{"x", "src/**"}}, nil, "kept: changed file src/a.py matches src/**"},
		"no changed file matches":    {map[string]any{"skip-unless-changed": []any{"x"}}, nil, "removed: none of 1 changed files"},
		"nothing was pushed":         {map[string]any{"skip-unless-changed": []any{"x"}}, map[string]any{"base_rev": "r", "head_rev": "r"}, "kept: base_rev and head_rev"},
		"index finds the second":     {map[string]any{"index-search": []any{"failed", "ok"}}, nil, "replaced: found at ok"},
		"index finds only failed":    {map[string]any{"index-search": []any{"failed", "none"}}, nil, "kept: failed: task F is failed; none: no task"},
		"any of two":                 {map[string]any{"any": []any{map[string]any{"skip-unless-changed": []any{"src"}}, map[string]any{"always": nil}}}, nil, "removed: always"},
		"any with the index":         {map[string]any{"any": []any{map[string]any{"skip-unless-changed": []any{"src"}}, map[string]any{"index-search": []any{"ok"}}}}, nil, "replaced: found at ok"},
		"all of two":                 {map[string]any{"all": []any{map[string]any{"always": nil}, map[string]any{"skip-unless-changed": []any{"src"}}}}, nil, "kept: changed file"},
		"not":                        {map[string]any{"not": map[string]any{"skip-unless-changed": []any{"src"}}}, nil, "removed: not: changed file"},
		"nested":                     {map[string]any{"all": []any{map[string]any{"not": map[string]any{"any": []any{map[string]any{"never": nil}}}}}}, nil, "removed: not: wanted"},
		"Starlark removes":           {map[string]any{"s.star:f": "so"}, nil, "removed: because so"},
		"Starlark keeps":             {map[string]any{"s.star:f": ""}, nil, "kept: s.star:f says so"},
		"a strategy of the table":    {map[string]any{"mine": "so"}, map[string]any{"optimize_strategies": "s.star:TABLE"}, "removed: because so"},
		"an alias of the table":      {map[string]any{"old": nil}, map[string]any{"optimize_strategies": "s.star:TABLE"}, "removed: always"},
		"existing":                   {nil, map[string]any{"existing_tasks": map[string]any{"a": "E"}}, "replaced: listed in existing_tasks"},
		"existing, not optimizable":  {map[string]any{"index-search": []any{"ok"}}, map[string]any{"existing_tasks": map[string]any{"a": "E"}, "do_not_optimize": []any{"a"}}, "kept: listed in do_not_optimize"},
		"target kept":                {map[string]any{"always": nil}, map[string]any{"optimize_target_tasks": false}, "kept: a target"},
		"no tests":                   {map[string]any{"skip-unless-has-relevant-tests": nil}, nil, "removed: has no tests"},
		"relevant tests are touched": {map[string]any{"skip-unless-has-relevant-tests": "tests"}, nil, "kept: test src/t.ini stands below"},
	} {
		t.Run(name, func(t *testing.T) {
			over := map[string]any{"files_changed": []any{"src/a.py"}}
			for k, v := range c.params {
				over[k] = v
			}
			task := &graph.Task{Label: "a", Kind: "k", Optimization: c.optimization, Attributes: map[string]any{}}
			if c.optimization["skip-unless-has-relevant-tests"] == "tests" {
				task.Attributes["test_manifests"] = []any{"other/x.ini", "src/t.ini"}
			}
			g, err := graph.FromTasks([]*graph.Task{task})
			if err != nil {
				t.Fatal(err)
			}
			var log explain.Log
			in := input(t, g, over)
			in.Log, in.Star = &log, star.NewFiles(files, star.Options{})
			in.Index = func(_ context.Context, paths []string) (map[string]optimize.Found, error) {
				return map[string]optimize.Found{"ok": {TaskID: "O", State: "completed", Expires: far}, "failed": {TaskID: "F", State: "failed", Expires: far}}, nil
			}
			if _, err := optimize.Run(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			last := log.Optimizations[len(log.Optimizations)-1]
			if got := last.Outcome + ": " + last.Reason; !strings.HasPrefix(got, c.want) {
				t.Errorf("recorded %q, want %q", got, c.want)
			}
		})
	}
}

func TestFaultsNameTheTask(t *testing.T) {
	ref := func(v any) *graph.Task {
		return &graph.Task{Label: "a", Definition: map[string]any{"payload": []any{v}}}
	}
	for name, c := range map[string]struct {
		task *graph.Task
		want string
	}{
		"unknown strategy":   {&graph.Task{Optimization: map[string]any{"skip-unless-change": nil}}, `task a: optimization: there is no strategy "skip-unless-change"; is "skip-unless-changed" meant?`},
		"argument":           {&graph.Task{Optimization: map[string]any{"skip-unless-changed": int64(1)}}, "wants a list of strings"},
		"composite argument": {&graph.Task{Optimization: map[string]any{"any": []any{"x"}}}, "expected one {strategy: argument}"},
		"nesting":            {&graph.Task{Optimization: nested(30)}, "nested more than"},
		"unknown reference":  {ref(map[string]any{"task-reference": "<b>"}), "task a: <b> refers to no dependency"},
		"own artifact":       {ref(map[string]any{"artifact-reference": "<self/public/x>"}), "artifacts of its own"},
		"odd reference":      {ref(map[string]any{"task-reference": int64(1)}), "must be a string or a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			c.task.Label = "a"
			g, err := graph.FromTasks([]*graph.Task{c.task})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := optimize.Run(t.Context(), input(t, g, nil)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

func nested(n int) map[string]any {
	m := map[string]any{"always": nil}
	for range n {
		m = map[string]any{"not": m}
	}
	return m
}

func TestReferencesAndDependencies(t *testing.T) {
	def := map[string]any{"payload": map[string]any{
		"text": map[string]any{"task-reference": "<<>x> <self> <decision> <dep>"},
		"map":  map[string]any{"task-reference": map[string]any{"cache-<dep>": map[string]any{"task-reference": "<self>"}}},
		"two":  map[string]any{"task-reference": "<dep>", "other": "<x>"},
		"url":  map[string]any{"artifact-reference": "<dep/public/a> <soft/private/b>"},
	}}
	g, err := graph.FromTasks([]*graph.Task{
		{Label: "a", Definition: def, Dependencies: map[string]string{"dep": "b"}, SoftDependencies: []string{"soft", "gone"}},
		{Label: "b"}, {Label: "soft"}, {Label: "gone", Optimization: map[string]any{"always": nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := input(t, g, nil)
	in.RootURL, in.ProxyURL, in.DecisionTaskID = "https://r/", "http://proxy", "D"
	res, err := optimize.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	a := res.Graph.Task("id-a")
	want := map[string]any{"dependencies": []any{"id-b", "id-soft"}, "payload": map[string]any{
		"text": "<x> id-a D id-b",
		"map":  map[string]any{"cache-id-b": "id-a"},
		"two":  map[string]any{"task-reference": "<dep>", "other": "<x>"},
		"url":  "https://r/api/queue/v1/task/id-b/artifacts/public/a http://proxy/api/queue/v1/task/id-soft/artifacts/private/b",
	}}
	if diff := cmp.Diff(want, a.Definition); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"dep": "id-b", "soft": "id-soft"}, a.Dependencies); diff != "" {
		t.Error(diff)
	}
	if _, same := def["payload"].(map[string]any)["text"].(map[string]any); !same || def["dependencies"] != nil {
		t.Error("the given definition was written to")
	}
}
