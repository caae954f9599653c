package page

import (
	"net/http"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// maxBody is how many bytes of a request's body a page reads: as many as the API does.
const maxBody = 10 << 20

// costly are the pages and data that are much work for one request.
var costly = map[string]bool{
	"GET /search": true, "GET /ui/api/find": true, "GET /audit": true, "GET /audit/{file}": true, "GET /tasks/groups/{group}/{file}": true,
	"POST /ui/api/config-debug/try": true, "POST /config-debug": true, "GET /graph-diff/{repo}/{name}": true,
	"GET /auth/explain": true, "GET /auth/scopes": true, "POST /auth/scopes/expansions": true, "POST /auth/scopes/compare": true, "GET /ui/api/groups/{group}/graph": true,
}

// admit finds out who asks, and counts. What a browser brings that is no session counts as a failure; where there were
// too many from an address, only sessions that were good before are looked at.
func (k *Kit) admit(v *Visit) (err error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxBody)
	l, from, token := k.Limits, throttle.Address(v.R.RemoteAddr), k.Sessions.TokenOf(v.R)
	if token == nil {
		err = l.Take(throttle.Anonymous, from)
	} else if err = l.Spent(throttle.Failures, from); err != nil && k.known.Has(string(token)) {
		err = nil
	}
	if err != nil {
		return err
	}
	if v.Session, err = k.Sessions.Of(v.R); err != nil {
		return err
	}
	who := v.Session.ClientID
	switch {
	case who != "":
		k.known.Add(string(token))
		err = l.Take(throttle.Client, who)
	case token != nil:
		_ = l.Take(throttle.Failures, from) // the next one learns that it was the last
	}
	if who == "" {
		who = from
	}
	if err == nil && costly[v.R.Pattern] {
		err = l.Take(throttle.Costly, who)
	}
	return err
}

// Attempt is for what strangers may try: a fault.Limited says that too many attempts from their address failed.
func (v *Visit) Attempt() error {
	return v.Kit.Limits.Spent(throttle.SignIn, throttle.Address(v.R.RemoteAddr))
}

// Failed counts an attempt that failed, or that costs something either way.
func (v *Visit) Failed() {
	_ = v.Kit.Limits.Take(throttle.SignIn, throttle.Address(v.R.RemoteAddr)) // the next one learns that it was the last
}

// limited reports whether somebody asks too often.
func limited(err error) bool { return fault.KindOf(err) == fault.Limited }
