package target

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func (in Input) nothing(t *graph.Task) (verdict, error) {
	return verdict{rule: "the method nothing selects no task", wants: in.wantsDefault(t)}, nil
}

func truthy(v any) bool { return value.Truthy(v) }

// defaultMethod is the method default.
func (in Input) defaultMethod(b *branches) method {
	rules := in.defaultRules(b)
	return func(t *graph.Task) (verdict, error) {
		v, err := rules(t)
		if !v.kept && err == nil {
			if wants, ok := in.wants(t); ok {
				v.wants = wants
			}
		}
		return v, err
	}
}

// defaultRules are the rules of the method default; the first that is against a task decides.
func (in Input) defaultRules(b *branches) method {
	project, tasksFor := in.Params.String("project"), in.Params.String("tasks_for")
	branch, byBranch := in.branch()
	return func(t *graph.Task) (verdict, error) {
		if cron := t.Attribute("cron"); truthy(cron) {
			return verdict{rule: "cron: runs only when cron asks for it", input: "cron: true"}, nil
		}
		if phase := t.Attribute("shipping_phase"); phase != nil && phase != "build" {
			return verdict{rule: "shipping_phase: only none or build runs on a push", input: fmt.Sprintf("shipping_phase: %v", phase)}, nil
		}
		if list := t.Attribute("run_on_projects"); !runsOn(list, project) {
			return verdict{rule: "run_on_projects does not name the project", input: fmt.Sprintf("%s not in %v", project, list)}, nil
		}
		if list, has := t.Attributes["run_on_tasks_for"]; has && !runsOn(list, tasksFor) {
			return verdict{rule: "run_on_tasks_for does not name the event", input: fmt.Sprintf("%s not in %v", tasksFor, list)}, nil
		}
		list, has := t.Attributes["run_on_git_branches"]
		if !byBranch || !has {
			return verdict{kept: true, rule: "runs for this project and event"}, nil
		}
		ok, err := b.match(list, branch)
		if err != nil {
			return verdict{}, err
		}
		if !ok {
			return verdict{rule: "run_on_git_branches does not match the branch", input: fmt.Sprintf("%s not in %v", branch, list)}, nil
		}
		return verdict{kept: true, rule: "runs for this project, event and branch", input: branch}, nil
	}
}

// codeReview is the method codereview.
func (in Input) codeReview(b *branches) method {
	def := in.defaultMethod(b)
	return func(t *graph.Task) (verdict, error) {
		if !truthy(t.Attribute("code-review")) {
			return verdict{rule: "code-review: the attribute is not set", wants: in.wantsDefault(t)}, nil
		}
		return def(t)
	}
}

// branch is the branch that run_on_git_branches is compared with; ok is false when branches do
// not matter: other version control, and pull requests of trusted people.
func (in Input) branch() (name string, ok bool) {
	if in.Params.String("repository_type") != "git" || in.Params.String("tasks_for") == "github-pull-request" {
		return "", false
	}
	return strings.TrimPrefix(in.Params.String("head_ref"), "refs/heads/"), true
}

// runsOn reports whether list holds "all" or name. A mapping counts by its keys, as a choice
// that nobody resolved does in the field.
func runsOn(list any, name string) bool {
	switch l := list.(type) {
	case []any:
		for _, x := range l {
			if x == "all" || x == name {
				return true
			}
		}
	case []string:
		for _, x := range l {
			if x == "all" || x == name {
				return true
			}
		}
	case map[string]any:
		_, all := l["all"]
		_, named := l[name]
		return all || named
	}
	return false
}

// branches matches run_on_git_branches; each expression is compiled once.
type branches struct{ resolver keyedby.Resolver }

// match reports whether an expression of list matches the start of branch: "main" matches
// "main" and "maintenance" (taskgraph-map 13).
func (b *branches) match(list any, branch string) (bool, error) {
	names, ok := value.Strings(list)
	if !ok {
		return false, fmt.Errorf("run_on_git_branches must be a list of strings, found %s", value.Kind(list))
	}
	if slices.Contains(names, "all") {
		return true, nil
	}
	for _, name := range names {
		ok, err := b.resolver.MatchStart(name, branch)
		if err != nil {
			return false, fmt.Errorf("run_on_git_branches: %w", err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}
