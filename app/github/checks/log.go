package checks

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/treeline-ci/treeline/notify/news"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// Bounds of what is looked at and shown of a log.
const (
	logSearched  = 4 << 20 // bytes from the beginning, and again before the end
	failingLines = 20
	lastLines    = 40
	lineShown    = 500 // characters
	logName      = "public/logs/live_backing.log"
	liveName     = "public/logs/live.log"
)

// logOf shows of a run's log the lines that tell of a failure and how it ends. A log may be of any size: little of it is
// held at a time.
func (c *Checks) logOf(ctx context.Context, item queue.Item, run task.Run, failed bool) string {
	if c.Open == nil || !failed {
		return ""
	}
	var body io.ReadSeekCloser
	var err error
	for _, name := range []string{logName, liveName} {
		if body, err = c.Open(ctx, item.Status.TaskID, run.RunID, name); err == nil {
			break
		}
	}
	if err != nil {
		return ""
	}
	defer body.Close()
	lines, last, err := readLog(body)
	if err != nil {
		return ""
	}
	var b strings.Builder
	if len(lines) > 0 {
		b.WriteString("**Failing lines of the log**\n\n")
		var text strings.Builder
		for _, l := range lines {
			if l.Number > 0 {
				fmt.Fprintf(&text, "%d: ", l.Number)
			}
			text.WriteString(cutLine(l.Text, lineShown) + "\n")
		}
		b.WriteString(block(text.String()))
	}
	if last != "" {
		b.WriteString("\n<details>\n<summary>The end of the log</summary>\n\n" + block(last) + "\n</details>\n")
	}
	return b.String()
}

// readLog finds the failing lines and the last lines of a log.
func readLog(body io.ReadSeeker) (failing []news.Line, last string, err error) {
	failing = news.FailureLines(io.LimitReader(body, logSearched), failingLines)
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, "", err
	}
	from := max(0, size-logSearched)
	if _, err := body.Seek(from, io.SeekStart); err != nil {
		return nil, "", err
	}
	end, err := io.ReadAll(io.LimitReader(body, logSearched))
	if err != nil {
		return nil, "", err
	}
	if from >= logSearched && len(failing) < failingLines {
		for _, l := range news.FailureLines(strings.NewReader(string(end)), failingLines-len(failing)) {
			failing = append(failing, news.Line{Text: l.Text}) // which line it is, is not known
		}
	}
	list := strings.Split(strings.TrimRight(string(end), "\r\n"), "\n")
	if len(list) > lastLines {
		list = list[len(list)-lastLines:]
	}
	for i := range list {
		list[i] = cutLine(news.Plain(strings.TrimRight(list[i], "\r")), lineShown)
	}
	return failing, strings.ReplaceAll(strings.Join(list, "\n"), "\x00", ""), nil
}

// block is a block of code, whatever is in it.
func block(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}
