package buttons

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// Story tells in Markdown why a label has a task or none, in at most so many bytes of text, and where all of it is.
func Story(s explain.Story, url string, most int) (string, error) {
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		return "", err
	}
	text := strings.TrimRight(b.String(), "\n")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
		text = text[:max(strings.LastIndexByte(text, '\n'), 0)] + "\n…"
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fmt.Sprintf("[why it is as it is](%s)\n%stext\n%s\n%s", url, fence, text, fence), nil
}
