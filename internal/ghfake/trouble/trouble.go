// Package trouble keeps which faults the double of GitHub is to have.
package trouble

import (
	"net/http"
	"sync"
	"time"
)

// Faults are the troubles that were asked for. They are safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	outage bool
	slow   time.Duration
	next   []Failure
	until  time.Time // the secondary limit holds until then
	quiet  bool      // it comes without a Retry-After header
}

// Failure is how a request fails.
type Failure struct {
	Status int
	After  bool // the request takes effect, and only its answer is lost
	Drop   bool // the connection breaks
}

// Outage answers everything with 503 from now on, or ends that.
func (f *Faults) Outage(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outage = on
}

// Slow lets each answer take so long from now on.
func (f *Faults) Slow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow = d
}

// Fail lets the next n requests fail.
func (f *Faults) Fail(n int, how Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.next = append(f.next, how)
	}
}

// Limit has the secondary limit hold until a time.
func (f *Faults) Limit(until time.Time, quiet bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until, f.quiet = until, quiet
}

// Now returns how it stands.
func (f *Faults) Now() (outage bool, slow time.Duration, limited time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.outage, f.slow, f.until
}

// Take returns what is to happen to a request.
func (f *Faults) Take(now time.Time) (fail *Failure, slow time.Duration, limited time.Duration, quiet bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outage {
		return &Failure{Status: http.StatusServiceUnavailable}, f.slow, 0, false
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
