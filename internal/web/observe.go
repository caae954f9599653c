package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/stamp"
)

// Seen is a request that was answered, as far as it can be counted: nothing of it is a caller's text.
type Seen struct {
	Service string // "queue"; "ui" for pages
	Name    string // of the endpoint, or the pattern of the page's address; "none" where nothing is
	Method  string // of HTTP; "other" for one that nobody knows
	Status  int    // 101 for a connection that became another protocol
	Took    time.Duration
	Stream  bool // it lasted as long as somebody wanted it to
}

// idParams are the route parameters that name what lines of the log are found by.
var idParams = []struct{ param, id string }{{"taskId", stamp.Task}, {"runId", stamp.Run}, {"taskGroupId", stamp.Group}}

// stamped is the context of a call, with the ids by which its lines are found; the answer tells the caller that of the
// request.
func (s *site) stamped(r *http.Request, w http.ResponseWriter, e *endpoint, params map[string]string, trace string) context.Context {
	request := identifier()
	w.Header().Set("X-For-Request-Id", request)
	ctx := stamp.With(stamp.With(r.Context(), stamp.Request, request), stamp.Trace, trace)
	for _, p := range idParams {
		if !slices.Contains(e.Secret, p.param) {
			ctx = stamp.With(ctx, p.id, params[p.param])
		}
	}
	return ctx
}

// page answers with Fallback.
func (s *site) page(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	out := &recorder{ResponseWriter: w}
	request := identifier()
	out.Header().Set("X-For-Request-Id", request)
	r = r.WithContext(stamp.With(r.Context(), stamp.Request, request))
	defer func() {
		name := r.Pattern // http.ServeMux leaves it
		if _, path, ok := strings.Cut(name, " "); ok {
			name = path
		}
		if name == "" || name == "/" && r.URL.Path != "/" {
			name = "none"
		}
		s.observe(r.Context(), "ui", name, out, began, r.Method)
	}()
	s.Fallback.ServeHTTP(out, r)
}

// observe tells of an answer.
func (s *site) observe(ctx context.Context, service, name string, out *recorder, began time.Time, method string) {
	if s.Observe == nil {
		return
	}
	seen := Seen{Service: service, Name: name, Method: method, Status: out.status, Took: time.Since(began)}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
	default:
		seen.Method = "other"
	}
	if seen.Status == 0 {
		seen.Status = http.StatusOK // nothing was written, which is an empty answer
		if strings.EqualFold(out.Header().Get("Upgrade"), "websocket") {
			seen.Status = http.StatusSwitchingProtocols
		}
	}
	seen.Stream = seen.Status == http.StatusSwitchingProtocols || strings.HasPrefix(out.Header().Get("Content-Type"), "text/event-stream")
	s.Observe(ctx, seen)
}
