package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	times             []cronTime
}

// on reads the key on.
func (f *flow) on(n *node) triggers {
	t := triggers{when: "true"}
	events := map[string]*node{}
	var order []string
	switch {
	case n == nil:
		f.left(f.root, "the workflow has no on", "say when it runs")
	case n.kind == isMap:
		order, events = n.keys, n.vals
	default:
		order = n.list()
		for _, name := range order {
			events[name] = &node{kind: isNull, file: n.file, line: n.line}
		}
	}
	other := func(name string) string { return not(event(name)) }
	if len(order) == 2 && events["push"] != nil && events["pull_request"] != nil {
		other = func(name string) string {
			return map[string]string{"push": "is_pull_request", "pull_request": "!is_pull_request"}[name]
		}
	}
	var filters []string
	for _, name := range order {
		if cond := f.event(&t, name, events[name]); cond != "true" {
			filters = append(filters, or(other(name), cond))
		}
	}
	t.when = and(filters...)
	t.called = len(t.tasksFor) == 0 && t.cron == nil && slices.Contains(order, "workflow_call")
	t.narrow(order, events)
	return t
}

// narrow says a simple filter of branches in the key that Treeline has for it.
func (t *triggers) narrow(order []string, events map[string]*node) {
	push := events["push"]
	if push == nil || push.at("branches") == nil || slices.ContainsFunc(push.keys, func(k string) bool { return k != "branches" }) {
		return
	}
	for _, other := range order {
		if !has([]string{"push", "schedule", "workflow_dispatch", "workflow_call"}, other) {
			return
		}
	}
	globs := push.at("branches").list()
	if slices.ContainsFunc(globs, func(g string) bool { return strings.HasPrefix(g, "!") }) {
		return
	}
	for _, g := range globs {
		if p := pattern(g); p != ".*" {
			t.branches = append(t.branches, p+"$")
			continue
		}
		t.branches = nil
		break
	}
	t.when = "true"
}

// event takes one event in, and returns the condition of its filters.
func (f *flow) event(t *triggers, name string, n *node) string {
	switch name {
	case "push":
		t.tasksFor = append(t.tasksFor, "git-push", "github-push", "hg-push")
		f.known(n, "push", "branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore")
		return and(f.refs(n), f.paths(n))
	case "pull_request":
		t.tasksFor = append(t.tasksFor, "github-pull-request", "github-pull-request-untrusted")
		f.known(n, "pull_request", "branches", "branches-ignore", "types", "paths", "paths-ignore")
		for _, kind := range n.at("types").list() {
			if !has([]string{"opened", "synchronize", "reopened", "ready_for_review", "edited"}, kind) {
				f.left(n.at("types"), "runs when a pull request is "+kind, "pull requests are built when they are opened, reopened, ready for review, or have a new revision or base; other actions must be named in .taskcluster.yml")
			}
		}
		return and(f.filter(n, "branches", `trimPrefix(base_ref, "refs/heads/")`), f.paths(n))
	case "release":
		t.tasksFor = append(t.tasksFor, "github-release")
		if kinds := n.at("types").list(); len(kinds) > 0 && !slices.Equal(kinds, []string{"published"}) {
			f.check(n, "runs when a release is "+strings.Join(kinds, ", "), "Treeline runs it when one is published")
		}
	case "merge_group":
		t.tasksFor = append(t.tasksFor, "github-merge-group")
	case "schedule":
		f.schedule(t, n)
	case "workflow_dispatch":
		f.cronFor(t, "started by hand: treeline cron run REPOSITORY "+f.kind)
		f.dispatch(n)
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
func (f *flow) refs(n *node) string {
	branches, tags := n.at("branches") != nil || n.at("branches-ignore") != nil, n.at("tags") != nil || n.at("tags-ignore") != nil
	b, tag := f.filter(n, "branches", "branch"), f.filter(n, "tags", "head_tag")
	switch {
	case branches && tags:
		return fmt.Sprintf(`(head_tag == "" ? %s : %s)`, b, tag)
	case branches:
		return and(`head_tag == ""`, b)
	case tags:
		return and(`head_tag != ""`, tag)
	}
	return "true"
}

// filter is a list of names and its -ignore.
func (f *flow) filter(n *node, key, name string) string {
	out := "true"
	for _, k := range []string{key, key + "-ignore"} {
		globs := n.at(k).list()
		if len(globs) == 0 {
			continue
		}
		cond, ok := anyOf(name, globs)
		if !ok {
			f.left(n.at(k), "the patterns of "+k, "they make no regular expression; write a condition")
			cond = never
		}
		if k != key {
			cond = not(cond)
		}
		out = and(out, cond)
	}
	return out
}

// paths is the filter of files.
func (f *flow) paths(n *node) string {
	out := "true"
	if globs := n.at("paths").list(); len(globs) > 0 {
		if simple(globs) {
			for i, g := range globs {
				globs[i] = strconv.Quote(g)
			}
			out = "changed(" + strings.Join(globs, ", ") + ")"
		} else {
			cond, ok := anyOf("#", globs)
			out = "any(files_changed, " + cond + ")"
			if !ok {
				f.left(n.at("paths"), "the patterns of paths", "they make no regular expression; write a condition with changed(…)")
				out = never
			}
		}
	}
	if globs := n.at("paths-ignore").list(); len(globs) > 0 {
		cond, ok := anyOf("#", globs)
		if !ok {
			f.left(n.at("paths-ignore"), "the patterns of paths-ignore", "they make no regular expression; write a condition")
			return never
		}
		out = and(out, "any(files_changed, "+not(cond)+")")
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

// dispatch reads the inputs of a workflow that is started by hand: their defaults are what it runs with.
func (f *flow) dispatch(n *node) {
	inputs := n.at("inputs")
	f.known(n, "workflow_dispatch", "inputs")
	if inputs.empty() {
		return
	}
	for _, name := range inputs.keys {
		f.scope.static["inputs."+name] = inputs.at(name).at("default").plain()
		f.scope.static["github.event.inputs."+name] = inputs.at(name).at("default").plain()
	}
	f.check(inputs, "inputs of a workflow that is started by hand: "+strings.Join(inputs.keys, ", "), "the tasks are made with their defaults; for a choice at the start write an action (docs/how-to/write-an-action.md)")
}

func (f *flow) cronFor(t *triggers, why string) *cronJob {
	if t.cron == nil {
		t.cron = &cronJob{name: f.kind, symbol: limit(f.kind, 20), why: why}
	}
	return t.cron
}

func (f *flow) schedule(t *triggers, n *node) {
	if n == nil || n.kind != isList {
		f.left(n, "the schedule", "it must be a list of {cron: …}")
		return
	}
	j := f.cronFor(t, "")
	j.why = "at set times"
	for _, item := range n.items {
		f.known(item, "a schedule", "cron", "timezone")
		if zone := item.at("timezone"); zone != nil && !zone.is("UTC") {
			f.left(zone, "the time zone "+zone.str(), "all times of .cron.yml are UTC; convert the hours")
		}
		line := item.at("cron")
		times, moved, err := cronTimes(line.str())
		if err != nil {
			f.left(item, fmt.Sprintf("the schedule %q", line.str()), err.Error())
			continue
		}
		if moved {
			f.check(item, fmt.Sprintf("the schedule %q", line.str()), "times of .cron.yml are quarters of an hour; the nearest are taken")
		}
		j.times = append(j.times, times...)
	}
}
