package explain

import (
	"fmt"
	"strings"
)

// Sentence tells in one sentence why there is a task of the label, or why not: the rule that decided, in its
// own words. The rest of the story is left out.
func (s Story) Sentence() string {
	switch s.Outcome {
	case Unknown:
		if lines := s.Missing.lines(); len(lines) > 0 {
			return "No kind makes it: " + lines[0] + "."
		}
		return "No kind makes it."
	case Unselected:
		for _, x := range s.Selections {
			if !x.Kept {
				return fmt.Sprintf("It was not wanted: %s says that %s%s.", x.Filter, x.Rule, input(x))
			}
		}
	case Replaced, Removed:
		for _, o := range s.Optimizations {
			switch {
			case o.Outcome == Replaced && s.Outcome == Replaced:
				return fmt.Sprintf("Task %s stands in for it: %s.", o.TaskID, reason(o))
			case o.Outcome == Removed && s.Outcome == Removed:
				return fmt.Sprintf("It was left out: %s.", reason(o))
			}
		}
	}
	return s.runs()
}

// runs is the sentence of a task that was created.
func (s Story) runs() string {
	if len(s.Because) > 0 {
		text := "It runs because " + s.Because[0] + " needs it"
		if n := len(s.Because); n > 1 {
			text += ", which in the end " + s.Because[n-1] + " needs"
		}
		return text + "."
	}
	var because []string
	for _, x := range s.Selections {
		if x.Kept {
			because = append(because[:0], fmt.Sprintf("%s wants it: %s%s", x.Filter, x.Rule, input(x)))
		}
	}
	for _, o := range s.Optimizations {
		if o.Outcome == Kept && o.Phase == "remove" && o.Strategy != "" {
			because = append(because, reason(o))
		}
	}
	if len(because) == 0 {
		if len(s.Morphs) > 0 {
			return fmt.Sprintf("It runs because morph %s added it: %s.", s.Morphs[0].Morph, s.Morphs[0].Change)
		}
		return "It runs because its kind makes it."
	}
	return "It runs because " + strings.Join(because, ", and ") + "."
}

// reason is why an optimization decided as it did, with its strategy.
func reason(o Optimization) string {
	if o.Strategy == "" {
		return o.Reason
	}
	return o.Reason + " (" + o.Strategy + ")"
}

// input is what the rule of a selection looked at.
func input(x Selection) string {
	if x.Input == "" {
		return ""
	}
	return " (" + x.Input + ")"
}

// Place is where the rule stands that decided, as file:line; that of the entry where the rule's own is not
// known, and "" when a transform made it.
func (s Story) Place() string {
	var keys []string
	switch s.Outcome {
	case Unselected:
		for _, x := range s.Selections {
			if !x.Kept {
				keys = append(keys, ruleKey(x.Rule))
			}
		}
	default:
		for _, o := range s.Optimizations {
			if o.Strategy != "" {
				keys = append(keys, "optimization", "when")
			}
		}
	}
	if s.Missing != nil && len(s.Missing.Drops) > 0 {
		d := s.Missing.Drops[0]
		if d.Rule != "" {
			return d.Rule
		}
		return place{file: d.File, line: d.Line}.String()
	}
	for _, key := range keys {
		if at := s.Provenance.Places[key]; at != "" {
			return at
		}
	}
	return place{file: s.Provenance.File, line: s.Provenance.Line}.String()
}

// String is the place as file:line.
func (p place) String() string {
	if p.file == "" || p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}
