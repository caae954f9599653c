// Package fuzzy finds labels with a query as people type it into fzf: words that all must match, each in
// its order of letters, with operators for what is meant exactly. It is pure: the same query over the
// same labels gives the same list.
//
//	abc    the letters a, b and c in this order, with anything between
//	'abc   abc as it stands
//	^abc   at the beginning; abc$ at the end; ^abc$ the whole label
//	!abc   not; also !^abc and !abc$
//	a | b  one of them
//
// A word in small letters does not tell small from capital ones; a capital letter in it does. A blank that
// belongs to a word is written "\ ".
package fuzzy

import (
	"strings"
	"unicode"
)

// MaxQuery bounds a query, in bytes: what comes after is not looked at.
const MaxQuery = 1 << 10

// Query is a parsed query. It is immutable, and safe for concurrent use. The zero Query matches
// everything.
type Query struct {
	groups [][]term // all must match; of one group one term
	narrow bool     // no term is negated, and none is a choice: a longer word matches fewer labels
}

type kind int

const (
	inOrder kind = iota // letters in their order
	exact               // as it stands, anywhere
	prefix
	suffix
	whole
)

// term is one word of a query.
type term struct {
	kind   kind
	not    bool
	text   []rune // folded unless cased
	cased  bool   // capitals count
	letter uint64 // the letters needed, as set of makes them
}

// Parse reads a query. Every text is one: an operator that nothing follows is left out. With exactly,
// words match as they stand, and those after ' in their order of letters.
func Parse(text string, exactly bool) Query {
	q := Query{narrow: true}
	var group []term
	or := false
	for _, word := range words(text) {
		if word == "|" {
			or = len(group) > 0
			continue
		}
		t, ok := parseTerm(word, exactly)
		if !ok {
			continue
		}
		if or {
			q.narrow, or = false, false
		} else if len(group) > 0 {
			q.groups, group = append(q.groups, group), nil
		}
		q.narrow = q.narrow && !t.not && t.kind != suffix && t.kind != whole
		group = append(group, t)
	}
	if len(group) > 0 {
		q.groups = append(q.groups, group)
	}
	return q
}

// Empty reports whether the query asks for nothing, and so matches everything.
func (q Query) Empty() bool { return len(q.groups) == 0 }

// words splits at blanks that no backslash stands before.
func words(text string) []string {
	if len(text) > MaxQuery {
		text = strings.ToValidUTF8(text[:MaxQuery], "")
	}
	var out []string
	var word strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			if r != ' ' {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case unicode.IsSpace(r):
			if word.Len() > 0 {
				out = append(out, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	if escaped {
		word.WriteRune('\\')
	}
	if word.Len() > 0 {
		out = append(out, word.String())
	}
	return out
}

// parseTerm reads the operators of a word; false when nothing but operators stands there.
func parseTerm(word string, exactly bool) (term, bool) {
	var t term
	if exactly {
		t.kind = exact
	}
	if rest, ok := strings.CutPrefix(word, "!"); ok {
		t.not, t.kind, word = true, exact, rest
	}
	begins, ends := false, false
	switch {
	case strings.HasPrefix(word, "'"):
		word = word[1:]
		if t.kind = exact; exactly && !t.not {
			t.kind = inOrder
		}
	case strings.HasPrefix(word, "^"):
		word, begins = word[1:], true
	}
	if len(word) > 1 && strings.HasSuffix(word, "$") {
		word, ends = word[:len(word)-1], true
	}
	switch {
	case begins && ends:
		t.kind = whole
	case begins:
		t.kind = prefix
	case ends:
		t.kind = suffix
	}
	t.cased = strings.IndexFunc(word, unicode.IsUpper) >= 0
	t.text = []rune(word)
	if !t.cased {
		t.text = folded(t.text)
	}
	t.letter = set(folded(t.text))
	return t, word != ""
}

// folded is text in small letters, rune by rune, so that places stay the same.
func folded(text []rune) []rune {
	out := make([]rune, len(text))
	for i, r := range text {
		out[i] = unicode.ToLower(r)
	}
	return out
}

// set is which runes a text has, coarsely: two sets of which one lacks a bit of the other tell that its
// text lacks a rune.
func set(text []rune) uint64 {
	var s uint64
	for _, r := range text {
		s |= 1 << (uint32(r) & 63)
	}
	return s
}
