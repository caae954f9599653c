package checks

import (
	"strings"
	"unicode/utf8"
)

// Bounds of what a check run shows (vcs-integration 1.5). GitHub counts summary and text to 65,535 each; the peer has
// learned to stay below 60,000 with all of it, so each stays below half of that.
const (
	MaxActions     = 3
	maxIdentifier  = 20
	maxLabel       = 20
	maxDescription = 40
	maxTitle       = 200
	maxText        = 29_000 // bytes
	maxNote        = 1_000
	maxName        = 200
)

// cut brings Markdown to at most n bytes: at the end of a line where it can, with code fences closed, and with a word
// that something is missing.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const end, fence = "\n\n… cut: more than GitHub shows.", "\n```"
	s = whole(s[:n-len(end)-len(fence)])
	if at := strings.LastIndexByte(s, '\n'); at > n/2 {
		s = s[:at]
	}
	open := false
	for line := range strings.Lines(s) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			open = !open
		}
	}
	if open {
		s += fence
	}
	return s + end
}

// whole drops a character that was cut in two.
func whole(s string) string {
	for len(s) > 0 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// cutLine brings a line to at most n characters.
func cutLine(s string, n int) string {
	r := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

func firstLine(s string, n int) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return cutLine(strings.TrimSpace(s), n)
}
