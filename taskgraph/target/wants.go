package target

import (
	"regexp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// wants says which parameters would have to be otherwise for the method default to select t; ok is
// false when none would do.
func (in Input) wants(t *graph.Task) (out []explain.Want, ok bool) {
	if phase := t.Attribute("shipping_phase"); truthy(t.Attribute("cron")) || phase != nil && phase != "build" {
		return nil, false
	}
	fits := true
	add := func(parameter, prefix string, list any) {
		w := explain.Want{Parameter: parameter}
		for _, name := range textsOf(list) {
			if name != "all" && regexp.QuoteMeta(name) == name { // of an expression nobody knows what it fits
				w.OneOf = append(w.OneOf, prefix+name)
			}
		}
		fits = fits && len(w.OneOf) > 0
		out = append(out, w)
	}
	if list := t.Attribute("run_on_projects"); !runsOn(list, in.Params.String("project")) {
		add("project", "", list)
	}
	if list, has := t.Attributes["run_on_tasks_for"]; has && !runsOn(list, in.Params.String("tasks_for")) {
		add("tasks_for", "", list)
	}
	branch, byBranch := in.branch()
	if list, has := t.Attributes["run_on_git_branches"]; byBranch && has {
		if ok, err := (&branches{}).match(list, branch); err == nil && !ok {
			add("head_ref", "refs/heads/", list)
		}
	}
	return out, fits
}

// wantsDefault is wants for a method that does not select t where the method default may.
func (in Input) wantsDefault(t *graph.Task) []explain.Want {
	wants, ok := in.wants(t)
	if !ok {
		return nil
	}
	return append([]explain.Want{{Parameter: methodFilter, OneOf: []string{"default"}}}, wants...)
}

// textsOf are the texts of a list.
func textsOf(list any) []string {
	out, _ := value.Strings(list)
	return out
}
