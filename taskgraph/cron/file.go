package cron

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Name is the name of the file, at the top of a tree.
const Name = ".cron.yml"

// The types of jobs.
const (
	DecisionTask  = "decision-task"
	TriggerAction = "trigger-action"
)

// File is a .cron.yml.
type File struct {
	Jobs []*Job // in the order of the file
}

// Job is an entry of the file.
type Job struct {
	Name string
	Line int // of the entry
	Type string

	// Of a decision task.
	TreeherderSymbol    string
	TargetTasksMethod   string
	OptimizeTargetTasks *bool // nil: as the decision does by itself
	IncludePushTasks    bool
	RebuildKinds        []string

	// Of an action on the group of the newest decision.
	ActionName string
	ExtraInput map[string]any

	// IncludeCronInput hands on what came with the hook that was triggered.
	IncludeCronInput bool
	// RunOnProjects are the projects it is for; nil: all.
	RunOnProjects []string
	// RunOnGitBranches are expressions of the branches it is for; nil: all.
	RunOnGitBranches []*regexp.Regexp

	file     *source.File
	when     any // absent, a list, or a choice by project
	at       source.Node
	resolver *keyedby.Resolver
}

// Load reads the .cron.yml of a tree; a tree without one has no jobs.
func Load(tree fs.FS) (*File, error) {
	src, err := fs.ReadFile(tree, Name)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return nil, &graph.Error{File: Name, Message: "cannot be read", Err: err}
	}
	return Parse(Name, src)
}

// fileType is the shape of the file.
func fileType() schema.Type {
	text, words := schema.NonEmpty(schema.String()), schema.List(schema.String())
	number := func() schema.Type { return schema.OneOf(schema.Int(), schema.NonEmpty(schema.List(schema.Int()))) }
	day := schema.Enum(weekdays()...)
	times := schema.List(schema.Strict(
		schema.Opt("weekday", schema.OneOf(day, schema.NonEmpty(schema.List(day)))),
		schema.Opt("day", number()), schema.Opt("hour", number()), schema.Opt("minute", number()),
	))
	job := schema.Tagged("type", map[string]*schema.Object{
		DecisionTask: schema.Strict(
			schema.Req("type", text), schema.Req("treeherder-symbol", text), schema.Req("target-tasks-method", text),
			schema.Opt("optimize-target-tasks", schema.Bool()), schema.Opt("include-push-tasks", schema.Bool()),
			schema.Opt("rebuild-kinds", words), schema.Opt("include-cron-input", schema.Bool()),
		),
		TriggerAction: schema.Strict(
			schema.Req("type", text), schema.Req("action-name", text), schema.Opt("include-cron-input", schema.Bool()),
			schema.Opt("extra-input", schema.Map(schema.Any())),
		),
	})
	return schema.Strict(schema.Req("jobs", schema.List(schema.Strict(
		schema.Req("name", text), schema.Req("job", job), schema.Opt("run-on-projects", words), schema.Opt("run-on-git-branches", words),
		schema.Opt("when", schema.KeyedBy(times, "project")),
	))))
}

// Parse reads the text of a .cron.yml. All faults are told at once, each a *graph.Error with its line.
func Parse(name string, src []byte) (*File, error) {
	file, err := source.Parse(name, src)
	if err != nil {
		return nil, err
	}
	if file.Value == nil {
		return &File{}, nil
	}
	var wrong []error
	for _, w := range file.Warnings {
		wrong = append(wrong, w)
	}
	for _, e := range schema.Errors(schema.Check(fileType(), file.Value), "", func(at []string, onKey bool) (string, int) { return name, file.LineOf(at, onKey) }) {
		wrong = append(wrong, e)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	out := &File{}
	lines := map[string]int{}
	resolver := &keyedby.Resolver{}
	for i, v := range value.List(file.Value.(map[string]any), "jobs") {
		at := file.Root().Child("jobs").Child(fmt.Sprint(i))
		j, errs := newJob(file, at, v.(map[string]any))
		j.resolver = resolver
		if was := lines[j.Name]; was > 0 {
			errs = append(errs, at.Child("name").Errorf("there is a job %q already, at line %d", j.Name, was))
		}
		lines[j.Name] = j.Line
		wrong = append(wrong, errs...)
		out.Jobs = append(out.Jobs, j)
	}
	return out, errors.Join(wrong...)
}

// newJob reads an entry that has the right shape.
func newJob(file *source.File, at source.Node, m map[string]any) (*Job, []error) {
	what := value.Map(m, "job")
	j := &Job{
		Name: value.String(m, "name"), Line: at.Line(), Type: value.String(what, "type"), file: file, at: at, when: m["when"],
		TreeherderSymbol: value.String(what, "treeherder-symbol"), TargetTasksMethod: value.String(what, "target-tasks-method"),
		IncludePushTasks: value.Truthy(what["include-push-tasks"]), IncludeCronInput: value.Truthy(what["include-cron-input"]),
		ActionName: value.String(what, "action-name"), ExtraInput: value.Map(what, "extra-input"),
	}
	if b, ok := what["optimize-target-tasks"].(bool); ok {
		j.OptimizeTargetTasks = &b
	}
	j.RebuildKinds, _ = value.Strings(what["rebuild-kinds"])
	if v, has := m["run-on-projects"]; has && v != nil {
		j.RunOnProjects, _ = value.Strings(v)
		if j.RunOnProjects == nil {
			j.RunOnProjects = []string{}
		}
	}
	var wrong []error
	if branches, ok := value.Strings(m["run-on-git-branches"]); ok {
		j.RunOnGitBranches = []*regexp.Regexp{}
		for i, pattern := range branches {
			re, err := regexp.Compile(`\A(?:` + pattern + `)`)
			if err != nil {
				wrong = append(wrong, at.Child("run-on-git-branches").Child(fmt.Sprint(i)).Errorf("%v", err))
				continue
			}
			j.RunOnGitBranches = append(j.RunOnGitBranches, re)
		}
	}
	return j, append(wrong, j.checkWhen(at.Child("when"), m["when"])...)
}

// checkWhen checks the times of every alternative.
func (j *Job) checkWhen(at source.Node, when any) (wrong []error) {
	if _, arms, ok := value.IsKeyedBy(when); ok {
		alternatives, _ := arms.(map[string]any)
		only := at.Child("by-project")
		if _, has := alternatives["default"]; has && len(alternatives) == 1 {
			wrong = append(wrong, only.Errorf("by-project is unnecessary with only the value \"default\"; write the value itself"))
		}
		for _, e := range only.Entries() {
			if _, err := regexp.Compile(e.Key); err != nil {
				wrong = append(wrong, e.At.Errorf("by-project: %v", err))
			}
			wrong = append(wrong, j.checkWhen(e.Value, alternatives[e.Key])...)
		}
		return wrong
	}
	times, _ := when.([]any)
	for i, v := range times {
		if _, err := newTimes(v.(map[string]any)); err != nil {
			wrong = append(wrong, at.Child(fmt.Sprint(i)).Errorf("%v", err))
		}
	}
	return wrong
}

// Job finds a job by its name.
func (f *File) Job(name string) (*Job, error) {
	names := make([]string, len(f.Jobs))
	for i, j := range f.Jobs {
		if j.Name == name {
			return j, nil
		}
		names[i] = j.Name
	}
	if near := graph.Nearest(name, names); near != "" {
		return nil, fmt.Errorf("%s has no job %q; is %q meant?", Name, name, near)
	}
	return nil, fmt.Errorf("%s has no job %q (it has %q)", Name, name, names)
}
