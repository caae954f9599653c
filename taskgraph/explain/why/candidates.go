package why

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// own are the candidates that the task's own record gives.
func (e *Explainer) own(s explain.Story) []explain.Counterfactual {
	if s.Missing != nil {
		var out []explain.Counterfactual
		for _, d := range s.Missing.Drops {
			if d.By == explain.IfCondition && d.Label == s.Label {
				out = append(out, asked(explain.WouldBeChosen, d.Reason)...)
			}
		}
		return out
	}
	out := append(s.Candidates(), unheld(s)...)
	if t := e.task(s.Label); t != nil && s.Outcome == explain.Removed {
		if name, _ := t.Strategy(); name == "skip-unless-has-relevant-tests" {
			out = append(out, besideTests(t.Attribute("test_manifests"))...)
		}
		for _, text := range conditionsIn(t.Optimization) {
			out = append(out, asked(explain.WouldRun, text)...)
		}
		out = append(out, e.laterPushes(t.Optimization)...)
	}
	return out
}

// asked are the candidates of a condition.
func asked(would, text string) []explain.Counterfactual {
	var out []explain.Counterfactual
	for _, when := range Conditions(text) {
		out = append(out, explain.Counterfactual{Would: would, If: when.Text(), When: when})
	}
	return out
}

// unheld are the candidates of a target method that is a condition: what it looked at is its text.
func unheld(s explain.Story) []explain.Counterfactual {
	if s.Outcome != explain.Unselected {
		return nil
	}
	for _, x := range s.Selections {
		if !x.Kept && strings.HasSuffix(x.Rule, " does not hold") {
			return asked(explain.WouldBeChosen, x.Input)
		}
	}
	return nil
}

// conditionsIn are the conditions of the strategy when in an optimization, nested ones too.
func conditionsIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text, ok := v[name].(string); ok && name == "when" {
				out = append(out, text)
			} else {
				out = append(out, conditionsIn(v[name])...)
			}
		}
	case []any:
		for _, e := range v {
			out = append(out, conditionsIn(e)...)
		}
	}
	return out
}

// maxLater is how many later pushes are tried.
const maxLater = 20

// laterPushes are the next pushes, for a task that strategies leave out by what earlier ones did.
func (e *Explainer) laterPushes(optimization map[string]any) []explain.Counterfactual {
	if e.res.History == nil || !looksBack(optimization) {
		return nil
	}
	var out []explain.Counterfactual
	for n := range int64(maxLater) {
		when := explain.Premise{PushNumber: e.res.History.Push.Number + n + 1}
		out = append(out, explain.Counterfactual{Would: explain.WouldRun, If: when.Text(), When: when})
	}
	return out
}

// looksBack reports whether a strategy of history is in an optimization, nested ones too.
func looksBack(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, arg := range v {
			if slices.Contains([]string{"skip-unless-push-interval", "skip-unless-backstop", "skip-unless-expanded", "skip-unless-bucket", "skip-if-recent", "skip-low-value"}, name) || looksBack(arg) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, looksBack)
	}
	return false
}

// besideTests are files in the directories of tests.
func besideTests(manifests any) []explain.Counterfactual {
	tests, _ := value.Strings(manifests)
	var dirs []string
	for _, test := range tests {
		if dir := path.Dir(test); !slices.Contains(dirs, dir+"/*") && dir != "." {
			dirs = append(dirs, dir+"/*")
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	when := explain.Premise{FilesChanged: dirs}
	return []explain.Counterfactual{{Would: explain.WouldRun, If: when.Text(), When: when}}
}

// Bounds of the search among other tasks.
const (
	maxOthers = 12
	maxDepth  = 4
)

// ofOthers are the candidates of the tasks that decide about this one: those that need it, and its
// if-dependencies; of a task that runs, the one it runs for.
func (e *Explainer) ofOthers(s explain.Story) []explain.Counterfactual {
	if n := len(s.Because); n > 0 && s.Outcome == explain.Created {
		return e.Plain(s.Because[n-1]).Candidates()
	}
	if s.Outcome != explain.Removed && s.Outcome != explain.Unselected {
		return nil
	}
	var out []explain.Counterfactual
	for _, label := range e.others(s.Label) {
		other := e.Plain(label)
		for _, c := range other.Candidates() {
			switch c.Would {
			case explain.WouldRun:
				out = append(out, c)
			case explain.WouldBeChosen:
				out = append(out, other.ThenRuns(c)...)
			}
		}
	}
	return out
}

// others are the tasks that need the one of that label, the nearest first, after its
// if-dependencies.
func (e *Explainer) others(label string) []string {
	var out []string
	if t := e.task(label); t != nil {
		out = append(out, t.IfDependencies...)
	}
	level := []string{label}
	for range maxDepth {
		var next []string
		for _, l := range level {
			for _, user := range e.res.Full.Users(l) {
				if !slices.Contains(out, user) && len(out) < maxOthers {
					out = append(out, user)
					next = append(next, user)
				}
			}
		}
		level = next
	}
	return out
}

// everywhere are the levels, projects and events that there are.
func (e *Explainer) everywhere(s explain.Story) []explain.Counterfactual {
	if s.Outcome == explain.Created || s.Outcome == explain.Replaced || s.Missing != nil && len(s.Missing.Drops) == 0 && s.Missing.Kind == "" {
		return nil
	}
	if e.wider == nil {
		e.wider = e.widen()
	}
	out := make([]explain.Counterfactual, len(e.wider))
	for i, when := range e.wider {
		out[i] = explain.Counterfactual{Would: explain.WouldRun, If: when.Text(), When: when}
	}
	return out
}

// maxWider is how many projects, and how many events, are tried.
const maxWider = 6

func (e *Explainer) widen() []explain.Premise {
	projects, events := map[string]bool{}, map[string]bool{"github-push": true, "github-pull-request": true, "cron": true}
	for _, t := range e.res.Full.All() {
		for _, name := range names(t.Attribute("run_on_projects")) {
			projects[name] = true
		}
		for _, name := range names(t.Attribute("run_on_tasks_for")) {
			events[name] = true
		}
	}
	var out []explain.Premise
	add := func(parameter string, values []string) {
		for _, v := range values {
			if v != "all" && v != e.in.Parameters.String(parameter) {
				out = append(out, explain.Premise{Parameters: map[string]any{parameter: v}})
			}
		}
	}
	add("level", []string{"3", "2", "1"})
	add("project", first(projects))
	add("tasks_for", first(events))
	return out
}

// first are the first few of a set.
func first(set map[string]bool) []string {
	list := slices.Sorted(maps.Keys(set))
	return list[:min(len(list), maxWider)]
}

func names(list any) []string {
	out, _ := value.Strings(list)
	return out
}

// lastResort is what keeps a task of the target graph whatever else is so, and lets the tasks that join
// every graph do so.
func (e *Explainer) lastResort(s explain.Story) []explain.Counterfactual {
	if t := e.task(s.Label); s.Outcome == explain.Unselected && t != nil && value.Truthy(t.Attribute("always_target")) {
		when := explain.Premise{Parameters: map[string]any{"enable_always_target": true}}
		return []explain.Counterfactual{{Would: explain.WouldRun, If: when.Text(), When: when}}
	}
	if s.Outcome != explain.Removed && s.Outcome != explain.Replaced {
		return nil
	}
	named := []any{}
	for _, label := range e.in.Parameters.Strings("do_not_optimize") {
		named = append(named, label)
	}
	return []explain.Counterfactual{{
		Would: explain.WouldRun, If: "if the parameter do_not_optimize named it",
		When: explain.Premise{Parameters: map[string]any{"do_not_optimize": append(named, s.Label)}},
	}}
}
