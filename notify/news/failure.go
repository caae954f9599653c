package news

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"
)

// looksFailed are lines by which programs tell that something is wrong, after the marks that workers put
// before lines.
var looksFailed = regexp.MustCompile(`(?i)^(\S+[: ]\s*)?(fatal error|fatal|error|panic|e)(\[\w+\])?:\s|\berror(\[\w+\])?: |^--- FAIL|^FAIL\b|^not ok\b|TEST-UNEXPECTED|^\w*(Error|Exception): |assertion .*failed|^npm ERR!|: command not found|\*\*\* \[|segmentation fault`)

// marks are what workers put before a line: [task 2026-01-02T03:04:05.678Z] and its like.
var marks = regexp.MustCompile(`^(\[[\w:.\- ]*\]\s*|\x1b\[[0-9;]*m)+`)

// colour is what programs paint their lines with.
var colour = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

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
	lines := bufio.NewReaderSize(log, 64<<10)
	var found, ofWorker []Line
	for number := 1; len(found) < most; number++ {
		text, long, err := lines.ReadLine()
		if err != nil {
			break
		}
		for long && err == nil {
			_, long, err = lines.ReadLine() // the rest of a line that is too long to matter
		}
		if bytes.HasPrefix(text, []byte("[taskcluster")) {
			if said, ok := bytes.CutPrefix(text, []byte("[taskcluster:error]")); ok && ofWorker == nil && len(said) < 2000 {
				ofWorker = []Line{{number, strings.TrimSpace(strings.ToValidUTF8(string(said), "?"))}}
			}
			continue
		}
		candidate := strings.TrimSpace(marks.ReplaceAllString(Plain(string(text)), ""))
		if len(candidate) < 2000 && looksFailed.MatchString(candidate) {
			found = append(found, Line{number, candidate})
		}
	}
	if len(found) == 0 {
		return ofWorker
	}
	return found
}

// Plain is a line without colours, and with nothing that is no text.
func Plain(line string) string {
	return colour.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")
}
