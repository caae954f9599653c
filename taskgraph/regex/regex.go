// Package regex matches regular expressions as the field's kind files write them: with the
// syntax and the meaning of Python's re module (taskgraph-map 28, trap 4), lookaround and
// back references included, which the standard library's expressions lack.
//
// Matching backtracks, as that syntax demands, within a budget of steps; an expression that would
// take more is an error instead of a hang. A Regexp is immutable and safe for concurrent use.
package regex

import (
	"errors"
	"unicode"
	"unicode/utf8"
)

// MaxLength is how long an expression may be, in bytes.
const MaxLength = 10_000

// maxSteps is how much work one match may be; maxText bounds the text in runes, so that the
// depth of the matching stays bounded.
const (
	maxSteps = 200_000
	maxText  = 5_000
)

// ErrCostly is the error of a match that takes too many steps.
var ErrCostly = errors.New("it takes too long to match; make it simpler")

// Regexp is a compiled expression.
type Regexp struct {
	start  match
	groups int
}

// MatchStart reports whether the expression matches text from its start; it need not reach the
// end.
func (r *Regexp) MatchStart(text string) (bool, error) {
	if utf8.RuneCountInString(text) > maxText {
		return false, ErrCostly
	}
	m := &state{text: []rune(text), groups: make([]int, 2*(r.groups+1)), left: maxSteps}
	for i := range m.groups {
		m.groups[i] = -1
	}
	ok := r.start(m, 0, func(int) bool { return true })
	if m.left <= 0 {
		return false, ErrCostly
	}
	return ok, nil
}

// state is one match on its way.
type state struct {
	text   []rune
	groups []int // start and end of each group, -1 for unset
	left   int   // steps
}

// step spends one step; false means the budget is used up.
func (m *state) step() bool {
	m.left--
	return m.left > 0
}

// next is what follows: it is given where the match has come to.
type next func(at int) bool

// match matches from a place on and asks what follows whether it can go on from there.
type match func(m *state, at int, then next) bool

func nothing(_ *state, at int, then next) bool { return then(at) }

// one matches one rune.
func one(ok func(rune) bool) match {
	return func(m *state, at int, then next) bool {
		return m.step() && at < len(m.text) && ok(m.text[at]) && then(at+1)
	}
}

func sequence(a, b match) match {
	return func(m *state, at int, then next) bool {
		return a(m, at, func(at int) bool { return b(m, at, then) })
	}
}

func either(branches []match) match {
	return func(m *state, at int, then next) bool {
		for _, b := range branches {
			if m.step() && b(m, at, then) {
				return true
			}
		}
		return false
	}
}

// capture remembers where the group matched, as long as what follows goes on.
func capture(index int, body match) match {
	return func(m *state, at int, then next) bool {
		return body(m, at, func(end int) bool {
			start, stop := m.groups[2*index], m.groups[2*index+1]
			m.groups[2*index], m.groups[2*index+1] = at, end
			if then(end) {
				return true
			}
			m.groups[2*index], m.groups[2*index+1] = start, stop
			return false
		})
	}
}

// back matches what the group matched.
func back(index int, fold bool) match {
	return func(m *state, at int, then next) bool {
		start, end := m.groups[2*index], m.groups[2*index+1]
		if start < 0 || at+end-start > len(m.text) {
			return false
		}
		for i := start; i < end; i++ {
			a, b := m.text[i], m.text[at+i-start]
			equal := a == b || fold && same(a, b)
			if !m.step() || !equal {
				return false
			}
		}
		return then(at + end - start)
	}
}

// repeat matches body at least low times and at most high times (-1: any number).
func repeat(body match, low, high int, lazy bool) match {
	var from func(m *state, at, done int, then next) bool
	from = func(m *state, at, done int, then next) bool {
		if !m.step() {
			return false
		}
		more := func() bool {
			if high >= 0 && done >= high {
				return false
			}
			return body(m, at, func(end int) bool {
				if end != at {
					return from(m, end, done+1, then)
				}
				// A round of nothing leads nowhere, but stands for all the rounds still owed.
				return done < low && then(at)
			})
		}
		switch {
		case done < low:
			return more()
		case lazy:
			return then(at) || more()
		}
		return more() || then(at)
	}
	return func(m *state, at int, then next) bool { return from(m, at, 0, then) }
}

// alone matches body for itself: what it captured is forgotten unless what follows goes on.
func alone(m *state, body func() bool) bool {
	before := append([]int(nil), m.groups...)
	if body() {
		return true
	}
	copy(m.groups, before)
	return false
}

// atomic matches body once and for all: what follows cannot make it try another way.
func atomic(body match) match {
	return func(m *state, at int, then next) bool {
		return alone(m, func() bool {
			end := -1
			return body(m, at, func(e int) bool { end = e; return true }) && then(end)
		})
	}
}

// ahead looks whether body matches here, without moving; behind looks at the width runes before.
func ahead(body match, negative bool) match {
	return func(m *state, at int, then next) bool {
		return alone(m, func() bool {
			return body(m, at, func(int) bool { return true }) != negative && m.left > 0 && then(at)
		})
	}
}

func behind(body match, width int, negative bool) match {
	return func(m *state, at int, then next) bool {
		return alone(m, func() bool {
			found := at >= width && body(m, at-width, func(end int) bool { return end == at })
			return found != negative && m.left > 0 && then(at)
		})
	}
}

// choice goes on with yes if the group has matched, else with no.
func choice(index int, yes, no match) match {
	return func(m *state, at int, then next) bool {
		if m.groups[2*index] >= 0 {
			return yes(m, at, then)
		}
		return no(m, at, then)
	}
}

// place matches no rune but a place.
func place(ok func(m *state, at int) bool) match {
	return func(m *state, at int, then next) bool { return m.step() && ok(m, at) && then(at) }
}

func atStart(_ *state, at int) bool { return at == 0 }
func atEnd(m *state, at int) bool   { return at == len(m.text) }

// beforeEnd is the end, or just before a line feed at the end.
func beforeEnd(m *state, at int) bool {
	return at == len(m.text) || at == len(m.text)-1 && m.text[at] == '\n'
}
func atLineStart(m *state, at int) bool { return at == 0 || m.text[at-1] == '\n' }
func atLineEnd(m *state, at int) bool   { return at == len(m.text) || m.text[at] == '\n' }

func boundary(word func(rune) bool, want bool) func(*state, int) bool {
	return func(m *state, at int) bool {
		before := at > 0 && word(m.text[at-1])
		after := at < len(m.text) && word(m.text[at])
		return (before != after) == want && (want || len(m.text) > 0) // \B fits no empty text, as in the field
	}
}

func same(a, b rune) bool {
	if a == b {
		return true
	}
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
}

func isWord(r rune) bool  { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }
func isDigit(r rune) bool { return unicode.Is(unicode.Nd, r) }
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func isASCIIWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
func isASCIIDigit(r rune) bool { return r >= '0' && r <= '9' }
func isASCIISpace(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }
