package target

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Named are the methods that config.yml declares as conditions:
//
//	target-tasks:
//	    nightly: task.attributes.nightly == true && project == 'main'
//
// They may be used as target-tasks methods and as filters.
const Named = "target-tasks"

// namedMethod is the method of that name among those of config.yml; ok is false without one.
func (in Input) namedMethod(name string) (m method, ok bool, err error) {
	said, ok := value.Map(in.GraphConfig, Named)[name]
	if !ok {
		return nil, false, nil
	}
	text, isText := said.(string)
	if !isText {
		return nil, true, fmt.Errorf("config.yml: %s.%s: must be a condition, not %s", Named, name, value.Kind(said))
	}
	c, err := cond.Compile(text)
	if err != nil {
		return nil, true, fmt.Errorf("config.yml: %s.%s: %w", Named, name, err)
	}
	scope := cond.NewScope(in.Params)
	return func(t *graph.Task) (verdict, error) {
		holds, err := c.Eval(scope, t.Kind, t.Label, t.JSON())
		if err != nil {
			return verdict{}, fmt.Errorf("%s.%s: %w", Named, name, err)
		}
		if holds {
			return verdict{kept: true, rule: Named + "." + name + " holds", input: text}, nil
		}
		return verdict{rule: Named + "." + name + " does not hold", input: text}, nil
	}, true, nil
}

// methodNames are what a filter, or a target-tasks method, may be called in this tree.
func methodNames(graphConfig map[string]any, builtin ...string) []string {
	out := append(slices.Collect(maps.Keys(value.Map(graphConfig, Named))), builtin...)
	slices.Sort(out)
	return out
}

// CheckNamed refuses methods of config.yml that are no conditions. place tells the line on which one
// stands.
func CheckNamed(graphConfig map[string]any, place func(name string) (file string, line int)) error {
	said, there := graphConfig[Named]
	all, ok := said.(map[string]any)
	var errs []error
	fail := func(name, format string, args ...any) {
		file, line := place(name)
		errs = append(errs, &graph.Error{File: file, Line: line, Message: fmt.Sprintf(format, args...)})
	}
	if there && !ok {
		fail("", "%s: must be a mapping of names to conditions, not %s", Named, value.Kind(said))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, ok := all[name].(string)
		if !ok {
			fail(name, "%s.%s: must be a condition, not %s", Named, name, value.Kind(all[name]))
			continue
		}
		if _, err := cond.Compile(text); err != nil {
			fail(name, "%s.%s: %v", Named, name, err)
		}
	}
	return errors.Join(errs...)
}
