// Package fault gives errors a meaning that every room shares.
//
// A room returns a fault where it knows what went wrong for the caller; internal/web turns the
// meaning into a status and a code, and nobody else has to know HTTP.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what an error means for the caller. A Kind is itself an error, so that
// errors.Is(err, fault.NotFound) asks for the meaning of a wrapped error.
type Kind int

// The meanings, with the API error code and status they appear as (taskcluster-map 3.3).
const (
	Internal        Kind = iota // InternalServerError 500: a defect or a broken part
	Invalid                     // InputError 400: well-formed, but does not make sense
	Malformed                   // MalformedPayload 400: the body is not JSON
	BadArguments                // InvalidRequestArguments 400: route or query parameters
	BadInput                    // InputValidationError 400: the body violates its schema
	Unauthenticated             // AuthenticationFailed 401
	Forbidden                   // InsufficientScopes 403
	NotFound                    // ResourceNotFound 404
	Conflict                    // RequestConflict 409
	Gone                        // ResourceExpired 410
	TooLarge                    // InputTooLarge 413
	Unavailable                 // ServiceUnavailable 503: try again later
	Limited                     // TooManyRequests 429: come again later, and less often
)

var names = [...]string{
	"internal error", "invalid input", "malformed payload", "bad arguments", "input violates its schema",
	"authentication failed", "insufficient scopes", "not found", "conflict", "expired", "too large", "unavailable", "too many requests",
}

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string {
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("fault kind %d", int(k))
	}
	return names[k]
}

// Error is an error with a meaning and a text fit for the person who made the request.
type Error struct {
	Kind    Kind
	Message string // for people; holds no secrets
	Err     error  // the cause, for operators; may be nil
}

// Error joins the text and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's Kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// New returns an error of the given kind.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and a text for people; it returns nil when err is nil.
func Wrap(kind Kind, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the meaning of the outermost fault in err's chain, Internal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Message returns the text for people of the outermost fault in err's chain; for an error
// without one it returns a text that gives nothing away.
func Message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return "Internal error: the server's log has the details."
}
