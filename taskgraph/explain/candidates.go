package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Premise is what would be different about a decision. Its parts hold together.
type Premise struct {
	// Parameters have these values.
	Parameters map[string]any `json:"parameters,omitempty"`
	// FilesChanged are patterns: a file that matches one of them changed, too.
	FilesChanged []string `json:"filesChanged,omitempty"`
	// FilesUnchanged are patterns: no file that matches one of them changed.
	FilesUnchanged []string `json:"filesUnchanged,omitempty"`
	// IndexEmpty are paths at which the index has no task.
	IndexEmpty []string `json:"indexEmpty,omitempty"`
	// PushNumber is the number of the push among those of its project, 0 for the one it has.
	PushNumber int64 `json:"pushNumber,omitempty"`
}

// What a Counterfactual says would happen.
const (
	WouldRun      = "run"
	WouldNotRun   = "not run"
	WouldBeChosen = "be selected" // and then optimization would have its say
)

// Counterfactual is a change with which it would be otherwise.
type Counterfactual struct {
	Would string  `json:"would"`
	If    string  `json:"if"` // such as "on project main"
	When  Premise `json:"when"`
	// Seen says that the generator was run with the change, and that it was so. Without it the
	// claim follows from the rules as they were recorded.
	Seen bool `json:"seen,omitempty"`
}

// String gives a sentence.
func (c Counterfactual) String() string { return "would " + c.Would + " " + c.If }

// maxValues is how many values of a parameter, and paths, are tried.
const maxValues = 4

// Candidates are the changes that, by the record, can make the task run, or a task that runs not
// run; the most likely first.
func (s Story) Candidates() []Counterfactual {
	switch s.Outcome {
	case Unselected:
		return s.whenSelected()
	case Removed:
		return s.whenKept()
	case Replaced:
		return s.whenNotReplaced()
	case Created:
		return s.whenRemoved()
	}
	return nil
}

// whenSelected is about a task that a filter left out.
func (s Story) whenSelected() []Counterfactual {
	i := slices.IndexFunc(s.Selections, func(x Selection) bool { return !x.Kept })
	if i < 0 || len(s.Selections[i].Wants) == 0 {
		return nil
	}
	wants := s.Selections[i].Wants
	if slices.ContainsFunc(wants, func(w Want) bool { return len(w.OneOf) == 0 }) {
		return nil
	}
	var out []Counterfactual
	for n := range maxValues {
		when := Premise{Parameters: map[string]any{}}
		more := false
		for _, w := range wants {
			when.Parameters[w.Parameter] = w.OneOf[min(n, len(w.OneOf)-1)]
			more = more || n < len(w.OneOf)
		}
		if !more {
			break
		}
		out = append(out, Counterfactual{Would: WouldBeChosen, If: when.Text(), When: when})
	}
	return out
}

// ThenRuns turns "would be selected" into what has to hold for the task to run as well: with the
// files that its strategy asks for, where it asks for any.
func (s Story) ThenRuns(c Counterfactual) []Counterfactual {
	out := []Counterfactual{{Would: WouldRun, If: c.If, When: c.When}}
	if patterns := Patterns(s.optimization); len(patterns) > 0 {
		when := c.When
		when.FilesChanged = patterns
		out = append(out, Counterfactual{Would: WouldRun, If: when.Text(), When: when})
	}
	return out
}

// whenKept is about a task that optimization removed.
func (s Story) whenKept() []Counterfactual {
	o, _ := s.removal()
	if o.Strategy == "" {
		return nil
	}
	patterns := Patterns(map[string]any{o.Strategy: o.Arg})
	if len(patterns) == 0 {
		return nil
	}
	when := Premise{FilesChanged: patterns}
	return []Counterfactual{{Would: WouldRun, If: when.Text(), When: when}}
}

// whenNotReplaced is about a task for which another stands in.
func (s Story) whenNotReplaced() []Counterfactual {
	for _, o := range s.Optimizations {
		path, found := strings.CutPrefix(o.Reason, "found at ")
		if o.Outcome == Replaced && found {
			when := Premise{IndexEmpty: []string{path}}
			return []Counterfactual{{Would: WouldRun, If: when.Text(), When: when}}
		}
	}
	return nil
}

// whenRemoved is about a task that runs because of a file.
func (s Story) whenRemoved() []Counterfactual {
	o, ok := s.removal()
	if !ok || !strings.HasPrefix(o.Reason, "changed file ") {
		return nil
	}
	when := Premise{FilesUnchanged: Patterns(map[string]any{o.Strategy: o.Arg})}
	return []Counterfactual{{Would: WouldNotRun, If: when.Text(), When: when}}
}

// Patterns are the file patterns of skip-unless-changed in an optimization, those nested in any, all
// and not too, in their order.
func Patterns(optimization map[string]any) []string {
	var out []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if name == "skip-unless-changed" {
					out = append(out, texts(v[name])...)
					continue
				}
				walk(v[name])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(optimization)
	return out
}

func texts(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var out []string
	list, _ := v.([]any)
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Within reports whether all that p asks for is asked for by other, too; of two numbers of pushes one is
// enough.
func (p Premise) Within(other Premise) bool {
	for name, v := range p.Parameters {
		if w, has := other.Parameters[name]; !has || !Equal(v, w) {
			return false
		}
	}
	part := func(a, b []string) bool {
		return len(a) == 0 || slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
	}
	return (p.PushNumber == 0 || other.PushNumber != 0) && part(p.FilesChanged, other.FilesChanged) && part(p.FilesUnchanged, other.FilesUnchanged) && part(p.IndexEmpty, other.IndexEmpty)
}

// Text words the premise, to follow "would run".
func (p Premise) Text() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		parts = append(parts, parameterText(name, p.Parameters[name]))
	}
	if len(p.FilesChanged) > 0 {
		parts = append(parts, "if one of these files changed: "+strings.Join(p.FilesChanged, ", "))
	}
	if len(p.FilesUnchanged) > 0 {
		parts = append(parts, "if nothing changed that matches "+strings.Join(p.FilesUnchanged, ", "))
	}
	if len(p.IndexEmpty) > 0 {
		parts = append(parts, "if the index had no task at "+strings.Join(p.IndexEmpty, ", "))
	}
	if p.PushNumber != 0 {
		parts = append(parts, fmt.Sprintf("on push %d", p.PushNumber))
	}
	return strings.Join(parts, " and ")
}

func parameterText(name string, v any) string {
	text, ok := v.(string)
	if !ok {
		text = Short(v)
	}
	switch name {
	case "project":
		return "on project " + text
	case "level":
		return "at level " + text
	case "tasks_for":
		return "for the event " + text
	case "head_ref":
		return "on branch " + strings.TrimPrefix(text, "refs/heads/")
	}
	return "with the parameter " + name + ": " + text
}
