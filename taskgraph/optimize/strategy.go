package optimize

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/glob"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Verdict says whether a task can be left out, and why or why not.
type Verdict struct {
	Yes    bool
	Reason string
}

// Replacement names the task that stands in for another; TaskID is "" when none does.
type Replacement struct {
	TaskID string
	Reason string // "" when the strategy never replaces
}

// Strategy decides about single tasks. arg is what the task gives to the strategy.
type Strategy interface {
	// Remove says whether nobody needs t.
	Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error)
	// Replace looks for a task that does what t would do and lives until deadline (zero: no
	// task needs it).
	Replace(ctx context.Context, env *Env, t *graph.Task, arg any, deadline time.Time) (Replacement, error)
}

// Searcher is a Strategy that looks into the index.
type Searcher interface {
	// IndexPaths are the paths it may look at for arg.
	IndexPaths(env *Env, arg any) ([]string, error)
}

// Env is what strategies see besides the task.
type Env struct {
	Params *params.Parameters

	run     *run
	files   []string
	found   map[string]Found
	matched map[string]string // pattern → first changed file it matches, "" for none
	star    map[string]*star.Strategy

	askedPast bool
	past      *history.Table
	covers    map[coverKey]*history.Coverage
}

// FilesChanged are the files of the push.
func (e *Env) FilesChanged() []string { return e.files }

// Found gives the task that the index has at path.
func (e *Env) Found(path string) (Found, bool) { f, ok := e.found[path]; return f, ok }

// Strategy finds a strategy by name.
func (e *Env) Strategy(name string) (Strategy, error) {
	if s, ok := e.run.Strategies[name]; ok {
		return s, nil
	}
	if file, fn, ok := star.SplitName(name); ok {
		if e.run.Star == nil {
			return nil, fmt.Errorf("strategy %s: no tree to load Starlark from", name)
		}
		return starStrategy{name: name, file: file, fn: fn}, nil
	}
	known := slices.Sorted(maps.Keys(e.run.Strategies))
	msg := fmt.Sprintf("there is no strategy %q", name)
	if near := graph.Nearest(name, known); near != "" {
		msg += fmt.Sprintf("; is %q meant?", near)
	}
	return nil, fmt.Errorf("%s (known: %s, FILE.star:FUNCTION)", msg, strings.Join(known, ", "))
}

// Builtin gives the strategies that every tree has, by name.
func Builtin() map[string]Strategy {
	all := pastRules()
	maps.Copy(all, map[string]Strategy{
		"never":                          never{},
		"always":                         always{},
		"skip-unless-changed":            skipUnlessChanged{},
		"index-search":                   indexSearch{},
		"when":                           newWhen(),
		"skip-unless-has-relevant-tests": relevantTests{},
		"any":                            listed{any: true},
		"all":                            listed{},
		"not":                            negated{},
	})
	return all
}

// stays is embedded by strategies that never replace.
type stays struct{}

func (stays) Replace(context.Context, *Env, *graph.Task, any, time.Time) (Replacement, error) {
	return Replacement{}, nil
}

type never struct{ stays }

func (never) Remove(context.Context, *Env, *graph.Task, any) (Verdict, error) {
	return Verdict{Reason: "wanted, and no strategy leaves it out"}, nil
}

type always struct{ stays }

func (always) Remove(context.Context, *Env, *graph.Task, any) (Verdict, error) {
	return Verdict{Yes: true, Reason: "always left out unless something needs it"}, nil
}

type skipUnlessChanged struct{ stays }

func (skipUnlessChanged) Remove(_ context.Context, env *Env, _ *graph.Task, arg any) (Verdict, error) {
	patterns, err := texts("skip-unless-changed", arg)
	if err != nil {
		return Verdict{}, err
	}
	if base := env.Params.String("base_rev"); base != "" && base == env.Params.String("head_rev") {
		return Verdict{Reason: "base_rev and head_rev are the same: nothing was pushed, so files do not count"}, nil
	}
	for _, p := range patterns {
		if file := env.changed(p); file != "" {
			return Verdict{Reason: fmt.Sprintf("changed file %s matches %s", file, p)}, nil
		}
	}
	return Verdict{Yes: true, Reason: fmt.Sprintf("none of %d changed files matches", len(env.files))}, nil
}

// changed is the first changed file that pattern matches, "" without one.
func (e *Env) changed(pattern string) string {
	file, done := e.matched[pattern]
	if !done {
		file = glob.First(pattern, e.files)
		e.matched[pattern] = file
	}
	return file
}

// texts reads an argument that is a list of strings, or one string.
func texts(strategy string, arg any) ([]string, error) {
	if s, ok := arg.(string); ok {
		return []string{s}, nil
	}
	if list, ok := value.Strings(arg); ok {
		return list, nil
	}
	return nil, fmt.Errorf("strategy %s wants a list of strings, got %s", strategy, value.Kind(arg))
}

type indexSearch struct{}

func (indexSearch) Remove(context.Context, *Env, *graph.Task, any) (Verdict, error) {
	return Verdict{Reason: "wanted; the index may replace it"}, nil
}

// IndexPaths implements Searcher.
func (indexSearch) IndexPaths(_ *Env, arg any) ([]string, error) { return texts("index-search", arg) }

func (indexSearch) Replace(_ context.Context, env *Env, _ *graph.Task, arg any, deadline time.Time) (Replacement, error) {
	paths, err := texts("index-search", arg)
	if err != nil {
		return Replacement{}, err
	}
	var why []string
	for _, p := range paths {
		f, ok := env.Found(p)
		switch {
		case !ok:
			why = append(why, p+": no task")
		case f.State == "failed" || f.State == "exception":
			why = append(why, fmt.Sprintf("%s: task %s is %s", p, f.TaskID, f.State))
		case !deadline.IsZero() && f.Expires.Before(deadline):
			why = append(why, fmt.Sprintf("%s: task %s expires %s, before a dependent's deadline", p, f.TaskID, f.Expires.UTC().Format(time.RFC3339)))
		default:
			return Replacement{TaskID: f.TaskID, Reason: "found at " + p}, nil
		}
	}
	const shown = 5
	if len(why) > shown {
		why = append(why[:shown], fmt.Sprintf("and %d more", len(why)-shown))
	}
	return Replacement{Reason: strings.Join(why, "; ")}, nil
}

type relevantTests struct{ stays }

// Remove compares the directories of changed files with the attribute test_manifests, a list of
// paths of tests.
func (relevantTests) Remove(_ context.Context, env *Env, t *graph.Task, _ any) (Verdict, error) {
	tests, _ := value.Strings(t.Attribute("test_manifests"))
	if len(tests) == 0 {
		return Verdict{Yes: true, Reason: "has no tests (attribute test_manifests)"}, nil
	}
	for _, file := range env.files {
		dir := ""
		if i := strings.LastIndexByte(file, '/'); i >= 0 {
			dir = file[:i]
		}
		for _, test := range tests {
			if dir == "" || test == dir || strings.HasPrefix(test, dir+"/") {
				return Verdict{Reason: fmt.Sprintf("test %s stands below changed file %s", test, file)}, nil
			}
		}
	}
	return Verdict{Yes: true, Reason: "no changed file stands beside or above its tests"}, nil
}
