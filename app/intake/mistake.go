package intake

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/templates"
)

const (
	codeNoConfig   = "no-config"
	codeNoRevision = "no-revision"
)

// mistakeError is an error of the person who pushed, as the push's page shows it.
type mistakeError struct{ what push.Error }

func (e *mistakeError) Error() string {
	switch w := e.what; {
	case w.File == "":
		return w.Message
	case w.Line == 0:
		return w.File + ": " + w.Message
	default:
		return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Message)
	}
}

func mistake(code, file string, line int, format string, args ...any) error {
	return &mistakeError{push.Error{Code: code, File: file, Line: line, Message: fmt.Sprintf(format, args...)}}
}

// asMistake turns what the readers of the tree find wrong into a mistake; other errors stay.
func asMistake(err error) error {
	if e, ok := errors.AsType[*templates.Error](err); ok {
		return &mistakeError{push.Error{Code: "bad-config", Message: e.Message, File: e.File, Line: e.Line, Detail: e.Path}}
	}
	if all := graph.Errors(err); len(all) > 0 {
		first := all[0]
		what := push.Error{Code: graphCode(first.File), File: first.File, Line: first.Line, Message: (&graph.Error{Label: first.Label, Message: first.Message, Err: first.Err}).Error()}
		if e, ok := errors.AsType[*star.Error](first); ok && e.Traceback != "" {
			what.Detail = e.Detail() + "\n"
		}
		for _, other := range all[1:] {
			what.Detail += other.Error() + "\n"
		}
		return &mistakeError{what}
	}
	return err
}

// graphCode is the code of a fault in a file.
func graphCode(file string) string {
	if ofTry(file) {
		return "bad-try"
	}
	return "bad-graph"
}

// notHeld returns the mistake that what needs scopes which its maker, with the scopes held, does
// not have; nil when it does.
func notHeld(what, maker, file string, line int, held scope.Set, want scope.Expr) error {
	err := held.Check(maker, false, want)
	if err == nil {
		return nil
	}
	text := what + " needs more than anybody holds. Leave it out."
	missing, _ := held.Missing(want)
	if scopes := missing.Scopes(); len(scopes) > 0 {
		those := "the scope " + scopes[0]
		if len(scopes) > 1 {
			those = "scopes, among them " + scopes[0]
		}
		text = fmt.Sprintf("%s needs %s, which %s does not hold. Leave it out, or have it granted.", what, those, maker)
	}
	return &mistakeError{push.Error{Code: "insufficient-scopes", File: file, Line: line, Message: text, Detail: fault.Message(err)}}
}

// isInput reports whether err speaks of what was asked for, so that trying again cannot help.
func isInput(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.BadInput, fault.BadArguments, fault.Conflict, fault.Forbidden, fault.NotFound, fault.TooLarge:
		return err != nil
	}
	return false
}

func digest(parts ...string) (id [16]byte) {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	copy(id[:], h.Sum(nil))
	return id
}
