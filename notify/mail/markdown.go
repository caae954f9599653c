package mail

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
)

// markdown makes HTML of Markdown. It is safe for concurrent use.
type markdown struct {
	md     goldmark.Markdown
	policy *bluemonday.Policy
}

// newMarkdown allows what GitHub's Markdown has and the tags that do no harm.
func newMarkdown() markdown {
	policy := bluemonday.UGCPolicy()
	policy.RequireNoFollowOnLinks(false)
	policy.AllowURLSchemes("http", "https", "mailto")
	policy.AllowAttrs("align").OnElements("td", "th")
	return markdown{
		md: goldmark.New(goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
			extension.Strikethrough, extension.Linkify, extension.TaskList), goldmark.WithRendererOptions(html.WithUnsafe(), html.WithHardWraps())),
		policy: policy,
	}
}

// html returns clean HTML. Text that would take long to make sense of is shown as it is.
func (m markdown) html(text string) (template.HTML, error) {
	if intricate(text) {
		return template.HTML("<pre>" + template.HTMLEscapeString(text) + "</pre>"), nil //nolint:gosec // it is escaped
	}
	var out bytes.Buffer
	if err := m.md.Convert([]byte(text), &out); err != nil {
		return "", fmt.Errorf("mail: Markdown: %w", err)
	}
	// Mail has no boxes to tick.
	made := strings.NewReplacer(`<input checked="" disabled="" type="checkbox">`, "☑", `<input disabled="" type="checkbox">`, "☐").Replace(out.String())
	return template.HTML(m.policy.Sanitize(made)), nil //nolint:gosec // it was just made harmless
}

// What a text may have; the work grows with the square of each.
const (
	maxSpecial = 3000  // characters of emphasis and links in a block
	maxNested  = 100   // markers of quotes and lists that a line begins with
	maxCells   = 50000 // of a table
)

// intricate reports text that nobody writes and that takes a parser seconds.
func intricate(text string) bool {
	lines, special, columns := 0, 0, 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			lines, special, columns = 0, 0, 0
			continue
		}
		lines++
		markers, begun := 0, false
		for _, c := range line {
			switch c {
			case '>', '-', '+', '.', ')':
				markers++
			case ' ', '\t', '\n', '\r', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			case '*', '_', '~', '[', ']', '!', '(', '<', '`':
				special++
				begun = begun || c != '*'
				if c == '*' {
					markers++
				}
			default:
				begun = true
			}
			if !begun && markers > maxNested {
				return strings.Trim(line, "-*+ \t\r\n") != "" || strings.Contains(line, "- -")
			}
		}
		columns = max(columns, strings.Count(line, "|"))
		if special > maxSpecial || columns*lines > maxCells {
			return true
		}
	}
	return false
}
