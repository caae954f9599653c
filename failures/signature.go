package failures

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// Line is one thing that a run says of its failure.
type Line struct {
	Signature string // what the same failure is known by
	Test      string // "" when no test is named
	Message   string // as the run says it, one line
	Number    int    // of the line in the log; 0 unknown
	Excerpt   string // at most ten lines around it
	Report    int64  // of somebody who said that it tells of the failure; 0: it was found
	By        string // who that was
}

// maxMessage is the longest message that is kept, in bytes.
const maxMessage = 400

// vary are parts of messages that are others each time, and what stands for them. The order matters.
var vary = []struct {
	what  *regexp.Regexp
	stead string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([.,]\d+)?(Z|[+-]\d\d:?\d\d)?`), "<time>"},
	{regexp.MustCompile(`\b\d{1,2}:\d\d:\d\d([.,]\d+)?\b`), "<time>"},
	{regexp.MustCompile(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`), "<id>"},
	{regexp.MustCompile(`\b0x[0-9a-fA-F]+\b`), "<hex>"},
	{regexp.MustCompile(`\b[0-9a-f]*(?:[0-9][a-f]|[a-f][0-9])[0-9a-f]{6,}\b`), "<hex>"},
	{regexp.MustCompile(`\b[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]\b`), "<id>"},
	{regexp.MustCompile(`/(?:tmp|var|builds|home|private|Users|task_\d+)(/[\w.@+=-]+)*/`), "<dir>/"},
	{regexp.MustCompile(`\b\d+(\.\d+)?\s?(ms|µs|ns|s|m|h|KB|MB|GB|bytes?|%)\b`), "<n>"},
	{regexp.MustCompile(`\d+(\.\d+)?`), "<n>"},
	{regexp.MustCompile(`\s+`), " "},
}

// Class is a message without what changes from run to run: numbers, times, addresses, ids and directories.
func Class(message string) string {
	message = strings.TrimSpace(message)
	message = strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
	for _, v := range vary {
		message = v.what.ReplaceAllString(message, v.stead)
	}
	return message
}

// Signature is what a failure is known by: its test, and the class of its message.
func Signature(test, message string) string {
	sum := sha256.Sum256([]byte(test + "\x00" + Class(message)))
	return hex.EncodeToString(sum[:8])
}

// newLine makes a line with texts that fit.
func newLine(test, message string, number int, excerpt string) Line {
	message = oneLine(message)
	return Line{Signature: Signature(test, message), Test: short(test), Message: message, Number: number, Excerpt: firstLines(excerpt)}
}

func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.ReplaceAll(strings.ToValidUTF8(strings.TrimSpace(s), "?"), "\x00", "?")
	return strings.ToValidUTF8(s[:min(len(s), maxMessage)], "")
}

// Limits of an excerpt.
const (
	excerptLines = 10
	excerptLine  = 300 // bytes
)

func firstLines(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(strings.TrimRight(s, "\n "), "?"), "\x00", "?")
	list := strings.SplitN(s, "\n", excerptLines+1)
	list = list[:min(len(list), excerptLines)]
	for i, l := range list {
		list[i] = strings.ToValidUTF8(l[:min(len(l), excerptLine)], "")
	}
	return strings.Join(list, "\n")
}
