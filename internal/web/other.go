package web

import (
	"net/http"
	"strconv"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// Throttled limits how often somebody may ask doors that are neither the API nor pages, such as those of sign-ins: who
// brings nothing counts as a stranger, and who is refused as one who fails.
func Throttled(l *throttle.Limits, failing throttle.Kind, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := throttle.Address(r.RemoteAddr)
		proves := r.Header.Get("Authorization") != "" || r.Method == http.MethodPost
		err := l.Spent(failing, from)
		if err == nil && !proves {
			err = l.Take(throttle.Anonymous, from)
		}
		if err != nil {
			Refuse(w, err)
			return
		}
		out := &recorder{ResponseWriter: w}
		next.ServeHTTP(out, r)
		if proves && (out.status == http.StatusUnauthorized || out.status == http.StatusForbidden || out.status == http.StatusBadRequest) {
			_ = l.Take(failing, from) // the next one learns that it was the last
		}
	})
}

// Refuse answers who asked too often, at next to no cost.
func Refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", strconv.Itoa(throttle.Seconds(err)))
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, fault.Message(err), http.StatusTooManyRequests)
}
