// Package keyedby resolves values that are chosen by an attribute:
//
//	worker-type:
//	    by-platform:
//	        linux.*: b-linux
//	        default: b-win
//
// The rules are those of taskgraph-map 6: an exact key wins, then keys as regular expressions
// anchored at both ends, then default; the result may be a choice again.
package keyedby

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/regex"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Resolver resolves choices. It remembers the expressions it has compiled and is safe for
// concurrent use; the zero value is ready.
type Resolver struct {
	compiled sync.Map // string → *regex.Regexp or error
}

// Options vary a resolution.
type Options struct {
	// Defer names attributes whose choices stay as they are.
	Defer []string
	// AllowSeveral takes the first (in sorted order) of several matching keys instead of
	// failing.
	AllowSeveral bool
	// Missing, if set, is told of attributes that do not exist, when a choice takes its default
	// for that: their names are misspelt more often than not.
	Missing func(attribute string)
}

// maxNesting bounds choices inside choices.
const maxNesting = 100

// Evaluate resolves v with attributes until it is no choice any more. What v is ("`worker-type`
// in `build`") stands in errors. A v that is no choice is returned as it is.
func (r *Resolver) Evaluate(v any, what string, attributes value.Names, o Options) (any, error) {
	for range maxNesting {
		attribute, arms, ok := value.IsKeyedBy(v)
		if !ok || slices.Contains(o.Defer, attribute) {
			return v, nil
		}
		alternatives, ok := arms.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: by-%s must hold a mapping of values to alternatives, not %s", what, attribute, value.Kind(arms))
		}
		next, err := r.choose(attribute, alternatives, what, attributes, o)
		if err != nil {
			return nil, err
		}
		v = next
	}
	return nil, fmt.Errorf("%s: choices are nested deeper than %d levels", what, maxNesting)
}

func (r *Resolver) choose(attribute string, alternatives map[string]any, what string, attributes value.Names, o Options) (any, error) {
	fallback, hasDefault := alternatives["default"]
	if hasDefault && len(alternatives) == 1 {
		return nil, fmt.Errorf("%s: by-%s is unnecessary with only the value \"default\"; write the value itself", what, attribute)
	}
	v, there := attributes.Lookup(attribute)
	if v == nil {
		if hasDefault {
			if !there && o.Missing != nil {
				o.Missing(attribute)
			}
			return fallback, nil
		}
		return nil, fmt.Errorf("%s: there is no attribute %q here and by-%s has no \"default\"", what, attribute, attribute)
	}
	key, ok := keyOf(v)
	if !ok {
		return nil, fmt.Errorf("%s: by-%s cannot choose by %s", what, attribute, value.Kind(v))
	}
	matches, err := r.Match(alternatives, key)
	if err != nil {
		return nil, fmt.Errorf("%s: by-%s: %w", what, attribute, err)
	}
	if len(matches) > 1 && !o.AllowSeveral {
		return nil, fmt.Errorf("%s: several keys of by-%s match %q: %s", what, attribute, key, strings.Join(matches, ", "))
	}
	if len(matches) == 0 {
		return nil, fmt.Errorf("%s: by-%s has neither a key that matches %q nor \"default\"%s", what, attribute, key, hint(key, alternatives))
	}
	return alternatives[matches[0]], nil
}

func hint(key string, alternatives map[string]any) string {
	if near := graph.Nearest(key, slices.Sorted(maps.Keys(alternatives))); near != "" {
		return fmt.Sprintf("; is %q meant?", near)
	}
	return ""
}

// keyOf is a scalar as the text of a key.
func keyOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return value.Text(v), true
	}
	return "", false
}

// Match returns the keys of alternatives that fit target: the equal one; else all that match as
// regular expressions, sorted; else "default" if it is there.
func (r *Resolver) Match(alternatives map[string]any, target string) ([]string, error) {
	if _, ok := alternatives[target]; ok {
		return []string{target}, nil
	}
	var matches []string
	for key := range alternatives {
		if isLiteral(key) { // equal keys were seen above
			if key+"\n" == target {
				matches = append(matches, key)
			}
			continue
		}
		ok, err := r.MatchWhole(key, target)
		if err != nil {
			return nil, err
		}
		if ok {
			matches = append(matches, key)
		}
	}
	if len(matches) == 0 {
		if _, ok := alternatives["default"]; ok {
			return []string{"default"}, nil
		}
	}
	slices.Sort(matches)
	return matches, nil
}

func isLiteral(key string) bool { return !strings.ContainsAny(key, `\.+*?()|[]{}^$`) }

// MatchWhole reports whether the expression fits target from its start, with a "$" put behind it
// as the field does: in "a|b" only the last alternative is anchored at the end, and a line feed
// may follow the end.
func (r *Resolver) MatchWhole(expression, target string) (bool, error) {
	return r.match(expression+"$", expression, target)
}

// MatchStart reports whether the expression fits the start of target.
func (r *Resolver) MatchStart(expression, target string) (bool, error) {
	return r.match(expression, expression, target)
}

func (r *Resolver) match(anchored, expression, target string) (bool, error) {
	re, err := r.compile(anchored)
	if err != nil {
		return false, fmt.Errorf("%q is no regular expression: %w", expression, err)
	}
	ok, err := re.MatchStart(target)
	if err != nil {
		return false, fmt.Errorf("the regular expression %q on %q: %w", expression, target, err)
	}
	return ok, nil
}

func (r *Resolver) compile(expression string) (*regex.Regexp, error) {
	if v, ok := r.compiled.Load(expression); ok {
		if re, ok := v.(*regex.Regexp); ok {
			return re, nil
		}
		return nil, v.(error)
	}
	re, err := regex.Compile(expression)
	if err != nil {
		r.compiled.Store(expression, err)
		return nil, err
	}
	r.compiled.Store(expression, re)
	return re, nil
}
