package trysyntax

import (
	"errors"
	"strings"
)

// split cuts a line into words as a shell does; inside [ ] a blank is part of the word.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote byte // the quote that is open
	begun, brackets := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		if quote == 0 && (c == '[' || c == ']') {
			brackets = c == '['
		}
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'':
			if i++; i == len(line) {
				return nil, errors.New("ends with a backslash: leave it out")
			}
			if quote == '"' && line[i] != '"' && line[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteByte(line[i])
			begun = true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case (c == ' ' || c == '\t' || c == '\r') && !brackets:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote (" + string(quote) + ") is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
