package logtext

import (
	"bytes"
	"regexp"
	"strings"
	"time"
)

// looksFailed are lines by which programs tell that something is wrong, after the marks that workers put before lines.
var looksFailed = regexp.MustCompile(`(?i)^(\S+[: ]\s*)?(fatal error|fatal|error|panic|e)(\[\w+\])?:\s|\berror(\[\w+\])?: |^--- FAIL|^FAIL\b|(?-i:^FAILED\b)|^not ok\b|TEST-UNEXPECTED|^\w*(Error|Exception): |assertion .*failed|^npm ERR!|: command not found|\*\*\* \[|segmentation fault`)

// marks are what workers put before a line: [task 2026-01-02T03:04:05.678Z] and its like.
var marks = regexp.MustCompile(`^(\[[\w:.\- ]*\]\s*|\x1b\[[0-9;]*m)+`)

// hints are what every line that looksFailed matches has some of, in small letters; those of colons only with a colon.
var (
	hints       = [][]byte{[]byte("fail"), []byte("not ok"), []byte("test-unexpected"), []byte("npm err!"), []byte("*** ["), []byte("segmentation fault")}
	colonsHints = [][]byte{[]byte("error"), []byte("fatal"), []byte("panic"), []byte("exception"), []byte("e: "), []byte("e:\t"), []byte("e["), []byte("not found")}
)

// MaxFailing is the length in bytes above which a line is not looked at: it is data, not a message.
const MaxFailing = 2000

// The beginnings of what a worker says itself.
var (
	ofWorker      = []byte("[taskcluster")
	ofWorkerError = []byte("[taskcluster:error]")
)

// Failing tells whether a line, without its end, tells of a failure, and what of it people want to read. worker says
// that the worker itself says it, which counts only where the task says nothing.
func Failing(line []byte) (text string, worker, failing bool) {
	if bytes.HasPrefix(line, ofWorker) {
		said, ok := bytes.CutPrefix(line, ofWorkerError)
		return strings.TrimSpace(strings.ToValidUTF8(string(said), "?")), true, ok && len(said) < MaxFailing
	}
	if len(line) > 2*MaxFailing {
		return "", false, false
	}
	var room [512]byte
	seen := Visible(line, room[:0])
	if !hinted(seen) {
		return "", false, false
	}
	text = strings.TrimSpace(marks.ReplaceAllString(strings.ToValidUTF8(string(seen), "?"), ""))
	return text, false, len(text) < MaxFailing && looksFailed.MatchString(text)
}

// hinted reports whether it is worth while to look at a line closely: most lines are nothing, and this is quick.
func hinted(line []byte) bool {
	var room [512]byte
	small := room[:0]
	for _, b := range line {
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		small = append(small, b)
	}
	lists := [][][]byte{hints, colonsHints}
	if bytes.IndexByte(small, ':') < 0 {
		lists = lists[:1]
	}
	for _, list := range lists {
		for _, h := range list {
			if bytes.Contains(small, h) {
				return true
			}
		}
	}
	return false
}

// Plain is a line without colours and other codes, with nothing that is no text.
func Plain(line []byte) string {
	return strings.ToValidUTF8(string(Visible(line, nil)), "?")
}

// Stamp finds the time that a worker has put before a line, as in "[task 2026-01-02T03:04:05.678Z] text", and whose
// line it is ("task"); false without.
func Stamp(line []byte) (who string, at time.Time, rest []byte, ok bool) {
	if len(line) < 24 || line[0] != '[' {
		return "", at, line, false
	}
	end := bytes.IndexByte(line[:min(len(line), 80)], ']')
	if end < 0 {
		return "", at, line, false
	}
	text := string(line[1:end])
	if i := strings.LastIndexByte(text, ' '); i >= 0 {
		who, text = text[:i], text[i+1:]
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "", at, line, false
	}
	return who, at, bytes.TrimPrefix(line[end+1:], []byte(" ")), true
}
