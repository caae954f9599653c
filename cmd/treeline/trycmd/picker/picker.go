// Package picker lets a person pick labels in a terminal: a query that is looked for at each key press, the
// labels that match, those that are picked, and what is known of the one under the cursor.
//
// Model is all of it but the terminal: it takes keys and gives lines. Run is the terminal. It sets raw mode
// itself rather than by a library, as those at hand ask the terminal for its colours when the program
// starts, whatever the program is started for.
package picker

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/fuzzy"
)

// Options say what to pick from.
type Options struct {
	Labels  []string
	Query   string // to begin with
	Exactly bool   // see fuzzy.Parse
	Picked  []string
	// Preview says what is known of a label, a line each. It is asked for the label under the cursor.
	Preview func(label string) []string
	Colour  bool
}

// Model is the state of a picker. It is for one goroutine.
type Model struct {
	o       Options
	list    *fuzzy.List
	search  *fuzzy.Search
	found   []fuzzy.Found
	picked  []bool
	count   int // of picked
	query   []rune
	caret   int
	cursor  int // in found
	top     int // of found, in the first row shown
	width   int
	height  int
	preview bool
	pasting bool
	note    string // takes the place of the counts until the next key
	ended   bool
	stopped bool
}

// New makes a picker for a terminal of 80 by 24.
func New(o Options) *Model {
	m := &Model{o: o, list: fuzzy.New(o.Labels), picked: make([]bool, len(o.Labels)), width: 80, height: 24, preview: true}
	m.search = fuzzy.NewSearch(m.list, o.Exactly)
	for i, label := range o.Labels {
		if slices.Contains(o.Picked, label) {
			m.set(i, true)
		}
	}
	m.query = []rune(o.Query)
	m.caret = len(m.query)
	m.look()
	return m
}

// Resize says how many columns and rows the terminal has.
func (m *Model) Resize(width, height int) {
	m.width, m.height = max(width, 1), max(height, 1)
	m.scroll()
}

// Ended reports whether the person has finished; ok is false when that was to stop without picking.
func (m *Model) Ended() (ended, ok bool) { return m.ended, m.ended && !m.stopped }

// Query is the query as it stands.
func (m *Model) Query() string { return string(m.query) }

// Picked are the labels picked, in the order of the list; the one under the cursor when none is.
func (m *Model) Picked() []string {
	var out []string
	for i, p := range m.picked {
		if p {
			out = append(out, m.o.Labels[i])
		}
	}
	if label, ok := m.current(); ok && len(out) == 0 {
		out = []string{label}
	}
	return out
}

func (m *Model) current() (string, bool) {
	if m.cursor >= len(m.found) {
		return "", false
	}
	return m.o.Labels[m.found[m.cursor].Index], true
}

func (m *Model) set(index int, picked bool) {
	if m.picked[index] != picked {
		m.picked[index] = picked
		if m.count++; !picked {
			m.count -= 2
		}
	}
}

// look finds again after the query has changed.
func (m *Model) look() {
	m.found = m.search.Find(string(m.query))
	m.cursor, m.top = 0, 0
}

// Key takes one key.
func (m *Model) Key(k Key) {
	m.note = ""
	switch {
	case k.Name == "paste":
		m.pasting = true
	case k.Name == "pasted":
		m.pasting = false
	case m.pasting && k.Name != "":
		if k.Name == "enter" || k.Name == "tab" {
			m.insert(' ')
		}
	case k.Name == "":
		m.insert(k.Rune)
	case m.edit(k.Name) || m.move(k.Name) || m.pick(k.Name):
	case k.Name == "enter":
		if len(m.Picked()) == 0 {
			m.note = "nothing is picked, and nothing matches"
			return
		}
		m.ended = true
	case k.Name == "esc", k.Name == "ctrl+c", k.Name == "ctrl+g":
		m.ended, m.stopped = true, true
	case k.Name == "ctrl+o":
		m.preview = !m.preview
		m.scroll()
	}
}

func (m *Model) insert(r rune) {
	if len(m.query) < fuzzy.MaxQuery && unicode.IsPrint(r) {
		m.query = slices.Insert(m.query, m.caret, r)
		m.caret++
		m.look()
	}
}

// edit takes keys that change the query.
func (m *Model) edit(key string) bool {
	from, to := m.caret, m.caret
	switch key {
	case "left", "ctrl+b":
		m.caret = max(m.caret-1, 0)
		return true
	case "right", "ctrl+f":
		m.caret = min(m.caret+1, len(m.query))
		return true
	case "home":
		m.caret = 0
		return true
	case "end", "ctrl+e":
		m.caret = len(m.query)
		return true
	case "backspace":
		from = max(m.caret-1, 0)
	case "delete":
		to = min(m.caret+1, len(m.query))
	case "ctrl+u":
		from = 0
	case "ctrl+w", "alt+backspace":
		for from > 0 && m.query[from-1] == ' ' {
			from--
		}
		for from > 0 && m.query[from-1] != ' ' {
			from--
		}
	default:
		return false
	}
	if from < to {
		m.query, m.caret = slices.Delete(m.query, from, to), from
		m.look()
	}
	return true
}

// move takes keys that move the cursor.
func (m *Model) move(key string) bool {
	page := max(m.rows()-1, 1)
	step, ok := map[string]int{
		"up": -1, "ctrl+p": -1, "ctrl+k": -1, "down": 1, "ctrl+n": 1, "ctrl+j": 1,
		"pgup": -page, "pgdown": page, "ctrl+home": -len(m.found), "ctrl+end": len(m.found),
	}[key]
	if ok {
		m.cursor = max(min(m.cursor+step, len(m.found)-1), 0)
		m.scroll()
	}
	return ok
}

// pick takes keys that pick, of those that match.
func (m *Model) pick(key string) bool {
	switch key {
	case "tab", "shift+tab":
		if m.cursor < len(m.found) {
			i := m.found[m.cursor].Index
			m.set(i, !m.picked[i])
		}
		m.move(map[string]string{"tab": "down", "shift+tab": "up"}[key])
	case "ctrl+a", "ctrl+d", "ctrl+t":
		for _, f := range m.found {
			m.set(f.Index, key == "ctrl+a" || key == "ctrl+t" && !m.picked[f.Index])
		}
	default:
		return false
	}
	return true
}

// scroll keeps the cursor among the rows shown.
func (m *Model) scroll() {
	rows := max(m.rows(), 1)
	m.top = max(min(m.top, m.cursor), m.cursor-rows+1, 0)
}

// counts says how many there are, in words that fit.
func (m *Model) counts() string {
	if m.note != "" {
		return m.note
	}
	return fmt.Sprintf("%d of %d match, %d picked", len(m.found), len(m.o.Labels), m.count)
}

// columns is how many columns of a terminal a rune takes.
func columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cleaned is a rune that does nothing to a terminal.
func cleaned(r rune) rune {
	if !unicode.IsPrint(r) {
		return unicode.ReplacementChar
	}
	return r
}

// cut is as much of plain text as fits into that many columns, and how many it takes.
func cut(text string, most int) (string, int) {
	var b strings.Builder
	n := 0
	for _, r := range text {
		r = cleaned(r)
		if n+columns(r) > most {
			break
		}
		b.WriteRune(r)
		n += columns(r)
	}
	return b.String(), n
}
