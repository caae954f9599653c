package explain

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/near"
)

// Missing says what is known of a label that no task has.
type Missing struct {
	// Drops are entries that would have made it, or of which it would have been a part.
	Drops []Drop `json:"drops,omitempty"`
	// Entries make tasks of the same form.
	Entries []Entry `json:"entries,omitempty"`
	// Nearest are labels that look alike, the nearest first.
	Nearest []string `json:"nearest,omitempty"`
	// Kind is the kind that the label would be of by its beginning, "" when there is none; it made
	// KindTasks tasks.
	Kind      string `json:"kind,omitempty"`
	KindTasks int    `json:"kindTasks,omitempty"`
}

// Entry is an entry of a kind with the tasks it made.
type Entry struct {
	Kind   string   `json:"kind"`
	Entry  string   `json:"entry"`
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Labels []string `json:"labels"` // the first few
	More   int      `json:"more,omitempty"`
	// Dimension is the axis of its matrix that has no such value as the label asks for, Value that
	// value, and Values those that there are. "" when it is not about a matrix.
	Dimension string   `json:"dimension,omitempty"`
	Value     string   `json:"value,omitempty"`
	Values    []string `json:"values,omitempty"`
}

const (
	maxEntries = 3
	maxLabels  = 6
	maxNearest = 3
)

// Missing says why there is no task of that label, given where all tasks came from. kinds are the
// names of all kinds.
func (l *Log) Missing(label string, tasks map[string]Provenance, kinds []string) Story {
	m := &Missing{}
	if l != nil {
		for _, d := range l.Drops {
			if d.Label == label || d.By != IfCondition && strings.HasPrefix(label, d.Label+"-") || matches(d.Kind, d.Entry, label) && d.By == IfCondition {
				m.Drops = append(m.Drops, d)
			}
		}
	}
	m.Entries = entriesLike(label, tasks)
	m.Nearest = l.nearest(label, tasks)
	for _, kind := range kinds {
		if strings.HasPrefix(label, kind+"-") && len(kind) > len(m.Kind) {
			m.Kind = kind
		}
	}
	for _, p := range tasks {
		if m.Kind != "" && p.Kind == m.Kind {
			m.KindTasks++
		}
	}
	return Story{Label: label, Outcome: Unknown, Missing: m}
}

// place is an entry as tasks refer to it.
type place struct {
	kind, entry, file string
	line              int
}

// placeholder is what transforms fill in in names, such as {this_chunk}.
var placeholder = regexp.MustCompile(`\\\{[^{}]*\\\}`)

// matches reports whether an entry of that name could make a task of that label: as its name stands,
// with anything in the place of placeholders, and with the cell of a matrix behind.
func matches(kind, entry, label string) bool {
	rest, ok := strings.CutPrefix(label, kind+"-")
	if !ok || entry == "" {
		return false
	}
	if rest == entry || strings.HasPrefix(rest, entry+"-") {
		return true
	}
	if !strings.Contains(entry, "{") {
		return false
	}
	re, err := regexp.Compile(`\A` + placeholder.ReplaceAllString(regexp.QuoteMeta(entry), `.+`) + `(-.*)?\z`)
	return err == nil && re.MatchString(rest)
}

// entriesLike are the entries that make tasks of labels like this one.
func entriesLike(label string, tasks map[string]Provenance) []Entry {
	made := map[place][]string{}
	for other, p := range tasks {
		if matches(p.Kind, p.Entry, label) {
			at := place{p.Kind, p.Entry, p.File, p.Line}
			made[at] = append(made[at], other)
		}
	}
	places := slices.SortedFunc(maps.Keys(made), func(a, b place) int {
		return cmp.Or(len(b.entry)-len(a.entry), strings.Compare(a.file, b.file), a.line-b.line, strings.Compare(a.entry, b.entry))
	})
	var out []Entry
	for _, at := range places[:min(len(places), maxEntries)] {
		labels := made[at]
		slices.Sort(labels)
		e := Entry{Kind: at.kind, Entry: at.entry, File: at.file, Line: at.line, Labels: labels[:min(len(labels), maxLabels)]}
		e.More = len(labels) - len(e.Labels)
		e.fitMatrix(label, labels, tasks)
		out = append(out, e)
	}
	return out
}

// fitMatrix finds the axis that lacks the value that the label asks for.
func (e *Entry) fitMatrix(label string, labels []string, tasks map[string]Provenance) {
	var axes []string
	values := map[string][]string{}
	for _, l := range labels {
		for _, d := range tasks[l].Cell() {
			if _, known := values[d.Name]; !known {
				axes = append(axes, d.Name)
			}
			if !slices.Contains(values[d.Name], d.Value) {
				values[d.Name] = append(values[d.Name], d.Value)
			}
		}
	}
	rest, ok := strings.CutPrefix(label, e.Kind+"-"+e.Entry+"-")
	for _, axis := range axes {
		if !ok {
			return
		}
		if at := slices.IndexFunc(values[axis], func(v string) bool { return rest == v || strings.HasPrefix(rest, v+"-") }); at >= 0 {
			rest, ok = strings.CutPrefix(rest[len(values[axis][at]):], "-")
			continue
		}
		e.Dimension, e.Values = axis, values[axis]
		e.Value, _, _ = strings.Cut(rest, "-")
		slices.Sort(e.Values)
		return
	}
}

// nearest are the labels with the fewest letters that differ; where no task has one, those that became
// no task.
func (l *Log) nearest(label string, tasks map[string]Provenance) []string {
	limit := max(len(label)/3, 2)
	type neighbour struct {
		label string
		steps int
	}
	var found []neighbour
	look := func(other string) {
		if n := near.Distance(label, other, limit+1); n <= limit && n > 0 {
			found = append(found, neighbour{other, n})
		}
	}
	for other := range tasks {
		look(other)
	}
	if l != nil && len(found) == 0 {
		for _, d := range l.Drops {
			look(d.Label)
		}
	}
	slices.SortFunc(found, func(a, b neighbour) int { return cmp.Or(a.steps-b.steps, strings.Compare(a.label, b.label)) })
	var out []string
	for _, f := range found[:min(len(found), maxNearest)] {
		out = append(out, f.label)
	}
	return out
}

// lines says it for people.
func (m *Missing) lines() []string {
	var out []string
	for _, d := range m.Drops {
		at := fmt.Sprintf("%s:%d entry %q", d.File, d.Line, d.Entry)
		if d.Rule != "" {
			d.Reason += " (" + d.Rule + ")"
		}
		switch {
		case d.By == IfCondition:
			out = append(out, fmt.Sprintf("%s was left out: its condition does not hold: %s", at, d.Reason))
		case d.Reason != "":
			out = append(out, fmt.Sprintf("%s: %s made no task %s: %s", at, d.By, d.Label, d.Reason))
		default:
			out = append(out, fmt.Sprintf("%s: %s made no task of it", at, d.By))
		}
	}
	for _, e := range m.Entries {
		if e.Dimension != "" {
			out = append(out, fmt.Sprintf("%s:%d entry %q makes a task of each cell of its matrix; %q is no value of %s there (%s)", e.File, e.Line, e.Entry, e.Value, e.Dimension, strings.Join(e.Values, ", ")))
			continue
		}
		more := ""
		if e.More > 0 {
			more = fmt.Sprintf(" and %d more", e.More)
		}
		out = append(out, fmt.Sprintf("%s:%d entry %q makes %s%s", e.File, e.Line, e.Entry, strings.Join(e.Labels, ", "), more))
	}
	if len(m.Nearest) > 0 {
		out = append(out, "is "+strings.Join(m.Nearest, " or ")+" meant?")
	}
	if m.Kind == "" {
		out = append(out, "no kind's name begins it")
	} else {
		out = append(out, fmt.Sprintf("kind %s makes %d tasks", m.Kind, m.KindTasks))
	}
	return out
}
