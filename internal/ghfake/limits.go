package ghfake

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/pace"
)

// faults are the troubles that were asked for.
type faults struct {
	mu     sync.Mutex
	outage bool
	slow   time.Duration
	next   []failure
	until  time.Time // the secondary limit holds until then
	quiet  bool      // it comes without a Retry-After header
}

type failure struct {
	status int
	after  bool // the request takes effect, and only its answer is lost
	drop   bool // the connection breaks
}

// Outage answers everything with 503 from now on, or ends that.
func (s *Server) Outage(on bool) {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	s.failures.outage = on
}

// Slow lets each answer take so long from now on.
func (s *Server) Slow(d time.Duration) {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	s.failures.slow = d
}

// FailNext answers the next n requests with a status, without doing anything.
func (s *Server) FailNext(n, status int) { s.fail(n, failure{status: status}) }

// FailNextAfter does what the next n requests ask for, and then answers with a status all the same: what a client sees
// of a server that dies between writing and answering.
func (s *Server) FailNextAfter(n, status int) { s.fail(n, failure{status: status, after: true}) }

// BreakNext closes the connections of the next n requests without an answer.
func (s *Server) BreakNext(n int) { s.fail(n, failure{drop: true}) }

func (s *Server) fail(n int, f failure) {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	for range n {
		s.failures.next = append(s.failures.next, f)
	}
}

// SecondaryLimit refuses requests for d by the secondary rate limit: 403 with Retry-After or, when quiet, with nothing
// but its message.
func (s *Server) SecondaryLimit(d time.Duration, quiet bool) {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	s.failures.until, s.failures.quiet = s.Now().Add(d), quiet
}

// take returns what is to happen to a request.
func (f *faults) take(now time.Time) (fail *failure, slow time.Duration, limited time.Duration, quiet bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outage {
		return &failure{status: http.StatusServiceUnavailable}, f.slow, 0, false
	}
	if len(f.next) > 0 {
		fail = &f.next[0]
		f.next = f.next[1:]
	}
	if now.Before(f.until) {
		limited = f.until.Sub(now)
	}
	return fail, f.slow, limited, f.quiet
}

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
