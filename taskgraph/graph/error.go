package graph

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a fault in what a repository says: which file and line, which task, what is wrong
// and, where one is known, the remedy. Label, File and Line are empty or 0 when they do not
// apply.
type Error struct {
	File    string
	Line    int
	Label   string
	Message string
	// Err is the cause, if there is one besides Message.
	Err error
}

// Error gives "file:line: task label: message".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Label != "" {
		fmt.Fprintf(&b, "task %s: ", e.Label)
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		if e.Message != "" {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors returns every Error inside err, in order: one fault may report several problems.
func Errors(err error) []*Error {
	var out []*Error
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if e, ok := err.(*Error); ok { //nolint:errorlint // the walk below unwraps one by one
			out = append(out, e)
			return
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		walk(errors.Unwrap(err))
	}
	walk(err)
	return out
}
