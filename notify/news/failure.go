package news

import (
	"io"

	"github.com/treeline-ci/treeline/internal/logtext"
)

// FailureLine returns the first line of a log that tells of a failure; "" when none does. What the worker
// itself says, such as the command that it runs, counts only when the task says nothing.
func FailureLine(log io.Reader) string {
	if lines := FailureLines(log, 1); len(lines) > 0 {
		return lines[0].Text
	}
	return ""
}

// Line is a line of a log, as it is read by people: without marks and colours.
type Line struct {
	Number int // from 1
	Text   string
}

// FailureLines returns the first lines of a log that tell of a failure, at most so many. Where the task itself
// says nothing, it is the first such line of the worker.
func FailureLines(log io.Reader, most int) []Line {
	var found, ofWorker []Line
	lines := logtext.Lines{Most: 2 * logtext.MaxFailing, Each: func(n int, line []byte, size int64) {
		if size > 2*logtext.MaxFailing {
			return // data, not a message
		}
		switch text, worker, failing := logtext.Failing(line); {
		case failing && worker && ofWorker == nil:
			ofWorker = []Line{{n, text}}
		case failing && !worker && len(found) < most:
			found = append(found, Line{n, text})
		}
	}}
	buf := make([]byte, 64<<10)
	for len(found) < most {
		n, err := log.Read(buf)
		_, _ = lines.Write(buf[:n]) // never fails
		if err != nil {
			lines.End()
			break
		}
	}
	if len(found) == 0 {
		return ofWorker
	}
	return found
}

// Plain is a line without colours, and with nothing that is no text.
func Plain(line string) string { return logtext.Plain([]byte(line)) }
