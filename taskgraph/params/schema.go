package params

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// rule says what one parameter may hold.
type rule struct {
	want     string // in words, for messages
	ok       func(any) bool
	optional bool // may be absent even in strict parameters
}

func text(x any) bool        { _, ok := x.(string); return ok }
func textOrNull(x any) bool  { return x == nil || text(x) }
func integer(x any) bool     { _, ok := x.(int64); return ok }
func boolean(x any) bool     { _, ok := x.(bool); return ok }
func boolOrTexts(x any) bool { return boolean(x) || texts(x) }

func texts(x any) bool {
	list, ok := x.([]any)
	return ok && !slices.ContainsFunc(list, func(e any) bool { return !text(e) })
}

func textMap(x any) bool {
	m, ok := x.(map[string]any)
	if !ok {
		return false
	}
	for _, v := range m {
		if !text(v) {
			return false
		}
	}
	return true
}

func repositoryType(x any) bool { return x == "git" || x == "hg" }
func level(x any) bool          { return x == "1" || x == "2" || x == "3" }

func codeReview(x any) bool {
	m, ok := x.(map[string]any)
	return ok && len(m) == 1 && text(m["phabricator-build-target"])
}

// tryRules are the parameters that only pushes to try have (taskgraph-map 23.1). A tree may declare them
// itself, with defaults for other pushes.
func tryRules() map[string]rule {
	object := func(x any) bool { _, ok := x.(map[string]any); return ok }
	return map[string]rule{
		"message":         {want: "a string", ok: text, optional: true},
		"try_mode":        {want: "a string or null", ok: textOrNull, optional: true},
		"try_options":     {want: "an object or null", ok: func(x any) bool { return x == nil || object(x) }, optional: true},
		"try_task_config": {want: "an object", ok: object, optional: true},
	}
}

// rules are the core parameters (taskgraph-map 12.1).
func rules() map[string]rule {
	t := rule{want: "a string", ok: text}
	tn := rule{want: "a string or null", ok: textOrNull}
	n := rule{want: "an integer", ok: integer}
	list := rule{want: "a list of strings", ok: texts}
	return map[string]rule{
		"base_repository": t, "base_ref": tn, "base_rev": t,
		"build_date": n, "build_number": n,
		"do_not_optimize":       list,
		"enable_always_target":  {want: "true, false or a list of kinds", ok: boolOrTexts},
		"existing_tasks":        {want: "an object of label to task id", ok: textMap},
		"files_changed":         list,
		"filters":               list,
		"head_ref":              t,
		"head_repository":       t,
		"head_rev":              t,
		"head_tag":              t,
		"level":                 {want: `"1", "2" or "3" (a string: quote it)`, ok: level},
		"moz_build_date":        t,
		"next_version":          tn,
		"optimize_strategies":   tn,
		"optimize_target_tasks": {want: "true or false", ok: boolean},
		"owner":                 t,
		"project":               t,
		"pushdate":              n,
		"pushlog_id":            t,
		"repository_type":       {want: `"git" or "hg"`, ok: repositoryType},
		"target_tasks_method":   t,
		"tasks_for":             t,
		"version":               tn,
		"code-review":           {want: "an object with the one key phabricator-build-target", ok: codeReview, optional: true},
		"target-kinds":          {want: "a list of kinds", ok: texts, optional: true},
	}
}

// problem is what is wrong with one parameter.
type problem struct{ key, text string }

// check lists all problems of v, sorted by key, the unknown ones last. A local set may leave
// repository_type empty: outside a checkout there is none.
func check(v map[string]any, strict bool, own Own) []problem {
	known := own.all()
	var out []problem
	for _, key := range slices.Sorted(maps.Keys(known)) {
		r := known[key]
		x, has := v[key]
		switch {
		case !has && strict && !r.optional:
			out = append(out, problem{key, fmt.Sprintf("%s is missing (expected %s)", key, r.want)})
		case has && !r.ok(x) && (strict || key != "repository_type" || x != ""):
			out = append(out, problem{key, fmt.Sprintf("%s is %s, expected %s", key, show(x), r.want)})
		}
	}
	if !strict {
		return out
	}
	for _, key := range unknown(v, known) {
		out = append(out, problem{key, key + " is not a known parameter" + meant(key, known)})
	}
	return out
}

// unknown are the keys of v that no rule is about, sorted.
func unknown(v map[string]any, known map[string]rule) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if _, ok := known[key]; !ok {
			out = append(out, key)
		}
	}
	return out
}

// meant is a suggestion for a key that is not known.
func meant(key string, known map[string]rule) string {
	if near := graph.Nearest(key, slices.Sorted(maps.Keys(known))); near != "" {
		return fmt.Sprintf("; is %q meant?", near)
	}
	return ""
}

// show writes a value in a message, short.
func show(x any) string {
	s := fmt.Sprintf("%#v", x)
	switch v := x.(type) {
	case nil:
		s = "null"
	case string:
		s = fmt.Sprintf("%q", v)
	case []any, map[string]any, int64, bool, float64:
		s = fmt.Sprint(v)
	}
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
