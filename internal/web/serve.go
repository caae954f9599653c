package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// serve takes one request through the checks of taskcluster-map 3.1 to its handler, and its answer
// back.
func (s *site) serve(w http.ResponseWriter, hr *http.Request, e *endpoint, params map[string]string) {
	began := time.Now()
	out := &recorder{ResponseWriter: w}
	r := &Request{Params: params, HTTP: hr, Writer: out, site: s, endpoint: e}
	trace := hr.Header.Get("X-Taskcluster-Trace-Id")
	if !tracePattern.MatchString(trace) {
		trace = identifier()
	}
	out.Header().Set("X-For-Trace-Id", trace)
	ctx := s.stamped(hr, out, e, params, trace)
	hr = hr.WithContext(ctx)
	r.HTTP = hr
	defer func() { s.observe(ctx, e.service.Name, e.Name, out, began, hr.Method) }()
	if hr.Method == http.MethodHead {
		// Nothing of a body is sent: a handler that streams one ends when it would begin. Else it would
		// hold the connection, on which the client has its answer already, for as long as it streams.
		ctx, out.began = context.WithCancel(ctx)
		defer out.began()
	}
	result, err := s.handle(ctx, r)
	switch {
	case err == nil:
		err = s.reply(out, r, result)
	case out.status != 0:
		// The answer had begun; all that can be done is to cut it, so that nobody takes it for whole.
		s.Log.ErrorContext(ctx, "answer cut", "method", e.Name, "err", err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		s.fail(out, r, err)
	}
	if !s.Log.Enabled(hr.Context(), s.AccessLevel) {
		return
	}
	s.Log.LogAttrs(hr.Context(), s.AccessLevel, "api",
		slog.String("name", e.Name), slog.String("service", e.service.Name), slog.String("method", hr.Method),
		slog.String("resource", r.resource()), slog.Int("status", out.status),
		slog.Float64("ms", float64(time.Since(began).Microseconds())/1000),
		slog.Bool("public", e.Scopes == nil), slog.String("client", r.caller.ClientID),
		slog.Any("satisfyingScopes", scope.Used(r.caller.Scopes, r.granted, loggedScopes)),
		slog.String("source", sourceIP(hr)), slog.String("trace", trace))
}

// loggedScopes is how many scopes a line of the access log names at most: a batch may need thousands.
const loggedScopes = 20

// handle runs the checks and the handler. A panic becomes an error, whatever caused it.
func (s *site) handle(ctx context.Context, r *Request) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			if abort, ok := p.(error); ok && errors.Is(abort, http.ErrAbortHandler) {
				panic(p)
			}
			result, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	e := r.endpoint
	if err := r.notTooMany(); err != nil {
		return nil, err
	}
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	if e.early {
		if err := r.Authorize(ctx, nil); err != nil {
			return nil, err
		}
	}
	if err := r.checkParams(); err != nil {
		return nil, err
	}
	if err := r.checkQuery(); err != nil {
		return nil, err
	}
	if err := r.checkBody(); err != nil {
		return nil, err
	}
	result, err = e.Handle(ctx, r)
	err = r.count(err)
	if err == nil && e.Scopes != nil && !r.authorized {
		return nil, fmt.Errorf("the handler of %s answered without having asked for authorization", e.Name)
	}
	return result, err
}

// recorder remembers the status of an answer; streaming works through it.
type recorder struct {
	http.ResponseWriter
	status int
	began  context.CancelFunc // called at the first byte of a body; may be nil
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.began != nil {
		w.began()
	}
	return w.ResponseWriter.Write(b)
}

// Flush sends what is written so far.
func (w *recorder) Flush() {
	// A writer that cannot flush sends everything at the end, which is all that can be done.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var tracePattern = regexp.MustCompile(`^[a-zA-Z0-9_.:-]{1,100}$`)

// identifier returns a random id in the form of a UUID.
func identifier() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// CodedError is an error with a code and status of its own, for the few that are no fault.Kind
// (taskcluster-map 3.3).
type CodedError struct {
	Code    string // such as "NoMatchingMethod"
	Status  int
	Message string
}

// Error implements error.
func (e *CodedError) Error() string { return e.Message }

// codes are the API's error codes and statuses by meaning (taskcluster-map 3.3).
var codes = map[fault.Kind]struct {
	code   string
	status int
}{
	fault.Internal:        {"InternalServerError", http.StatusInternalServerError},
	fault.Invalid:         {"InputError", http.StatusBadRequest},
	fault.Malformed:       {"MalformedPayload", http.StatusBadRequest},
	fault.BadArguments:    {"InvalidRequestArguments", http.StatusBadRequest},
	fault.BadInput:        {"InputValidationError", http.StatusBadRequest},
	fault.Unauthenticated: {"AuthenticationFailed", http.StatusUnauthorized},
	fault.Forbidden:       {"InsufficientScopes", http.StatusForbidden},
	fault.NotFound:        {"ResourceNotFound", http.StatusNotFound},
	fault.Conflict:        {"RequestConflict", http.StatusConflict},
	fault.Gone:            {"ResourceExpired", http.StatusGone},
	fault.TooLarge:        {"InputTooLarge", http.StatusRequestEntityTooLarge},
	fault.Unavailable:     {"ServiceUnavailable", http.StatusServiceUnavailable},
	fault.Limited:         {"TooManyRequests", http.StatusTooManyRequests},
}

// CodeOf returns the API's error code and status of an error by its meaning, for doors with routes of their
// own.
func CodeOf(err error) (code string, status int) {
	c := codes[fault.KindOf(err)]
	return c.code, c.status
}

// Failure is the body of an error (taskcluster-map 3.3).
type Failure struct {
	Code        string      `json:"code"`
	Message     string      `json:"message"`
	RequestInfo RequestInfo `json:"requestInfo"`
}

// RequestInfo repeats what was asked, without the members that are secret.
type RequestInfo struct {
	Method  string            `json:"method"` // the endpoint's name
	Params  map[string]string `json:"params"`
	Payload any               `json:"payload"`
	Time    string            `json:"time"` // RFC 3339, milliseconds
}

// fail answers with an error.
func (s *site) fail(w http.ResponseWriter, r *Request, err error) {
	c := codes[fault.KindOf(err)]
	message := fault.Message(err)
	if coded, ok := errors.AsType[*CodedError](err); ok {
		c.code, c.status, message = coded.Code, coded.Status, coded.Message
	}
	switch c.status {
	case http.StatusInternalServerError:
		if r.HTTP.Context().Err() != nil && errors.Is(err, context.Canceled) {
			c.code, c.status, message = codes[fault.Unavailable].code, http.StatusServiceUnavailable, "The request was given up."
			break
		}
		incident := identifier()
		s.Log.ErrorContext(r.HTTP.Context(), "internal error", "incident", incident, "method", r.endpoint.Name, "params", r.shownParams(), "err", err)
		message = fmt.Sprintf("Internal error, incident %s; the server's log has the details.", incident)
	case http.StatusServiceUnavailable:
		s.Log.WarnContext(r.HTTP.Context(), "unavailable", "method", r.endpoint.Name, "err", err)
		w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(throttle.Seconds(err)))
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "hawk")
	}
	at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	body := Failure{
		Code: c.code,
		Message: fmt.Sprintf("%s\n\n---\n\n* method:     %s\n* errorCode:  %s\n* statusCode: %d\n* time:       %s",
			message, r.endpoint.Name, c.code, c.status, at),
		RequestInfo: RequestInfo{Method: r.endpoint.Name, Params: r.shownParams(), Payload: r.shown(), Time: at},
	}
	s.plainStatus(w, r.HTTP, c.status, body)
}

// omitted stands where a secret is not repeated.
const omitted = "(OMITTED)"

// shownParams are the route parameters as errors and logs may repeat them.
func (r *Request) shownParams() map[string]string {
	if !r.secretParams() {
		return r.Params
	}
	out := maps.Clone(r.Params)
	for name := range out {
		if slices.Contains(r.endpoint.Secret, name) {
			out[name] = omitted
		}
	}
	return out
}

func (r *Request) secretParams() bool {
	return slices.ContainsFunc(r.endpoint.Secret, func(name string) bool { return slices.Contains(r.endpoint.route.params, name) })
}

// resource is the path as logs may repeat it.
func (r *Request) resource() string {
	if !r.secretParams() {
		return r.HTTP.URL.EscapedPath()
	}
	segments := strings.Split(r.endpoint.public(), "/")
	for i, s := range segments {
		if name, ok := strings.CutPrefix(s, "<"); ok {
			name = strings.TrimSuffix(name, ">")
			segments[i] = url.PathEscape(r.shownParams()[name])
		}
	}
	return "/api/" + r.endpoint.service.Name + "/" + r.endpoint.service.Version + strings.Join(segments, "/")
}

// shownLimit is how many bytes of a body an error repeats.
const shownLimit = 64 << 10

// shown is the body as an error may repeat it.
func (r *Request) shown() any {
	empty := struct{}{}
	if len(r.raw) > 0 && slices.Contains(r.endpoint.Secret, AllSecret) {
		return map[string]string{"omitted": "a body that may hold secrets"}
	}
	if len(r.raw) > shownLimit {
		return map[string]string{"omitted": fmt.Sprintf("a body of %d bytes", len(r.raw))}
	}
	if !r.isJSON {
		return empty
	}
	body, err := decoded(r.raw)
	if errors.Is(err, errDeep) { // indented, it would be a hundred thousand times as long
		return map[string]string{"omitted": fmt.Sprintf("a body of which %v", errDeep)}
	}
	if err != nil {
		return empty
	}
	members, ok := body.(map[string]any)
	if !ok && len(r.endpoint.Secret) > 0 {
		return empty
	}
	for _, name := range r.endpoint.Secret {
		if _, ok := members[name]; ok {
			members[name] = omitted
		}
	}
	return body
}
