package ghfake

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/pace"
	"github.com/treeline-ci/treeline/internal/ghfake/trouble"
)

// Outage answers everything with 503 from now on, or ends that.
func (s *Server) Outage(on bool) { s.failures.Outage(on) }

// Slow lets each answer take so long from now on.
func (s *Server) Slow(d time.Duration) { s.failures.Slow(d) }

// FailNext answers the next n requests with a status, without doing anything.
func (s *Server) FailNext(n, status int) { s.failures.Fail(n, trouble.Failure{Status: status}) }

// FailNextAfter does what the next n requests ask for, and then answers with a status all the same: what a client sees
// of a server that dies between writing and answering.
func (s *Server) FailNextAfter(n, status int) {
	s.failures.Fail(n, trouble.Failure{Status: status, After: true})
}

// BreakNext closes the connections of the next n requests without an answer.
func (s *Server) BreakNext(n int) { s.failures.Fail(n, trouble.Failure{Drop: true}) }

// SecondaryLimit refuses requests for d by the secondary rate limit: 403 with Retry-After or, when quiet, with nothing
// but its message.
func (s *Server) SecondaryLimit(d time.Duration, quiet bool) { s.failures.Limit(s.Now().Add(d), quiet) }

// LimitRequests sets how many requests an installation may make until reset; the next window has GitHub's usual 5,000
// an hour. The refusal has status 403, or 429 when tooMany; GitHub uses both.
func (in *Installation) LimitRequests(limit int, reset time.Time, tooMany bool) {
	in.app.server.mu.Lock()
	defer in.app.server.mu.Unlock()
	in.quota = pace.Quota{Limit: limit, Reset: reset, TooMany: tooMany}
}

func (c *call) rateLimit() (any, error) {
	q := pace.Quota{Limit: pace.HourlyLimit, Reset: c.s.Now().Add(time.Hour)}
	if c.token != nil {
		q = c.token.installation.quota
	}
	core := obj{"limit": q.Limit, "used": q.Used, "remaining": max(0, q.Limit-q.Used), "reset": q.Reset.Unix()}
	return obj{"resources": obj{"core": core, "search": core}, "rate": core}, nil
}

// Refused returns how many requests of the installation were beyond the secondary limits of their own accord: those
// that SecondaryLimit refuses do not count.
func (in *Installation) Refused() int {
	in.app.server.mu.Lock()
	defer in.app.server.mu.Unlock()
	return in.pace.Refused
}

// makesContent reports whether a request makes what people see.
func (c *call) makesContent() bool {
	if c.r.Method != http.MethodPost {
		return false
	}
	for _, end := range []string{"/check-runs", "/comments", "/pulls", "/statuses/" + c.r.PathValue("sha")} {
		if strings.HasSuffix(c.r.URL.Path, end) {
			return true
		}
	}
	return false
}

// secondary is the refusal by a secondary limit.
func secondary() error {
	return &apiError{
		Status: http.StatusForbidden, Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		Documentation: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
	}
}

// refuseLimited returns the error of a request beyond a limit; nil when it is within.
func (c *call) refuseLimited() error {
	if c.limited > 0 {
		if !c.quiet {
			c.header.Set("Retry-After", strconv.Itoa(int(c.limited.Seconds()+0.999)))
		}
		return secondary()
	}
	if c.token == nil {
		return nil
	}
	if wait, ok := c.token.installation.pace.Take(c.s.Now(), c.r.Method, c.makesContent()); !ok {
		c.header.Set("Retry-After", strconv.Itoa(int(wait.Seconds()+0.999)))
		return secondary()
	}
	q := &c.token.installation.quota
	q.Renew(c.s.Now())
	if q.Used < q.Limit {
		return nil
	}
	q.Headers(c.header)
	e := &apiError{
		Status: http.StatusForbidden, Message: "API rate limit exceeded for installation ID " + strconv.FormatInt(c.token.installation.ID, 10) + ".",
		Documentation: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
	}
	if q.TooMany {
		e.Status = http.StatusTooManyRequests
	}
	return e
}
