package picker

import (
	"slices"
	"strings"
)

// Sizes of the parts of the screen, in columns and rows.
const (
	sideBySide = 90 // from this width on the preview stands at the right
	below      = 18 // from this height on it stands below otherwise
	belowRows  = 8
)

const prompt = "> "

// help are the keys, the more important first.
func help() []string {
	return []string{"enter: take them", "tab: pick", "esc: stop", "^a: pick all that match", "^d: none of them", "^t: the others", "^o: preview", "^u: new query",
		"'exact ^begin end$ !not a | b"}
}

// rows is how many rows the list has.
func (m *Model) rows() int {
	n := m.height - m.heads() - m.feet()
	if m.previewBelow() {
		n -= belowRows
	}
	return n
}

// heads and feet are the rows above and below the list: there are fewer on a low screen.
func (m *Model) heads() int { return min(2, max(m.height-1, 1)) }

func (m *Model) feet() int {
	if m.height < 5 {
		return 0
	}
	return 1
}

func (m *Model) previewBelow() bool {
	return m.preview && m.o.Preview != nil && m.width < sideBySide && m.height >= below
}

func (m *Model) previewBeside() bool {
	return m.preview && m.o.Preview != nil && m.width >= sideBySide
}

// paint gives text in a colour of ANSI, where there are colours.
func (m *Model) paint(colour, text string) string {
	if !m.o.Colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Caret is where the next letter of the query goes: row and column, from 0.
func (m *Model) Caret() (row, column int) {
	_, from := m.shownQuery()
	_, n := cut(string(m.query[from:m.caret]), m.width)
	return 0, min(len(prompt)+n, m.width-1)
}

// shownQuery is the part of the query that fits, and where it begins.
func (m *Model) shownQuery() (string, int) {
	room := m.width - len(prompt) - 1
	if room <= 0 {
		return "", m.caret
	}
	from := 0
	for n := 0; from < m.caret; from++ {
		if _, n = cut(string(m.query[from:m.caret]), 1<<20); n <= room {
			break
		}
	}
	text, _ := cut(string(m.query[from:]), room)
	return text, from
}

// View is the screen: as many lines as it has rows, none longer than it has columns.
func (m *Model) View() []string {
	query, _ := m.shownQuery()
	lines := []string{m.paint("1;36", shorten(prompt, m.width)) + query}
	if m.heads() > 1 {
		lines = append(lines, m.paint("2", shorten("  "+m.counts(), m.width)))
	}
	list := m.listLines()
	switch {
	case m.previewBeside():
		left := m.width * 11 / 20
		about := m.previewLines(m.width-left-3, len(list))
		for i := range list {
			list[i] = m.row(m.top+i, left) + m.paint("2", " │ ") + about[i]
		}
	case m.previewBelow():
		list = append(list, m.paint("2", strings.Repeat("─", m.width)))
		list = append(list, m.previewLines(m.width, belowRows-1)...)
	}
	lines = append(lines, list...)
	if m.feet() > 0 {
		lines = append(lines, m.paint("2", m.helpLine()))
	}
	return lines
}

func shorten(text string, most int) string {
	short, _ := cut(text, most)
	return short
}

// helpLine has the keys that fit.
func (m *Model) helpLine() string {
	line := ""
	for _, h := range help() {
		if next := line + "  " + h; len(next) <= m.width {
			line = next
		}
	}
	return strings.TrimPrefix(line, "  ")
}

func (m *Model) listLines() []string {
	lines := make([]string, max(m.rows(), 0))
	for i := range lines {
		lines[i] = strings.TrimRight(m.row(m.top+i, m.width), " ")
	}
	return lines
}

// row is a row of the list: a sign for the cursor, one for a pick, and the label with the letters that
// matched marked. It is as many columns wide as is said.
func (m *Model) row(at, most int) string {
	if at >= len(m.found) {
		return strings.Repeat(" ", most)
	}
	index := m.found[at].Index
	var b strings.Builder
	cursor, pick := " ", " "
	if at == m.cursor {
		cursor = ">"
	}
	if m.picked[index] {
		pick = "*"
	}
	head := shorten(cursor+pick+" ", most)
	if at == m.cursor || m.picked[index] {
		b.WriteString(m.paint("1;35", head))
	} else {
		b.WriteString(head)
	}
	n := len(head)
	places := m.list.Places(m.search.Query(), index)
	place := 0
	for _, r := range m.o.Labels[index] {
		r = cleaned(r)
		if n+columns(r) > most {
			break
		}
		n += columns(r)
		_, matched := slices.BinarySearch(places, place)
		place++
		switch {
		case matched:
			b.WriteString(m.paint("1;32", string(r)))
		case at == m.cursor:
			b.WriteString(m.paint("1", string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + strings.Repeat(" ", most-n)
}

// previewLines say what is known of the label under the cursor, in a box of that size.
func (m *Model) previewLines(wide, high int) []string {
	lines := make([]string, max(high, 0))
	label, ok := m.current()
	if !ok {
		return lines
	}
	i := 0
	for _, text := range m.o.Preview(label) {
		for _, line := range wrap(text, wide) {
			if i == len(lines) {
				return lines
			}
			lines[i] = line
			i++
		}
	}
	return lines
}

// wrap breaks text into lines of at most that many columns, at blanks where that is possible. All but the
// first begin two columns further right.
func wrap(text string, wide int) []string {
	var out []string
	indent := ""
	for {
		line, _ := cut(text, max(wide-len(indent), 1))
		used := len(line)
		if used == 0 && text != "" || wide <= len(indent) {
			return out // not even a letter fits
		}
		rest := []rune(text)[len([]rune(line)):]
		if len(rest) > 0 {
			if at := strings.LastIndexByte(line, ' '); at > 0 && rest[0] != ' ' {
				rest = []rune(text)[len([]rune(line[:at])):]
				line = line[:at]
			}
		}
		out = append(out, indent+line)
		text = strings.TrimLeft(string(rest), " ")
		if text == "" {
			return out
		}
		indent = "  "
	}
}
