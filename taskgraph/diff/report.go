package diff

import (
	"fmt"
	"slices"
	"strings"
)

// Report holds the comparisons of two revisions for several sets of parameters.
type Report struct {
	Base  string `json:"base"`  // as the revisions are to be shown
	Head  string `json:"head"`  //
	Stage string `json:"stage"` // the stage whose graphs are compared, such as "target-graph"
	Sets  []Set  `json:"sets"`
}

// Set is the comparison for one set of parameters.
type Set struct {
	Name string `json:"parameters"`
	*Diff
}

// Empty reports whether nothing differs for any set.
func (r *Report) Empty() bool {
	return !slices.ContainsFunc(r.Sets, func(s Set) bool { return !s.Diff.Empty() })
}

// NewScopes are the scopes that no task of the base has, over all sets, sorted.
func (r *Report) NewScopes() []string {
	var out []string
	for _, s := range r.Sets {
		for _, g := range s.Gained {
			if g.New {
				out = append(out, g.Scope)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Summary says in one line what differs, such as for the title of a check.
func (r *Report) Summary() string {
	if r.Empty() {
		return "no task differs"
	}
	if len(r.Sets) == 1 {
		return r.Sets[0].Summary()
	}
	var parts []string
	for _, s := range r.Sets {
		if !s.Diff.Empty() {
			parts = append(parts, s.Name+": "+s.counts())
		}
	}
	const shown = 4
	if more := len(parts) - shown; more > 0 {
		parts = append(parts[:shown:shown], fmt.Sprintf("and %d sets more", more))
	}
	if n := len(r.NewScopes()); n > 0 {
		parts = append(parts, plural(n, "new scope"))
	}
	return strings.Join(parts, "; ")
}

// counts says how many tasks differ.
func (d *Diff) counts() string {
	return fmt.Sprintf("%d added, %d removed, %d changed", len(d.Added), len(d.Removed), d.ChangedTasks())
}

// Summary says in one line what differs.
func (d *Diff) Summary() string {
	if d.Empty() {
		return "no task differs"
	}
	s := d.counts()
	if n := len(d.Gained); n > 0 {
		s += fmt.Sprintf("; %s gained", plural(n, "scope"))
	}
	if n := len(d.Lost); n > 0 {
		s += fmt.Sprintf("; %s lost", plural(n, "scope"))
	}
	if n := len(d.Queues); n > 0 {
		s += "; " + plural(n, "new task queue")
	}
	return s + "; " + d.cost()
}

// cost says how size and cost change.
func (d *Diff) cost() string {
	return fmt.Sprintf("tasks %s, machine time %s, critical path %s",
		moved(fmt.Sprint(d.Base.Tasks), fmt.Sprint(d.Head.Tasks)), moved(d.Base.Time.String(), d.Head.Time.String()), moved(d.Base.Longest.String(), d.Head.Longest.String()))
}

// moved writes a value before and after, once if it is the same.
func moved(a, b string) string {
	if a == b {
		return a
	}
	return a + " → " + b
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// basis says what the estimate of a graph rests on.
func (s Size) basis() string {
	switch unknown := s.Tasks - s.Measured - s.Limited; {
	case s.Tasks == 0:
		return ""
	case s.Measured == s.Tasks:
		return "from earlier runs"
	case s.Measured == 0 && unknown == 0:
		return "by max-run-time"
	default:
		return fmt.Sprintf("%d tasks from earlier runs, %d by max-run-time, %d unknown", s.Measured, s.Limited, unknown)
	}
}

// few are the first labels of a list and how many more there are.
func few(labels []string, most int) string {
	if len(labels) <= most {
		return strings.Join(labels, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(labels[:most], ", "), len(labels)-most)
}
