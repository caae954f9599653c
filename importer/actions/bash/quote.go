// Package bash writes scripts for bash in which values stand where GitHub would put them.
package bash

import (
	"regexp"
	"strings"
)

// InQuotes is a text for the inside of double quotes.
func InQuotes(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(s)
}

// Quoted is a word for bash that stands for the text itself.
func Quoted(s string) string {
	if bare.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// IsName reports whether a variable of the shell can have the name.
func IsName(s string) bool { return name.MatchString(s) }

var (
	name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	bare = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)
)

var (
	changes = regexp.MustCompile(`(?m)^\s*(cd|export|set|source|\.|exit|exec|trap|shopt|alias|unset|pushd|popd|umask|eval|ulimit|return|declare|function|[A-Za-z_]\w*\+?=|[\w-]+\s*\(\))`)
	within  = regexp.MustCompile(`[;&|({]\s*(cd|export|set|source|\.|exit|exec|unset|pushd)\s`)
)

// Plain reports a script that leaves the shell it runs in as it was.
func Plain(body string) bool {
	return !changes.MatchString(body) && !within.MatchString(body) && !strings.Contains(body, "<<") && !strings.Contains(body, "exit") &&
		strings.Count(body, "'")%2 == 0 && strings.Count(body, `"`)%2 == 0 && strings.Count(body, "(") == strings.Count(body, ")") && !strings.HasSuffix(body, `\`)
}

// Uncommented is a script without lines that are comments.
func Uncommented(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(strings.TrimSpace(l), "#") {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}
