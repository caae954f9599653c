// Package regex matches regular expressions as the field's kind files write them: Python's, with
// lookaround and back references, which the standard library's expressions lack (taskgraph-map 28,
// trap 4).
package regex

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// MaxLength is how long an expression may be, in bytes.
const MaxLength = 10_000

// maxText is how long a text may be, in bytes; patience is how long one match may take, which a match
// that does not go astray never needs.
const (
	maxText  = 20_000
	patience = time.Second
)

// ErrCostly is the error of a match that takes too long.
var ErrCostly = errors.New("it takes too long to match; make it simpler")

// Regexp is a compiled expression. It is immutable and safe for concurrent use.
type Regexp struct{ compiled *regexp2.Regexp }

// Compile reads an expression. Possessive quantifiers and the flag (?a) are not known.
func Compile(expression string) (*Regexp, error) {
	if len(expression) > MaxLength {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxLength)
	}
	re, err := regexp2.Compile(translated(expression))
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	re.MatchTimeout = patience
	return &Regexp{re}, nil
}

// MatchStart reports whether the expression matches text from its start; it need not reach the end.
func (r *Regexp) MatchStart(text string) (bool, error) {
	if len(text) > maxText {
		return false, ErrCostly
	}
	m, err := r.compiled.FindStringMatch(text)
	if err != nil {
		return false, ErrCostly
	}
	return m != nil && m.RuneIndex == 0, nil // the leftmost match
}

// translated writes in the library's syntax what Python writes otherwise: named groups, their
// repetition, the end of the text, and repetitions without a least number.
func translated(expression string) string {
	var b strings.Builder
	for rest := expression; rest != ""; {
		size, text := 1, ""
		switch {
		case strings.HasPrefix(rest, `\Z`):
			size, text = 2, `\z`
		case rest[0] == '\\' && len(rest) > 1:
			size, text = 2, rest[:2]
		case rest[0] == '[':
			size = class(rest)
			text = rest[:size]
		case strings.HasPrefix(rest, "(?P<"):
			size, text = 4, "(?<"
		case strings.HasPrefix(rest, "(?P="):
			name, _, _ := strings.Cut(rest[4:], ")")
			size, text = min(len(rest), 5+len(name)), `\k<`+name+">"
		case strings.HasPrefix(rest, "{,"):
			size, text = 2, "{0,"
		default:
			text = rest[:1]
		}
		b.WriteString(text)
		rest = rest[size:]
	}
	return b.String()
}

// class is how many bytes the brackets take at the start of text.
func class(text string) int {
	at := 1
	if strings.HasPrefix(text[at:], "^") {
		at++
	}
	if strings.HasPrefix(text[at:], "]") {
		at++ // the first one is a member
	}
	for ; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case ']':
			return at + 1
		}
	}
	return len(text)
}
