package ghfake

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
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

// quota is the primary rate limit of an installation.
type quota struct {
	limit, used int
	reset       time.Time
	tooMany     bool // 429 instead of 403
}

const hourlyLimit = 5000

// LimitRequests sets how many requests an installation may make until reset; the next window has GitHub's usual 5,000
// an hour. The refusal has status 403, or 429 when tooMany; GitHub uses both.
func (in *Installation) LimitRequests(limit int, reset time.Time, tooMany bool) {
	in.app.server.mu.Lock()
	defer in.app.server.mu.Unlock()
	in.quota = quota{limit: limit, reset: reset, tooMany: tooMany}
}

// renew begins a window when the last is over.
func (q *quota) renew(now time.Time) {
	if !now.Before(q.reset) {
		*q = quota{limit: hourlyLimit, reset: now.Add(time.Hour)}
	}
}

func (q *quota) headers(h http.Header) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(q.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, q.limit-q.used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(q.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(q.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

func (c *call) rateLimit() (any, error) {
	q := quota{limit: hourlyLimit, reset: c.s.Now().Add(time.Hour)}
	if c.token != nil {
		q = c.token.installation.quota
	}
	core := obj{"limit": q.limit, "used": q.used, "remaining": max(0, q.limit-q.used), "reset": q.reset.Unix()}
	return obj{"resources": obj{"core": core, "search": core}, "rate": core}, nil
}

// The secondary limits, which hold beside the hourly one (vcs-integration 1.7).
const (
	pointsPerMinute   = 900 // a reading request costs 1, a writing one 5
	contentsPerMinute = 80  // what people see: check runs, statuses, comments
	contentsPerHour   = 500
)

// pace is what an installation did lately, in whole minutes and hours.
type pace struct {
	minute, hour time.Time
	points       int // in the minute
	made, madeIn int // contents in the minute, in the hour
	refused      int // requests
}

// take counts a request; false says how long to make none.
func (p *pace) take(now time.Time, method string, content bool) (wait time.Duration, ok bool) {
	if !now.Before(p.minute.Add(time.Minute)) {
		p.minute, p.points, p.made = now, 0, 0
	}
	if !now.Before(p.hour.Add(time.Hour)) {
		p.hour, p.madeIn = now, 0
	}
	cost := 5
	if method == http.MethodGet || method == http.MethodHead {
		cost = 1
	}
	switch {
	case content && p.madeIn >= contentsPerHour:
		wait = p.hour.Add(time.Hour).Sub(now)
	case content && p.made >= contentsPerMinute, p.points+cost > pointsPerMinute:
		wait = p.minute.Add(time.Minute).Sub(now)
	}
	if wait > 0 {
		p.refused++
		return wait, false
	}
	p.points += cost
	if content {
		p.made++
		p.madeIn++
	}
	return 0, true
}

// Refused returns how many requests of the installation were beyond the secondary limits of their own accord: those
// that SecondaryLimit refuses do not count.
func (in *Installation) Refused() int {
	in.app.server.mu.Lock()
	defer in.app.server.mu.Unlock()
	return in.pace.refused
}

// makesContent reports whether a request makes what people see.
func (c *call) makesContent() bool {
	if c.r.Method != http.MethodPost {
		return false
	}
	for _, end := range []string{"/check-runs", "/comments", "/statuses/" + c.r.PathValue("sha")} {
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
	if wait, ok := c.token.installation.pace.take(c.s.Now(), c.r.Method, c.makesContent()); !ok {
		c.header.Set("Retry-After", strconv.Itoa(int(wait.Seconds()+0.999)))
		return secondary()
	}
	q := &c.token.installation.quota
	q.renew(c.s.Now())
	if q.used < q.limit {
		return nil
	}
	q.headers(c.header)
	e := &apiError{
		Status: http.StatusForbidden, Message: "API rate limit exceeded for installation ID " + strconv.FormatInt(c.token.installation.ID, 10) + ".",
		Documentation: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
	}
	if q.tooMany {
		e.Status = http.StatusTooManyRequests
	}
	return e
}
