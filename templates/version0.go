package templates

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// Version 0 is the format before JSON-e: a plain list of tasks with {{parameters}} in its strings. What Treeline can
// know of an event is filled in; for the rest it asks for version 1.

func (f *File) checkVersion0() error {
	if err := f.checkKeys(f.data, nil, "a file of version 0", "version", "metadata", "allowPullRequests", "tasks"); err != nil {
		return err
	}
	if v, ok := f.data.Get("allowPullRequests"); ok {
		if v != "public" && v != "collaborators" {
			return f.complain(f.lineOf("allowPullRequests"), "allowPullRequests", "allowPullRequests must be public or collaborators")
		}
		f.Policy.PullRequests, _ = v.(string)
	}
	v, ok := f.data.Get("tasks")
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return f.complain(f.lineOf("tasks"), "tasks", "tasks must be a list")
	}
	for i, item := range list {
		if _, ok := item.(*jsone.Object); !ok {
			return f.complain(f.lineAt(append(steps("tasks"), jsone.Step{Index: i})), fmt.Sprintf("tasks[%d]", i), "a task must be a mapping")
		}
	}
	return nil
}

func (f *File) renderVersion0(e Event) ([]*draft, error) {
	v, _ := f.data.Get("tasks")
	list, _ := v.([]any)
	parameters := e.flat()
	var drafts []*draft
	for i, item := range list {
		o, _ := item.(*jsone.Object)
		if !wanted(o, e, parameters) {
			continue
		}
		d := &draft{where: fmt.Sprintf("tasks[%d]", i), line: o.Line()}
		fill := filler{file: f, event: e, parameters: parameters, draft: d}
		d.data, _ = fill.value(o).(*jsone.Object)
		if fill.err != nil {
			return nil, fill.err
		}
		setDefault(d.data, "deadline", formatTime(e.Now.AddDate(0, 0, 1)))
		drafts = append(drafts, d)
	}
	return drafts, nil
}

// flat returns the event's values as version 0 names them: event.head.sha and the like, and a few without a prefix.
func (e Event) flat() map[string]string {
	out := map[string]string{"event.type": strings.TrimPrefix(strings.TrimPrefix(e.TasksFor, "github-"), "git-"), "timestamp": formatTime(e.Now)}
	at := func(path ...string) string {
		var v any = e.Event
		for _, key := range path {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	set := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	set("repository", at("repository", "name"))
	set("organization", at("repository", "owner", "login"))
	if strings.HasPrefix(e.TasksFor, "github-pull-request") {
		out["event.type"] = "pull_request." + at("action")
		for _, side := range []string{"head", "base"} {
			set("event."+side+".sha", at("pull_request", side, "sha"))
			set("event."+side+".repo.branch", at("pull_request", side, "ref"))
			set("event."+side+".repo.url", at("pull_request", side, "repo", "clone_url"))
			set("event."+side+".repo.name", at("pull_request", side, "repo", "name"))
			set("event."+side+".user.login", at("pull_request", side, "user", "login"))
		}
		set("event.pullNumber", at("pull_request", "number"))
		set("event.title", at("pull_request", "title"))
		return out
	}
	set("event.head.sha", at("after"))
	set("event.base.sha", at("before"))
	set("event.head.ref", at("ref"))
	branch := strings.TrimPrefix(at("ref"), "refs/heads/")
	for _, side := range []string{"head", "base"} {
		set("event."+side+".repo.branch", branch)
		set("event."+side+".repo.url", at("repository", "clone_url"))
		set("event."+side+".repo.name", at("repository", "name"))
	}
	set("event.head.user.login", at("sender", "login"))
	set("event.head.user.email", at("pusher", "email"))
	return out
}

// wanted applies a task's extra.github.events and branches (taskcluster-map 13.4).
func wanted(o *jsone.Object, e Event, parameters map[string]string) bool {
	extra, _ := o.Get("extra")
	github, ok := extra.(*jsone.Object)
	if !ok {
		return false
	}
	v, _ := github.Get("github")
	if github, ok = v.(*jsone.Object); !ok {
		return false
	}
	list := func(key string) (out []string, given bool) {
		v, given := github.Get(key)
		items, _ := v.([]any)
		for _, item := range items {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out, given
	}
	events, _ := list("events")
	kind, match := parameters["event.type"], false
	for _, want := range events {
		prefix, open := strings.CutSuffix(want, "*")
		match = match || want == kind || open && strings.HasPrefix(kind, prefix)
	}
	if !match || kind != "push" {
		return match
	}
	branch := parameters["event.head.repo.branch"]
	if branches, given := list("branches"); given {
		return slices.Contains(branches, branch)
	}
	excluded, _ := list("excludeBranches")
	return !slices.Contains(excluded, branch)
}

// filler replaces {{parameters}} in the strings of a task.
type filler struct {
	file       *File
	event      Event
	parameters map[string]string
	draft      *draft
	err        error
}

var (
	parameter  = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)
	fromNowOne = regexp.MustCompile(`^(?:'([^']*)'\s*\|\s*)?\$fromNow$`)
)

func (f *filler) value(v any) any {
	switch v := v.(type) {
	case string:
		return parameter.ReplaceAllStringFunc(v, func(found string) string {
			return f.parameter(parameter.FindStringSubmatch(found)[1])
		})
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = f.value(v[i])
		}
		return out
	case *jsone.Object:
		out := &jsone.Object{}
		for key, value := range v.All() {
			out.Set(key, f.value(value))
		}
		return out
	}
	return v
}

func (f *filler) parameter(name string) string {
	if m := fromNowOne.FindStringSubmatch(name); m != nil {
		template := &jsone.Object{}
		template.Set("$fromNow", m[1])
		v, err := jsone.Render(template, nil, jsone.Options{Now: f.event.Now})
		if s, ok := v.(string); ok && err == nil {
			return s
		}
		f.complain("{{%s}} is no time", name)
		return ""
	}
	if s, ok := f.parameters[name]; ok {
		return s
	}
	switch name {
	case "taskcluster.docker.provisionerId", "taskcluster.docker.workerType":
		f.complain("{{%s}} has no value here; name the task's taskQueueId", name)
	default:
		f.complain("{{%s}} is not known for this event; version 1 of the format has the whole event: "+
			"change the file to `version: 1` and JSON-e (${event.…})", name)
	}
	return ""
}

func (f *filler) complain(format string, args ...any) {
	if f.err == nil {
		f.err = f.file.complain(f.draft.line, f.draft.where, format, args...)
	}
}
