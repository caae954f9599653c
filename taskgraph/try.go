package taskgraph

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/glob"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/target"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// TryAsked is what a push to try asks for (taskgraph-map 23.1).
type TryAsked struct {
	// Values are parameters that win over those of the push: try_mode, try_options, try_task_config,
	// message, target_tasks_method, and what version 2 of the file says.
	Values map[string]any
	// Notes tell what was left out of account, for the person who pushed.
	Notes []*graph.Error

	saidMethod bool
}

// tryMethod is the target-tasks method of pushes to try.
const tryMethod = "try_tasks"

// ofPush are the parameters that say what was pushed, by whom and how far that is trusted: no file of the
// push may say otherwise.
func ofPush() []string {
	return []string{
		"base_ref", "base_repository", "base_rev", "head_ref", "head_repository", "head_rev", "head_tag", "level", "owner", "project",
		"pushdate", "pushlog_id", "repository_type", "tasks_for",
	}
}

// IsTry reports whether a push goes to try: its project has the word try in its name, as in try-comm, or
// config.yml names its project or its branch.
func (h *Hooks) IsTry(d params.Decision) bool {
	if !slices.Contains([]string{"hg-push", "git-push", "github-push"}, d.TasksFor) {
		return false
	}
	words := strings.FieldsFunc(d.Project, func(r rune) bool { return strings.ContainsRune("-_./", r) })
	said := value.Map(h.config.Values, "try")
	projects, _ := value.Strings(said["projects"])
	branches, _ := value.Strings(said["branches"])
	branch := strings.TrimPrefix(d.HeadRef, "refs/heads/")
	return slices.Contains(words, "try") || slices.Contains(projects, d.Project) ||
		slices.ContainsFunc(branches, func(p string) bool { return p != "" && branch != "" && glob.Match(p, branch) })
}

// Try reads what a push to try asks for: file is the content of try_task_config.json at its head, nil
// without one, name what faults call it. Method and DONTBUILD of d win over the method try_tasks, the
// file wins over them.
func (h *Hooks) Try(d params.Decision, file []byte, name string) (TryAsked, error) {
	asked, err := ReadTry(file, name, d.CommitMessage, h.own)
	if err == nil && !asked.saidMethod && (d.TargetTasksMethod != "" || d.Method() == "nothing") {
		delete(asked.Values, "target_tasks_method")
	}
	return asked, err
}

// ReadTry reads try_task_config.json, nil without one, and the try syntax of a commit message, which wins.
// With neither the push selects nothing, and tasks are added later. own are the parameters that the tree
// declares. The error holds a *graph.Error for each thing that is wrong.
func ReadTry(file []byte, name, message string, own params.Own) (TryAsked, error) {
	asked := TryAsked{Values: map[string]any{"try_mode": nil, "try_options": nil, tryconfig.Parameter: map[string]any{}, "target_tasks_method": tryMethod}}
	syntax, ok, syntaxErr := trysyntax.Parse(message)
	line, _ := trysyntax.Find(message)
	asked.Values["message"] = line
	fileErr := asked.readFile(file, name, own)
	if err := errors.Join(fileErr, syntaxErr); err != nil || !ok {
		return asked, err
	}
	settings, _ := asked.Values[tryconfig.Parameter].(map[string]any)
	settings = maps.Clone(settings)
	if settings["tasks"] != nil {
		asked.Notes = append(asked.Notes, &graph.Error{File: name, Message: "its tasks are left out: the try: line of the commit message decides"})
		delete(settings, "tasks")
	}
	options, more := syntax.Parameters()
	env := maps.Clone(value.Map(settings, "env"))
	if env == nil {
		env = map[string]any{}
	}
	maps.Copy(env, value.Map(more, "env"))
	maps.Copy(settings, more)
	settings["env"] = env
	asked.Values["try_mode"], asked.Values["try_options"], asked.Values[tryconfig.Parameter] = target.TryOptionSyntax, options, settings
	asked.Notes = append(asked.Notes, syntax.Notes...)
	return asked, nil
}

func (a *TryAsked) readFile(file []byte, name string, own params.Own) error {
	if file == nil {
		return nil
	}
	c, err := tryconfig.Parse(file, name)
	if err != nil {
		return err
	}
	a.Values["try_mode"] = target.TryTaskConfig
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.Parameters)) {
		if slices.Contains(ofPush(), key) {
			errs = append(errs, c.Fault("parameters."+key, "parameters.%s cannot be set here: it says what was pushed, and how far that is trusted. Leave it out", key))
			continue
		}
		if problem := own.Check(key, c.Parameters[key]); problem != "" {
			errs = append(errs, c.Fault("parameters."+key, "parameters: %s", problem))
			continue
		}
		a.Values[key] = c.Parameters[key]
	}
	a.saidMethod = c.Parameters["target_tasks_method"] != nil || c.TargetTasksMethod != ""
	if c.TargetTasksMethod != "" {
		a.Values["target_tasks_method"] = c.TargetTasksMethod
	}
	if c.OptimizeStrategies != "" {
		a.Values["optimize_strategies"] = c.OptimizeStrategies
	}
	a.Values[tryconfig.Parameter] = c.Settings.Values()
	return errors.Join(errs...)
}
