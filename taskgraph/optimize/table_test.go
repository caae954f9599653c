package optimize_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

const strategies = `
def says(task, params, arg):
    return "says " + arg if arg else False

TABLE = {
    "mine": says,
    "docs": {"skip-unless-changed": ["docs"]},
    "either": {"any": ["skip-unless-changed", "never"]},
    "both": {"all": [{"not": "never"}, {says: "so"}]},
    "parts": {"any": ["skip-unless-changed", says], "split": True},
    "all-parts": {"all": ["skip-unless-changed", says], "split": True},
    "not-mine": {"not": says},
    "test": "either",
    "never": "never-again",
    "never-again": {"skip-unless-changed": [""]},
}
CIRCLE = {"a": "b", "b": {"any": ["never", {"all": ["c"]}]}, "c": {"not": {"a": None}}, "d": "a"}
SELF = {"skip-unless-changed": {"any": ["skip-unless-changed"]}}
TWO = {"a": {"never": 1, "always": 2}}
BARE = {"a": {"any": "never"}}
SPLIT = {"a": {"not": "never", "split": True}}
KIND = {"a": 1}
def inner():
    return lambda task, params, arg: True
HIDDEN = {"a": {"any": [inner()]}}
x = ["never"] * 10
y = [{"any": x}] * 100
z = [{"any": y}] * 150
MANY = {"a": {"any": z}}
DANGLING = {"a": "nobody"}
`

func tableRun(t *testing.T, table string, optimization map[string]any) (explain.Optimization, error) {
	t.Helper()
	g, err := graph.FromTasks([]*graph.Task{{Label: "a", Kind: "k", Optimization: optimization}})
	if err != nil {
		t.Fatal(err)
	}
	var log explain.Log
	in := input(t, g, map[string]any{"files_changed": []any{"src/a.py"}, "optimize_strategies": "s.star:" + table})
	in.Log, in.Star = &log, star.NewFiles(fstest.MapFS{"s.star": {Data: []byte(strategies)}}, star.Options{})
	if _, err := optimize.Run(t.Context(), in); err != nil {
		return explain.Optimization{}, err
	}
	return log.Optimizations[0], nil
}

func TestATableOfStrategiesComposes(t *testing.T) {
	for name, c := range map[string]struct {
		strategy string
		arg      any
		want     string
	}{
		"a function":                        {"mine", "so", "removed: says so"},
		"with an argument of its own":       {"docs", nil, "removed: none of 1 changed files matches"},
		"any gives each the task's":         {"either", []any{"lib"}, "removed: none of 1"},
		"any, none of which":                {"either", []any{"src"}, "kept: changed file src/a.py matches src; changed file src/a.py matches "},
		"all of not and a function":         {"both", nil, "removed: not: changed file src/a.py matches ; says so"},
		"any of parts, the second":          {"parts", []any{[]any{"src"}, "yes"}, "removed: says yes"},
		"any of parts, the first":           {"parts", []any{[]any{"lib"}, ""}, "removed: none of 1"},
		"all of parts":                      {"all-parts", []any{[]any{"lib"}, "yes"}, "removed: none of 1 changed files matches; says yes"},
		"not of a function":                 {"not-mine", "so", "kept: not: says so"},
		"an alias of a composition":         {"test", []any{"lib"}, "removed: none of 1"},
		"one that covers a built-in":        {"never", nil, "kept: changed file src/a.py matches "},
		"a composition within one of YAML":  {"any", []any{map[string]any{"mine": ""}, map[string]any{"docs": nil}}, "removed: none of 1"},
		"built-in ones are still there too": {"always", nil, "removed: always"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := tableRun(t, "TABLE", map[string]any{c.strategy: c.arg})
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Outcome + ": " + o.Reason; !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestFaultsOfATableOfStrategies(t *testing.T) {
	for table, want := range map[string]string{
		"CIRCLE": "strategies stand for each other in a circle: a -> b -> c -> a",
		"SELF":   "in a circle: skip-unless-changed -> skip-unless-changed",
		"TWO":    `TWO["a"]: expected one {strategy: argument}, got 2 keys`,
		"BARE":   `BARE["a"]: expected a list of strategies, got a string`,
		"SPLIT":  `SPLIT["a"]: split is True or False, beside any or all`,
		"KIND":   `KIND["a"]: a strategy is a name, a function or a dict of one of these to its argument, not an integer`,
		"HIDDEN": "is not a function at top level of this file",
		"MANY":   "the table stands for more than 100000 values",
		"NONE":   `there is no dict "NONE" at top level`,
	} {
		t.Run(table, func(t *testing.T) {
			if _, err := tableRun(t, table, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "optimize_strategies") {
				t.Errorf("%v does not say %q", err, want)
			}
		})
	}
	if _, err := tableRun(t, "DANGLING", map[string]any{"a": nil}); err == nil || !strings.Contains(err.Error(), `task a: optimization: there is no strategy "nobody"`) {
		t.Error(err)
	}
	if _, err := tableRun(t, "TABLE", map[string]any{"parts": []any{"one"}}); err == nil || !strings.Contains(err.Error(), "a composite of 2 strategies got 1 arguments") {
		t.Error(err)
	}
}
