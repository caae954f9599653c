// Package glob matches the file patterns of skip-unless-changed and of conditions
// (taskgraph-map 14.5): "*" stands for anything within a name, "**" as a whole name for any
// number of names, a pattern that names a directory matches all below it, and the empty
// pattern matches everything. No other character is special.
package glob

import (
	"iter"
	"regexp"
	"slices"
	"strings"
)

// First is the first of files that pattern matches, "" for none.
func First(pattern string, files []string) string {
	for f := range matching(pattern, files) {
		return f
	}
	return ""
}

// All are those of files that pattern matches, in their order.
func All(pattern string, files []string) []string { return slices.Collect(matching(pattern, files)) }

func matching(pattern string, files []string) iter.Seq[string] {
	literal, _, wild := strings.Cut(pattern, "*")
	return func(yield func(string) bool) {
		var re *regexp.Regexp
		for _, f := range files {
			if !strings.HasPrefix(f, strings.TrimSuffix(literal, "/")) {
				continue
			}
			ok := pattern == "" || f == pattern || strings.HasPrefix(f, pattern+"/")
			if wild {
				if re == nil {
					re = regexp.MustCompile(expression(pattern))
				}
				ok = re.MatchString(f)
			}
			if ok && !yield(f) {
				return
			}
		}
	}
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
