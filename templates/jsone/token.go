package jsone

import (
	"strings"
	"unicode/utf8"
)

// token is one piece of an expression. Its kind is the text itself for operators and keywords, otherwise "number",
// "identifier" or "string"; "" is the end of the source.
type token struct {
	kind, text string
	start, end int
}

// operators, the longer before the shorter.
var operatorTexts = []string{"**", ">=", "<=", "==", "!=", "&&", "||",
	"+", "-", "*", "/", "[", "]", ".", "(", ")", "{", "}", ":", ",", "<", ">", "!"}

// next reads the token at or after offset.
func next(source string, offset int) (token, error) {
	for offset < len(source) {
		c, size := utf8.DecodeRuneInString(source[offset:])
		if !isSpace(c) {
			break
		}
		offset += size
	}
	rest := source[offset:]
	if rest == "" {
		return token{start: offset, end: offset}, nil
	}
	if kind, size := scan(rest); size > 0 {
		return token{kind: kind, text: rest[:size], start: offset, end: offset + size}, nil
	}
	return token{}, newError(SyntaxError, "Unexpected input for '%s' at '%s'", source, rest)
}

// scan returns the kind and size of the token rest starts with, 0 when there is none.
func scan(rest string) (string, int) {
	switch c := rest[0]; {
	case isDigit(c):
		return "number", numberSize(rest)
	case isLetter(c):
		n := 1
		for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
			n++
		}
		switch word := rest[:n]; word {
		case "true", "false", "null", "in":
			return word, n
		}
		return "identifier", n
	case c == '"' || c == '\'':
		if n := strings.IndexByte(rest[1:], c); n >= 0 {
			return "string", n + 2
		}
		return "", 0
	}
	for _, op := range operatorTexts {
		if strings.HasPrefix(rest, op) {
			return op, len(op)
		}
	}
	return "", 0
}

// numberSize measures digits with an optional fraction; a point without digits after it does not belong.
func numberSize(s string) int {
	n := digits(s)
	if n < len(s) && s[n] == '.' {
		if more := digits(s[n+1:]); more > 0 {
			return n + 1 + more
		}
	}
	return n
}

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c == '_' || (c|0x20 >= 'a' && c|0x20 <= 'z') }
