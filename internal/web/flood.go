package web

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// notTooMany counts a request, before anything is read or done for it, against the limits of its sender's address; who
// it is of a caller with credentials shows later.
func (r *Request) notTooMany() error {
	l, e, from := r.site.Limits, r.endpoint, throttle.Address(r.HTTP.RemoteAddr)
	if l == nil || e.Category == monitoringCategory {
		return nil
	}
	switch e.Proof {
	case SignedURL:
		return nil
	case SignedBody:
		return l.Spent(throttle.Failures, r.sender())
	}
	if e.Costly {
		if err := l.Take(throttle.Costly, from); err != nil {
			return err
		}
	}
	if e.Scopes != nil && (r.HTTP.Header.Get("Authorization") != "" || r.HTTP.URL.Query().Has("bewit")) {
		return nil
	}
	return l.Take(throttle.Anonymous, from)
}

// sender is who sends to an endpoint where callers prove who they are: one who fails must not lock out others at the
// same address, where the endpoint can tell them apart. It is "" on this machine.
func (r *Request) sender() string {
	from := throttle.Address(r.HTTP.RemoteAddr)
	if from == "" || r.endpoint.Sender == "" {
		return from
	}
	name := r.HTTP.Header.Get(r.endpoint.Sender)
	return from + " " + name[:min(len(name), 64)]
}

// authenticated asks who calls, and counts: bad credentials by address, good ones by client. Where too many were bad,
// only clients that are known already are still looked at, which costs next to nothing: that somebody else behind the
// same address floods us hurts no worker.
func (r *Request) authenticated(ctx context.Context) (AuthResult, error) {
	l, from, ask := r.site.Limits, throttle.Address(r.HTTP.RemoteAddr), r.AuthRequest()
	spent := l.Spent(throttle.Failures, from)
	ask.Sparing = spent != nil
	result, err := r.site.auth.Authenticate(ctx, ask)
	switch {
	case spent != nil && (errors.Is(err, fault.Limited) || errors.Is(err, fault.Unauthenticated)):
		return result, spent
	case errors.Is(err, fault.Unauthenticated):
		_ = l.Take(throttle.Failures, from) // the next one learns that it was the last
	case err == nil && !result.Anonymous():
		err = l.Take(throttle.Client, result.ClientID)
	}
	return result, err
}

// count counts a caller who could not prove who they are.
func (r *Request) count(err error) error {
	if r.endpoint.Proof == "" || !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.Forbidden) {
		return err
	}
	if over := r.site.Limits.Take(throttle.Failures, r.sender()); over != nil {
		return over
	}
	if over := r.site.Limits.Take(throttle.Anonymous, throttle.Address(r.HTTP.RemoteAddr)); over != nil {
		return over
	}
	return err
}
