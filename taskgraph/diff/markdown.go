package diff

import (
	"fmt"
	"strings"
)

// MaxMarkdown is how long Markdown is at most, in bytes: a check-run of GitHub takes 65,535
// characters.
const MaxMarkdown = 60_000

// Markdown writes the report for a review, in at most MaxMarkdown bytes: the numbers of all sets
// first, then what differs, the most important first, as far as there is room.
func (r *Report) Markdown() string {
	return r.MarkdownWithin(MaxMarkdown, "`treeline taskgraph diff` tells all.")
}

// MarkdownWithin is Markdown in at most limit bytes; where they do not do, the last line says so, and
// more says where the rest is.
func (r *Report) MarkdownWithin(limit int, more string) string {
	m := &markdown{limit: limit, more: more}
	m.add(fmt.Sprintf("## Task graph: %s\n\n%s → %s, %s\n\n", r.Summary(), code(r.Base), code(r.Head), r.Stage))
	m.add("| parameters | tasks | added | removed | changed | machine time | critical path |\n|---|---|---|---|---|---|---|\n")
	for _, s := range r.Sets {
		m.add(fmt.Sprintf("| %s | %s | %d | %d | %d | %s | %s |\n", code(s.Name), moved(fmt.Sprint(s.Base.Tasks), fmt.Sprint(s.Head.Tasks)), len(s.Added), len(s.Removed), s.ChangedTasks(),
			moved(s.Base.Time.String(), s.Head.Time.String()), moved(s.Base.Longest.String(), s.Head.Longest.String())))
	}
	for _, s := range r.Sets {
		if !s.Diff.Empty() && m.add(fmt.Sprintf("\n### Parameters %s\n", code(s.Name))) {
			s.markdown(m)
		}
	}
	return m.text()
}

// markdown collects text up to a limit.
type markdown struct {
	b     strings.Builder
	limit int
	more  string
	left  int // pieces that found no room
}

// room is kept for the line that says that something is left out, besides what that says.
const room = 60

// add adds a piece if there is room for all of it.
func (m *markdown) add(text string) bool {
	if m.left > 0 || m.b.Len()+len(text) > m.limit-room-len(m.more) {
		m.left++
		return false
	}
	m.b.WriteString(text)
	return true
}

func (m *markdown) text() string {
	if m.left > 0 {
		fmt.Fprintf(&m.b, "\n*There is more than fits here: %s*\n", m.more)
	}
	return m.b.String()
}

func (s Set) markdown(m *markdown) {
	if len(s.Gained) > 0 {
		m.add("\n**Scopes gained**\n\n")
		for _, g := range s.Gained {
			mark := "⚠️"
			if g.New {
				mark = "🛑 new:"
			}
			m.add(fmt.Sprintf("- %s %s by %s\n", mark, code(g.Scope), codes(g.Labels)))
		}
	}
	if len(s.Lost) > 0 {
		m.add("\n**Scopes lost**\n\n")
		for _, g := range s.Lost {
			m.add(fmt.Sprintf("- %s by %s\n", code(g.Scope), codes(g.Labels)))
		}
	}
	if len(s.Queues) > 0 {
		m.add("\n**New task queues**\n\n")
		for _, q := range s.Queues {
			m.add(fmt.Sprintf("- 🛑 new: %s of %s\n", code(q.ID), codes(q.Labels)))
		}
	}
	for _, list := range []struct {
		title  string
		labels []string
	}{{"Added", s.Added}, {"Removed", s.Removed}} {
		if len(list.labels) > 0 {
			m.add(fmt.Sprintf("\n**%s** (%d)\n\n", list.title, len(list.labels)))
		}
		for _, label := range list.labels {
			m.add("- " + code(label) + "\n")
		}
	}
	if len(s.Changed) > 0 {
		m.add(fmt.Sprintf("\n**Changed** (%d)\n\n", s.ChangedTasks()))
	}
	for _, g := range s.Changed {
		m.add("- " + codes(g.Labels) + "\n")
		for _, c := range g.Changes {
			m.add("    - " + code(c.String()) + "\n")
		}
	}
}

// code quotes text that comes from the tree: whatever it holds, it stays text.
func code(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 || text == "" {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(text, "|", "¦") + fence
}

// codes quotes the first of some labels.
func codes(labels []string) string {
	var quoted []string
	for _, l := range labels[:min(len(labels), fewLabels)] {
		quoted = append(quoted, code(l))
	}
	text := strings.Join(quoted, ", ")
	if more := len(labels) - len(quoted); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
