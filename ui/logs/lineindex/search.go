package lineindex

import (
	"bytes"
	"context"
	"regexp"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Query is what to look for in the text that people see.
type Query struct {
	Text  string
	Regex bool // Text is a regular expression of Go (RE2): it takes time in proportion to the log
	Case  bool // capital letters differ from small ones
	From  int  // the first line, from 1
}

const maxQuery = 1000 // bytes

// Hit is a place in a line. From and To count UTF-16 units of what is seen of it, as scripts do.
type Hit struct{ Line, From, To int }

// finder returns the places in a text where something is, as pairs of bytes.
type finder func(text []byte, into [][2]int) [][2]int

// Check reports what is wrong with a query, a fault.BadArguments.
func (q Query) Check() error {
	_, err := q.finder()
	return err
}

func (q Query) finder() (finder, error) {
	switch {
	case q.Text == "":
		return nil, fault.New(fault.BadArguments, "Say what to look for.")
	case len(q.Text) > maxQuery:
		return nil, fault.New(fault.BadArguments, "A search may have up to %d bytes.", maxQuery)
	case !q.Regex && (q.Case || ascii([]byte(q.Text))):
		return literal([]byte(q.Text), q.Case), nil
	}
	text := q.Text
	if !q.Regex {
		text = regexp.QuoteMeta(text)
	}
	if !q.Case {
		text = "(?i)" + text
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fault.New(fault.BadArguments, "The regular expression cannot be used: %v.", err)
	}
	return func(line []byte, into [][2]int) [][2]int {
		for _, m := range re.FindAllIndex(line, -1) {
			if m[1] > m[0] {
				into = append(into, [2]int{m[0], m[1]})
			}
		}
		return into
	}, nil
}

func literal(want []byte, exact bool) finder {
	var small []byte
	if !exact {
		want = lower(nil, want)
	}
	return func(line []byte, into [][2]int) [][2]int {
		text := line
		if !exact {
			small = lower(small[:0], line)
			text = small
		}
		for at := 0; ; {
			i := bytes.Index(text[at:], want)
			if i < 0 {
				return into
			}
			into = append(into, [2]int{at + i, at + i + len(want)})
			at += i + len(want)
		}
	}
}

func lower(into, text []byte) []byte {
	for _, b := range text {
		if b-'A' < 26 {
			b |= 0x20
		}
		into = append(into, b)
	}
	return into
}

func ascii(text []byte) bool {
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Search calls found with the hits of one line after the other, and after each thousand lines with none, to say how
// far it is; it ends when found answers false. The whole log must be known, or what is known so far is searched.
func (x *Index) Search(ctx context.Context, q Query, found func(line int, hits []Hit) bool) error {
	find, err := q.finder()
	if err != nil {
		return err
	}
	var places [][2]int
	var hits []Hit
	return x.each(ctx, max(1, q.From), func(n int, seen []byte) bool {
		if places = find(seen, places[:0]); len(places) == 0 {
			return n%Every != 0 || found(n, nil)
		}
		hits = hits[:0]
		units, at := 0, 0
		for _, p := range places {
			from := units + utf16Units(seen[at:p[0]])
			units, at = from+utf16Units(seen[p[0]:p[1]]), p[1]
			hits = append(hits, Hit{n, from, units})
		}
		return found(n, hits)
	})
}

// utf16Units is the length of a text for a script.
func utf16Units(text []byte) int {
	n := 0
	for len(text) > 0 {
		if text[0] < utf8.RuneSelf {
			n++
			text = text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		if n++; r > 0xffff {
			n++
		}
		text = text[size:]
	}
	return n
}
