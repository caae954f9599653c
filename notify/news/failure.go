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
	lines := bufio.NewReaderSize(log, 64<<10)
	ofWorker := ""
	for {
		text, long, err := lines.ReadLine()
		if err != nil {
			return ofWorker
		}
		for long && err == nil {
			_, long, err = lines.ReadLine() // the rest of a line that is too long to matter
		}
		if bytes.HasPrefix(text, []byte("[taskcluster")) {
			if said, ok := bytes.CutPrefix(text, []byte("[taskcluster:error]")); ok && ofWorker == "" && len(said) < 2000 {
				ofWorker = strings.TrimSpace(strings.ToValidUTF8(string(said), "?"))
			}
			continue
		}
		candidate := strings.TrimSpace(marks.ReplaceAllString(colour.ReplaceAllString(strings.ToValidUTF8(string(text), "?"), ""), ""))
		if len(candidate) < 2000 && looksFailed.MatchString(candidate) {
			return candidate
		}
	}
}
