package star

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// Error is a failure of Starlark from the tree.
type Error struct {
	File      string
	Line, Col int    // 1-based; 0 when unknown
	Function  string // innermost function of the file, "" at top level
	Label     string // the task that was being worked on, "" when none
	Message   string
	Value     string // the task as it stood, cut to a few hundred bytes; "" when there was none
	Traceback string // innermost call last, one line a call; "" for errors of syntax
	cause     error
}

// Error is the message after file, line and task.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Col)
	}
	b.WriteString(": ")
	if e.Function != "" {
		fmt.Fprintf(&b, "in %s: ", e.Function)
	}
	if e.Label != "" {
		fmt.Fprintf(&b, "task %q: ", e.Label)
	}
	b.WriteString(e.Message)
	return b.String()
}

// Detail is the traceback and the value that was worked on, for people, several lines; "" when
// neither is known.
func (e *Error) Detail() string {
	if e.Value == "" || e.Traceback == "" {
		return e.Traceback
	}
	return e.Traceback + "\nThe task was then:\n  " + e.Value
}

// Unwrap gives what ended the call, such as ErrLimit or the context's error.
func (e *Error) Unwrap() error { return e.cause }

// maxMessage bounds messages: they may quote values of the tree.
const maxMessage = 4 << 10

func cut(s string) string {
	s = bounded.Plainly(s)
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}

// wrapError makes an *Error of what the parser, the resolver or the interpreter said.
func wrapError(file, label string, b *bounded.Budget, err error) error {
	var done *Error
	if errors.As(err, &done) {
		if done.Label == "" {
			done.Label = label
		}
		return done
	}
	e := &Error{File: file, Label: label, Message: cut(err.Error()), cause: err}
	var list resolve.ErrorList
	var syn syntax.Error
	var eval *starlark.EvalError
	switch {
	case errors.As(err, &list) && len(list) > 0:
		texts := make([]string, len(list))
		for i, r := range list {
			texts[i] = r.Msg
		}
		e.at(list[0].Pos)
		e.Message = cut(strings.Join(texts, "; "))
	case errors.As(err, &syn):
		e.at(syn.Pos)
		e.Message = cut(syn.Msg)
	case errors.As(err, &eval):
		e.fromStack(eval)
	}
	if b != nil && b.Cause() != nil {
		e.cause, e.Message = b.Cause(), b.Cause().Error()
	}
	return e
}

func (e *Error) at(pos syntax.Position) {
	if pos.IsValid() {
		e.File, e.Line, e.Col = pos.Filename(), int(pos.Line), int(pos.Col)
	}
}

// fromStack takes place and traceback from the calls that are in files; guards and built-ins
// have no place of their own.
func (e *Error) fromStack(eval *starlark.EvalError) {
	e.Message = cut(eval.Msg)
	var lines []string
	for _, f := range eval.CallStack {
		if !f.Pos.IsValid() || f.Pos.Filename() == "<builtin>" {
			continue
		}
		e.at(f.Pos)
		e.Function = f.Name
		lines = append(lines, fmt.Sprintf("  %s: in %s", f.Pos, f.Name))
	}
	if e.Function == "<toplevel>" {
		e.Function = ""
	}
	e.Traceback = "Traceback (most recent call last):\n" + strings.Join(lines, "\n")
}
