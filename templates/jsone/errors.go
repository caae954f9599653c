package jsone

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Class is the kind of a render error, by the name JSON-e gives it.
type Class string

// The classes. LimitError is ours: the template asked for more than Limits allows.
const (
	SyntaxError      Class = "SyntaxError"      // an expression cannot be parsed
	InterpreterError Class = "InterpreterError" // an expression cannot be evaluated
	BuiltinError     Class = "BuiltinError"     // a function was called with wrong arguments
	TemplateError    Class = "TemplateError"    // an operator is used wrongly
	LimitError       Class = "LimitError"
)

// Step is one step from a template node into a part of it: a key of an object or an index of a list.
type Step struct {
	Key   string
	Index int  // -1 for a step by key
	InKey bool // the fault is in the key itself, not in its value
}

// Error is what a render fails with.
type Error struct {
	Class   Class
	Message string
	// Path leads from the template's root to the innermost node that has the fault, operators' own keys included.
	Path []Step
	// location is JSON-e's shorter path, which leaves out the inside of operators; it is part of the error's text.
	location []string
}

func newError(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Message: fmt.Sprintf(format, args...)}
}

// Error gives the text as JSON-e's own error has it: "SyntaxError at template.message: unterminated ${..} expression".
func (e *Error) Error() string {
	if len(e.location) == 0 {
		return string(e.Class) + ": " + e.Message
	}
	var b strings.Builder
	b.WriteString(string(e.Class) + " at template")
	for i := len(e.location) - 1; i >= 0; i-- {
		b.WriteString(e.location[i])
	}
	return b.String() + ": " + e.Message
}

// Where writes Path the way people read it, such as `tasks.$map.each(x)[2]`; "" is the whole template.
func (e *Error) Where() string {
	var b strings.Builder
	for _, s := range e.Path {
		switch {
		case s.Index >= 0:
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		case strings.ContainsAny(s.Key, ". []\"") && !strings.HasPrefix(s.Key, "each("):
			b.WriteString("[" + quoteJSON(s.Key) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Key)
		}
	}
	return b.String()
}

// inKey notes that err came from the value under an operator's key, which JSON-e's own path does not show.
func inKey(err error, key string) error {
	return under(err, Step{Key: key, Index: -1})
}

func under(err error, step Step) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Path = append([]Step{step}, e.Path...)
	}
	return err
}

// inObject notes that err came from the value of a plain object's key.
func inObject(err error, key string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		if isPlainName(key) {
			e.location = append(e.location, "."+key)
		} else {
			e.location = append(e.location, "["+quoteJSON(key)+"]")
		}
	}
	return inKey(err, key)
}

// inList notes that err came from a list's element.
func inList(err error, index int) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.location = append(e.location, "["+strconv.Itoa(index)+"]")
	}
	return under(err, Step{Index: index})
}

// isPlainName is /^[a-zA-Z][a-zA-Z0-9]*$/.
func isPlainName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}
