package docs

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

var (
	toPage        = regexp.MustCompile(`!?\[([^\]]*)\]\(([^)\s]*)\)`)
	terminalMarks = strings.NewReplacer("**", "", "`", "", `\|`, "|")
	dividing      = regexp.MustCompile(`^\|[\s:|-]+\|$`)
)

// Text is a page for a terminal: no marks but those that help, the names of pages behind links, code indented. bold
// makes headings stand out; nil leaves them as they are.
func (p *Page) Text(bold func(string) string) string {
	if bold == nil {
		bold = func(s string) string { return s }
	}
	var out strings.Builder
	comment := false
	var table [][]string
	var prose []string // whose links may go over lines
	flush := func() {
		if len(prose) > 0 {
			out.WriteString(p.plain(strings.Join(prose, "\n")) + "\n")
		}
		writeTable(&out, table, bold)
		prose, table = nil, nil
	}
	eachLine(string(p.Source), func(line string, code bool) {
		mark := strings.TrimSpace(line)
		if comment || code && strings.HasPrefix(mark, "<!--") {
			comment = !strings.Contains(line, "-->")
			return
		}
		if !code && strings.HasPrefix(line, "|") {
			if len(prose) > 0 {
				flush()
			}
			if !dividing.MatchString(line) {
				table = append(table, p.cells(line))
			}
			return
		}
		_, heading, isHeading := headingOf(line)
		if code || isHeading || table != nil {
			flush()
		}
		switch {
		case code && strings.HasPrefix(mark, "```"):
		case code && !strings.HasPrefix(line, "    "):
			out.WriteString("    " + line + "\n")
		case code:
			out.WriteString(line + "\n")
		case isHeading:
			out.WriteString(bold(p.plain(heading)) + "\n")
		default:
			prose = append(prose, line)
		}
	})
	flush()
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// plain is a line without marks; links to pages are followed by their names.
func (p *Page) plain(line string) string {
	line = toPage.ReplaceAllStringFunc(line, func(l string) string {
		part := toPage.FindStringSubmatch(l)
		to := part[2]
		switch {
		case strings.HasPrefix(l, "!"):
			return "[" + part[1] + "]"
		case strings.Contains(to, "://"):
			return part[1] + " (" + to + ")"
		case strings.HasPrefix(to, "#"), to == "":
			return part[1]
		}
		file, _, _ := strings.Cut(to, "#")
		if name := strings.TrimSuffix(path.Join(path.Dir(p.Name), file), ".md"); name != file {
			return part[1] + " (" + name + ")"
		}
		return part[1]
	})
	return terminalMarks.Replace(line)
}

func (p *Page) cells(line string) []string {
	line = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), `\|`, "\x00")
	parts := strings.Split(line, "|")
	for i, c := range parts {
		parts[i] = p.plain(strings.ReplaceAll(strings.TrimSpace(c), "\x00", "|"))
	}
	return parts
}

const columnMax = 44 // characters of a column that is not the last

func writeTable(out *strings.Builder, rows [][]string, bold func(string) string) {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(columnMax, len([]rune(c))))
		}
	}
	for n, r := range rows {
		var line strings.Builder
		for i, c := range r {
			if i == len(r)-1 {
				line.WriteString(c)
			} else {
				fmt.Fprintf(&line, "%-*s  ", widths[i], c)
			}
		}
		text := "  " + strings.TrimRight(line.String(), " ")
		if n == 0 && strings.TrimSpace(text) != "" {
			text = bold(text)
		}
		if strings.TrimSpace(text) != "" {
			out.WriteString(text + "\n")
		}
	}
}
