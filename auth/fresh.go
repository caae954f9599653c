package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// SignIn says of a request from a browser when its person proved last who they are. A stolen session has the rights of
// that person, and cannot prove anything. It is safe for concurrent use.
type SignIn struct {
	Proved time.Time
	Within time.Duration // how long ago that may be for a change of an operator; 0: any time
	Stale  bool          // it was longer ago when the request came

	refused atomic.Bool
}

// signInKey is the key of a *SignIn in a context.
type signInKey struct{}

// From returns the context of a browser's request: what the audit log tells of is refused there when the sign-in is stale.
func From(ctx context.Context, s *SignIn) context.Context {
	return context.WithValue(ctx, signInKey{}, s)
}

// Fresh returns a *StaleSignIn when a context is that of a browser's request whose sign-in is stale. Audit asks it; who
// gives rights away without a record asks it too.
func Fresh(ctx context.Context) error {
	s := signInOf(ctx)
	if s == nil || !s.Stale {
		return nil
	}
	s.refused.Store(true)
	return s.problem()
}

// Refused is the refusal of something in the request, whatever became of its error on its way; nil when nothing was.
func (s *SignIn) Refused() error {
	if s == nil || !s.refused.Load() {
		return nil
	}
	return s.problem()
}

func (s *SignIn) problem() error { return &StaleSignIn{Proved: s.Proved, Within: s.Within} }

func signInOf(ctx context.Context) *SignIn {
	s, _ := ctx.Value(signInKey{}).(*SignIn)
	return s
}

// work are the types of entities of which the audit log tells everyday work on tasks, no change of the deployment: that
// takes no fresh sign-in.
var work = map[string]bool{"action": true, "bug": true, "cron-job": true, "repository": true, "task": true, "task-group": true}

// provedIn is when the person of a browser's request proved who they are; nil for what comes otherwise.
func provedIn(ctx context.Context) *time.Time {
	s := signInOf(ctx)
	if s == nil || s.Proved.IsZero() {
		return nil
	}
	return &s.Proved
}

// StaleSignIn is the refusal of a change from a browser whose person has to sign in again first.
type StaleSignIn struct {
	Proved time.Time
	Within time.Duration
}

// Error says what to do.
func (s *StaleSignIn) Error() string {
	return fmt.Sprintf("Sign in again to change this: it takes a sign-in of the last %s, and yours is of %s UTC.", spoken(s.Within), s.Proved.UTC().Format("2 Jan 15:04"))
}

// Unwrap gives the refusal its meaning.
func (s *StaleSignIn) Unwrap() error { return fault.New(fault.Forbidden, "%s", s.Error()) }

// spoken writes a duration for people: 90m as "1 h 30 min".
func spoken(d time.Duration) string {
	hours, minutes := int(d/time.Hour), int(d%time.Hour/time.Minute)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case hours == 0:
		return fmt.Sprintf("%d min", minutes)
	case minutes == 0:
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d h %d min", hours, minutes)
}
