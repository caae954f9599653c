// Package traceid says which ids traces and their spans have. They follow from what they stand for and from nothing else:
// whoever knows a task can name its span, and sending a span again adds nothing.
package traceid

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Trace is the id of a trace (W3C Trace Context: 16 bytes).
type Trace [16]byte

// Span is the id of a span in a trace (8 bytes).
type Span [8]byte

// String is the id as headers and pages have it.
func (t Trace) String() string { return hex.EncodeToString(t[:]) }

// String is the id as headers and pages have it.
func (s Span) String() string { return hex.EncodeToString(s[:]) }

// OfGroup is the trace of a task group, and of the push that it was made for.
func OfGroup(taskGroupID string) (t Trace) {
	copy(t[:], digest("task-group", taskGroupID))
	return t
}

// OfPush is the trace of a push of which no task group was made.
func OfPush(repository string, id int64) (t Trace) {
	copy(t[:], digest("push", repository, strconv.FormatInt(id, 10)))
	return t
}

// Of is the span of something within its trace: what it is, and which one.
func (t Trace) Of(what string, which ...string) (s Span) {
	copy(s[:], digest(append([]string{t.String(), what}, which...)...))
	return s
}

// Run is the span of the work of a worker on a run, to which spans from within the task belong.
func (t Trace) Run(taskID string, run int) Span { return t.Of("run", taskID, strconv.Itoa(run)) }

// Parent is the value of a traceparent header, or of the variable TRACEPARENT, that makes spans children of the work on a
// run of a task.
func Parent(taskGroupID, taskID string, run int) string {
	t := OfGroup(taskGroupID)
	return "00-" + t.String() + "-" + t.Run(taskID, run).String() + "-01"
}

// digest is the sha256 of texts, none of which has a zero byte.
func digest(texts ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return sum[:]
}
