// Package throttle bounds how often somebody may ask: token buckets by who asks, in a memory of fixed size.
//
// Each server counts for itself. What one bucket refuses leaves all others alone; a key that was not seen for long has
// a full bucket again. Requests from this machine itself have no address and are never refused by it.
package throttle

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Kind is what is counted.
type Kind string

// The kinds, with the key that each is counted by.
const (
	Anonymous Kind = "anonymous" // requests without credentials, by address
	Client    Kind = "client"    // requests of a client or a person, by client id
	Failures  Kind = "failures"  // credentials, sessions, signatures and tokens that do not hold, by address
	SignIn    Kind = "sign-in"   // attempts to sign in, by address
	Costly    Kind = "costly"    // pages and exports that are much work, by client id, else by address
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Anonymous, Client, Failures, SignIn, Costly} }

// Rate is how often: PerSecond for long, Burst at once. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Defaults are rates that workers and people do not reach: behind one address may be a whole office or data centre.
func Defaults() map[Kind]Rate {
	return map[Kind]Rate{
		Anonymous: {200, 2000}, Client: {5000, 50_000}, Failures: {1, 60}, SignIn: {1, 60}, Costly: {5, 60},
	}
}

// maxKeys is how many keys of a kind are remembered at least; twice as many at most.
const maxKeys = 20_000

// Limits count. They are safe for concurrent use; nil limits nothing.
type Limits struct {
	now    func() time.Time
	tables map[Kind]*table
}

// table holds the buckets of one kind in two generations: what is asked for moves to the young one, and when that is
// full, the old one is forgotten.
type table struct {
	rate       Rate
	refused    atomic.Uint64
	mu         sync.Mutex
	young, old map[string]*rate.Limiter
}

// New makes limits of rates; a kind without one has none. now is the clock.
func New(rates map[Kind]Rate, now func() time.Time) *Limits {
	l := &Limits{now: now, tables: map[Kind]*table{}}
	for _, kind := range Kinds() {
		l.tables[kind] = &table{rate: rates[kind], young: map[string]*rate.Limiter{}}
	}
	return l
}

// bucket finds a key's bucket; nil where there is no limit.
func (l *Limits) bucket(kind Kind, key string) (*table, *rate.Limiter) {
	if l == nil || key == "" {
		return nil, nil
	}
	t := l.tables[kind]
	if t == nil || t.rate.PerSecond <= 0 {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.young[key]
	if b != nil {
		return t, b
	}
	if b = t.old[key]; b == nil {
		b = rate.NewLimiter(rate.Limit(t.rate.PerSecond), t.rate.Burst)
	}
	if len(t.young) >= maxKeys {
		t.young, t.old = map[string]*rate.Limiter{}, t.young
	}
	t.young[key] = b
	return t, b
}

// Take counts one more; a fault.Limited says that it is too many, and Wait when to come again.
func (l *Limits) Take(kind Kind, key string) error {
	t, b := l.bucket(kind, key)
	if b == nil {
		return nil
	}
	now := l.now()
	if b.AllowN(now, 1) {
		return nil
	}
	return t.refuse(kind, b, now)
}

// Spent reports, with the error of Take, that no more are left; it counts nothing.
func (l *Limits) Spent(kind Kind, key string) error {
	t, b := l.bucket(kind, key)
	if b == nil {
		return nil
	}
	now := l.now()
	if b.TokensAt(now) >= 1 {
		return nil
	}
	return t.refuse(kind, b, now)
}

func (t *table) refuse(kind Kind, b *rate.Limiter, now time.Time) error {
	t.refused.Add(1)
	wait := time.Duration((1 - b.TokensAt(now)) / t.rate.PerSecond * float64(time.Second))
	return &refusal{kind, max(wait, 0)}
}

// Refused is how many requests each kind has refused since the start.
func (l *Limits) Refused() map[Kind]uint64 {
	out := map[Kind]uint64{}
	if l != nil {
		for kind, t := range l.tables {
			out[kind] = t.refused.Load()
		}
	}
	return out
}

// refusal is a fault.Limited that knows when to come again.
type refusal struct {
	kind Kind
	wait time.Duration
}

var reasons = map[Kind]string{
	Anonymous: "These are too many requests without credentials from your address.",
	Client:    "These are too many requests of one client.",
	Failures:  "Too often credentials, sessions or signatures from your address did not hold.",
	SignIn:    "These are too many attempts to sign in from your address.",
	Costly:    "These are too many requests that are much work.",
}

// Error says what is too much, and for how long.
func (r *refusal) Error() string {
	return fmt.Sprintf("%s Try again in %d s.", reasons[r.kind], Seconds(r))
}

// Unwrap gives the refusal its meaning.
func (r *refusal) Unwrap() error { return fault.New(fault.Limited, "%s", r.Error()) }

// Seconds is what the header Retry-After says for an error that is fault.Limited: at least 1.
func Seconds(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return max(1, int((r.wait+time.Second-1)/time.Second))
	}
	return 1
}

// Address is the key of where a request comes from, as of http.Request.RemoteAddr: an IPv4 address, or the network of
// 64 bits that a customer gets of IPv6. It is "" for this machine.
func Address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	at = at.Unmap().WithZone("")
	if at.IsLoopback() {
		return ""
	}
	if at.Is4() {
		return at.String()
	}
	network, err := at.Prefix(64)
	if err != nil {
		return at.String()
	}
	return network.String()
}

// Set remembers keys in bounded memory: the least lately added are forgotten. It is safe for concurrent use.
type Set struct {
	mu         sync.Mutex
	young, old map[string]struct{}
}

// Add remembers a key.
func (s *Set) Add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= maxKeys {
		s.young, s.old = map[string]struct{}{}, s.young
	}
	s.young[key] = struct{}{}
}

// Has reports whether a key is remembered.
func (s *Set) Has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, young := s.young[key]
	_, old := s.old[key]
	return young || old
}
