package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Error is an error that the server answered with (taskcluster-map 3.3). errors.Is and
// fault.KindOf see its meaning.
type Error struct {
	Status      int             // HTTP status
	Code        string          // such as ResourceNotFound; "" when the answer was not of the API's shape
	Message     string          // for people
	RequestInfo json.RawMessage // what the server says it was asked, nil when it does not
	Method, URL string          // the request, without its query
}

func newError(method, address string, reply *Reply) *Error {
	e := &Error{Status: reply.Status, Method: method, URL: redacted(address)}
	var body struct {
		Code, Message string
		Reason        string // an error artifact's answer has reason and message only
		RequestInfo   json.RawMessage
	}
	if json.Unmarshal(reply.Body, &body) == nil {
		e.Code, e.Message, e.RequestInfo = body.Code, body.Message, body.RequestInfo
		if e.Code == "" {
			e.Code = body.Reason
		}
	}
	if e.Message == "" {
		e.Message = http.StatusText(e.Status)
	}
	return e
}

// Error gives code, status and the first paragraph of the message.
func (e *Error) Error() string {
	code := e.Code
	if code == "" {
		code = "HTTP " + http.StatusText(e.Status)
	}
	return fmt.Sprintf("%s %s: %s (%d): %s", e.Method, e.URL, code, e.Status, e.Summary())
}

// Summary is the message without the list of request details that servers append to it.
func (e *Error) Summary() string {
	text, _, _ := strings.Cut(e.Message, "\n\n---\n")
	return strings.TrimSpace(text)
}

// Unwrap gives the error its meaning.
func (e *Error) Unwrap() error {
	return fault.New(e.kind(), "%s", e.Summary())
}

func (e *Error) kind() fault.Kind {
	switch e.Code {
	case "InputError":
		return fault.Invalid
	case "MalformedPayload":
		return fault.Malformed
	case "InvalidRequestArguments":
		return fault.BadArguments
	case "InputValidationError":
		return fault.BadInput
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Forbidden
	case http.StatusNotFound, http.StatusFailedDependency:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusGone:
		return fault.Gone
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return fault.Unavailable
	}
	if e.Status >= 400 && e.Status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}
