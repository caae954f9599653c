package licences

import (
	"fmt"
	"io"
	"strings"
)

// Notices writes whose work is in a release, and every text of terms that came with it. A text that several share
// stands once.
func Notices(w io.Writer, program string, list []Module) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s contains work of others. What it is, under which terms, and the texts of these terms:\n\n", program)
	texts, numbers := []Text{}, map[string]int{}
	for _, m := range list {
		var refs []string
		for _, t := range m.Texts {
			body := strings.TrimSpace(t.Body)
			n, known := numbers[body]
			if !known {
				n = len(texts) + 1
				numbers[body] = n
				texts = append(texts, Text{Name: t.Name, Body: body})
			}
			refs = append(refs, fmt.Sprintf("[%d]", n))
		}
		terms := strings.Join(m.Licences, ", ")
		if terms == "" {
			terms = "see its text"
		}
		fmt.Fprintf(&b, "%s %s %s: %s %s\n", m.Kind, m.Path, m.Version, terms, strings.Join(refs, " "))
	}
	for i, t := range texts {
		fmt.Fprintf(&b, "\n%s\n[%d] %s\n\n%s\n", strings.Repeat("-", 72), i+1, t.Name, t.Body)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
