package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/crontime"
	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// triggers are the events for which a workflow runs.
type triggers struct {
	tasksFor []string // of Treeline's events
	branches []string // of pushes, where only pushes count
	when     string   // what the filters say
	cron     *cronJob
	called   bool // by other workflows only, as far as is known
	cancels  []string
}

// cronJob is a job of .cron.yml.
type cronJob struct {
	name, symbol, why string
	times             []crontime.Time
}

// on reads the key on.
func (f *flow) on(n *source.Node) triggers {
	t := triggers{when: "true"}
	events := map[string]*source.Node{}
	var order []string
	switch {
	case n == nil:
		f.left(f.root, "the workflow has no on", "say when it runs")
	case n.Kind == source.Map:
		order, events = n.Keys, n.Vals
	default:
		order = n.Texts()
		for _, name := range order {
			events[name] = &source.Node{Kind: source.Null, File: n.File, Line: n.Line}
		}
	}
	other := func(name string) string { return expr.Not(expr.Event(name)) }
	if len(order) == 2 && events["push"] != nil && events["pull_request"] != nil {
		other = func(name string) string {
			return map[string]string{"push": "is_pull_request", "pull_request": "!is_pull_request"}[name]
		}
	}
	var filters []string
	for _, name := range order {
		if name == "workflow_dispatch" {
			f.dispatch(events[name], !slices.ContainsFunc(order, func(o string) bool { return o != name && o != "workflow_call" }))
		}
		if cond := f.event(&t, name, events[name]); cond != "true" {
			filters = append(filters, expr.Or(other(name), cond))
		}
	}
	t.when = expr.And(filters...)
	t.called = len(t.tasksFor) == 0 && t.cron == nil && slices.Contains(order, "workflow_call")
	t.narrow(order, events)
	return t
}

// narrow says a simple filter of branches in the key that Treeline has for it.
func (t *triggers) narrow(order []string, events map[string]*source.Node) {
	push := events["push"]
	if push == nil || push.At("branches") == nil || slices.ContainsFunc(push.Keys, func(k string) bool { return k != "branches" }) {
		return
	}
	for _, other := range order {
		if !slices.Contains([]string{"push", "schedule", "workflow_dispatch", "workflow_call"}, other) {
			return
		}
	}
	globs := push.At("branches").Texts()
	if slices.ContainsFunc(globs, func(g string) bool { return strings.HasPrefix(g, "!") }) {
		return
	}
	for _, g := range globs {
		if p := expr.Pattern(g); p != ".*" {
			t.branches = append(t.branches, p+"$")
			continue
		}
		t.branches = nil
		break
	}
	t.when = "true"
}

// event takes one event in, and returns the condition of its filters.
func (f *flow) event(t *triggers, name string, n *source.Node) string {
	switch name {
	case "push":
		t.tasksFor = append(t.tasksFor, "git-push", "github-push", "hg-push")
		f.known(n, "push", "branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore")
		paths := f.paths(n)
		if paths != "true" && (n.At("tags") != nil || n.At("tags-ignore") != nil || n.At("branches") == nil && n.At("branches-ignore") == nil) {
			paths = expr.Or(`head_tag != ""`, paths) // GitHub does not look at the files of a tag
		}
		return expr.And(f.refs(n), paths)
	case "pull_request":
		t.tasksFor = append(t.tasksFor, "github-pull-request", "github-pull-request-untrusted")
		f.known(n, "pull_request", "branches", "branches-ignore", "types", "paths", "paths-ignore")
		for _, kind := range n.At("types").Texts() {
			if !slices.Contains([]string{"opened", "synchronize", "reopened", "ready_for_review", "edited"}, kind) {
				f.left(n.At("types"), "runs when a pull request is "+kind, "pull requests are built when they are opened, reopened, ready for review, or have a new revision or base; other actions must be named in .taskcluster.yml")
			}
		}
		return expr.And(f.filter(n, "branches", `trimPrefix(base_ref, "refs/heads/")`), f.paths(n))
	case "release":
		t.tasksFor = append(t.tasksFor, "github-release")
		if kinds := n.At("types").Texts(); len(kinds) > 0 && !slices.Equal(kinds, []string{"published"}) {
			f.check(n, "runs when a release is "+strings.Join(kinds, ", "), "Treeline runs it when one is published")
		}
	case "merge_group":
		t.tasksFor = append(t.tasksFor, "github-merge-group")
	case "schedule":
		f.schedule(t, n)
	case "workflow_dispatch":
		f.cronFor(t, "started by hand: treeline cron run REPOSITORY "+f.kind)
	case "workflow_call":
	default:
		f.left(n, "runs on "+name, advice(name))
	}
	return "true"
}

func advice(event string) string {
	switch event {
	case "pull_request_target":
		return "untrusted pull requests have the role :pull-request-untrusted; decide what they may do, and use pull_request"
	case "issues", "issue_comment", "label", "discussion", "pull_request_review", "watch", "fork":
		return "Treeline builds what happens to code; a hook bound to exchange/taskcluster-github/v1 can start a task"
	case "workflow_run":
		return "make the tasks depend on those of the other workflow"
	case "repository_dispatch":
		return "make a hook, which an HTTP request can fire (docs/how-to/fire-a-hook.md)"
	}
	return "Treeline knows no such event"
}

// refs are the filters of branches and tags of a push: without any, all count; with one sort, only that sort.
func (f *flow) refs(n *source.Node) string {
	branches, tags := n.At("branches") != nil || n.At("branches-ignore") != nil, n.At("tags") != nil || n.At("tags-ignore") != nil
	b, tag := f.filter(n, "branches", "branch"), f.filter(n, "tags", "head_tag")
	switch {
	case branches && tags:
		return fmt.Sprintf(`(head_tag == "" ? %s : %s)`, b, tag)
	case branches:
		return expr.And(`head_tag == ""`, b)
	case tags:
		return expr.And(`head_tag != ""`, tag)
	}
	return "true"
}

// filter is a list of names and its -ignore.
func (f *flow) filter(n *source.Node, key, name string) string {
	out := "true"
	for _, k := range []string{key, key + "-ignore"} {
		globs := n.At(k).Texts()
		if len(globs) == 0 {
			continue
		}
		cond, ok := expr.AnyOf(name, globs)
		if !ok {
			f.left(n.At(k), "the patterns of "+k, "they make no regular expression; write a condition")
			cond = expr.Never
		}
		if k != key {
			cond = expr.Not(cond)
		}
		out = expr.And(out, cond)
	}
	return out
}

// paths is the filter of files.
func (f *flow) paths(n *source.Node) string {
	out := "true"
	if globs := n.At("paths").Texts(); len(globs) > 0 {
		if simple(globs) {
			for i, g := range globs {
				globs[i] = strconv.Quote(g)
			}
			out = "changed(" + strings.Join(globs, ", ") + ")"
		} else {
			cond, ok := expr.AnyOf("#", globs)
			out = "any(files_changed, " + cond + ")"
			if !ok {
				f.left(n.At("paths"), "the patterns of paths", "they make no regular expression; write a condition with changed(…)")
				out = expr.Never
			}
		}
	}
	if globs := n.At("paths-ignore").Texts(); len(globs) > 0 {
		cond, ok := expr.AnyOf("#", globs)
		if !ok {
			f.left(n.At("paths-ignore"), "the patterns of paths-ignore", "they make no regular expression; write a condition")
			return expr.Never
		}
		out = expr.And(out, "any(files_changed, "+expr.Not(cond)+")")
	}
	return out
}

// simple reports patterns that mean the same to changed().
func simple(globs []string) bool {
	for _, g := range globs {
		if strings.ContainsAny(g, `?+[]\!{}`) || strings.HasPrefix(g, "/") {
			return false
		}
		for _, part := range strings.Split(g, "/") {
			if part != "**" && strings.Contains(part, "**") {
				return false
			}
		}
	}
	return true
}

// dispatch reads the inputs of a workflow that is started by hand. Where nothing else starts it, their defaults are what
// it runs with; another event has none.
func (f *flow) dispatch(n *source.Node, alone bool) {
	inputs := n.At("inputs")
	f.known(n, "workflow_dispatch", "inputs")
	if inputs.Empty() {
		return
	}
	for _, name := range inputs.Keys {
		var v any
		if alone {
			v = inputs.At(name).At("default").Plain()
		}
		f.scope.Static["inputs."+name], f.scope.Static["github.event.inputs."+name] = v, v
	}
	what := "with their defaults"
	if !alone {
		what = "without them, as at the other events"
	}
	f.check(inputs, "inputs of a workflow that is started by hand: "+strings.Join(inputs.Keys, ", "), "the tasks are made "+what+"; for a choice at the start write an action (docs/how-to/write-an-action.md)")
}

func (f *flow) cronFor(t *triggers, why string) *cronJob {
	if t.cron == nil {
		t.cron = &cronJob{name: f.kind, symbol: limit(f.kind, 20), why: why}
	}
	return t.cron
}

func (f *flow) schedule(t *triggers, n *source.Node) {
	if n == nil || n.Kind != source.Sequence {
		f.left(n, "the schedule", "it must be a list of {cron: …}")
		return
	}
	j := f.cronFor(t, "")
	j.why = "at set times"
	for _, item := range n.Items {
		f.known(item, "a schedule", "cron", "timezone")
		if zone := item.At("timezone"); zone != nil && !zone.Is("UTC") {
			f.left(zone, "the time zone "+zone.Str(), "all times of .cron.yml are UTC; convert the hours")
		}
		line := item.At("cron")
		times, moved, err := crontime.Parse(line.Str())
		if err != nil {
			f.left(item, fmt.Sprintf("the schedule %q", line.Str()), err.Error())
			continue
		}
		if moved {
			f.check(item, fmt.Sprintf("the schedule %q", line.Str()), "times of .cron.yml are quarters of an hour; the nearest are taken")
		}
		j.times = append(j.times, times...)
	}
}
