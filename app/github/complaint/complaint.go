// Package complaint writes in Markdown, for comments, what is wrong with a file of a tree.
package complaint

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/push"
)

// Max is how many bytes a comment of ours has at most; GitHub takes 65,536.
const Max = 60_000

// maxText is how many of them are quoted.
const maxText = Max - 1000

// Text is the whole comment.
func Text(what push.Error) string {
	where := what.File
	if what.Line > 0 {
		where = fmt.Sprintf("%s:%d", what.File, what.Line)
	}
	fence := "```"
	for strings.Contains(what.Message+what.Detail, fence) {
		fence += "`"
	}
	text := what.Message
	if where != "" {
		text = where + ": " + text
	}
	if what.Detail != "" {
		text += "\n" + what.Detail
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "\n…"
	}
	return fmt.Sprintf("<details>\n<summary>Treeline made no tasks of this: %s</summary>\n\n%s\n%s\n%s\n\n</details>\n",
		Escape(firstLine(what.Message)), fence, text, fence)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "…"
	}
	return line
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b", "`", "'")

// Escape is text that Markdown shows as it is and that mentions nobody.
func Escape(text string) string { return escapes.Replace(text) }
