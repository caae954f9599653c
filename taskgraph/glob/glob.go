// Package glob matches the file patterns of skip-unless-changed and of conditions
// (taskgraph-map 14.5): "*" stands for anything within a name, "**" as a whole name for any
// number of names, a pattern that names a directory matches all below it, and the empty
// pattern matches everything. No other character is special.
package glob

import (
	"regexp"
	"strings"
)

// First is the first of files that pattern matches, "" for none.
func First(pattern string, files []string) string {
	if pattern == "" {
		if len(files) > 0 {
			return files[0]
		}
		return ""
	}
	literal, _, wild := strings.Cut(pattern, "*")
	var re *regexp.Regexp
	for _, f := range files {
		if !strings.HasPrefix(f, strings.TrimSuffix(literal, "/")) {
			continue
		}
		if !wild {
			if f == pattern || strings.HasPrefix(f, pattern+"/") {
				return f
			}
			continue
		}
		if re == nil {
			re = regexp.MustCompile(expression(pattern))
		}
		if re.MatchString(f) {
			return f
		}
	}
	return ""
}

// Match reports whether pattern matches path.
func Match(pattern, path string) bool {
	return pattern == "" || First(pattern, []string{path}) != ""
}

// expression is pattern as a regular expression.
func expression(p string) string {
	var b strings.Builder
	b.WriteString(`\A`)
	for i := 0; i < len(p); {
		rest := p[i:]
		switch {
		case i == 0 && strings.HasPrefix(rest, "**/"):
			b.WriteString(`(?:.+/)?`)
			i += 3
		case strings.HasPrefix(rest, "/**/"):
			b.WriteString(`/(?:.+/)?`)
			i += 4
		case rest == "/**":
			b.WriteString(`(?:/.+)?`)
			i += 3
		case i == 0 && rest == "**":
			b.WriteString(`(?:.+)?`)
			i += 2
		case rest[0] == '*':
			b.WriteString(`[^/]*`)
			i++
		default:
			j := strings.IndexAny(rest[1:], "*/") + 1
			if j == 0 {
				j = len(rest)
			}
			b.WriteString(regexp.QuoteMeta(rest[:j]))
			i += j
		}
	}
	b.WriteString(`(?:/.*)?\z`)
	return b.String()
}
