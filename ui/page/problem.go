package page

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// StatusOf is the HTTP status of an error.
func StatusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Malformed, fault.BadArguments, fault.BadInput:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Limited:
		return http.StatusTooManyRequests
	}
	return http.StatusInternalServerError
}

// problem is what an error page says.
type problem struct {
	Status  int
	Head    string
	Message string
	SignIn  bool   // signing in may help
	Request string // its id, by which the log tells more
}

func (v *Visit) explain(err error) problem {
	p := problem{Status: StatusOf(err), Message: fault.Message(err), Request: v.ID}
	switch p.Status {
	case http.StatusNotFound:
		p.Head = "Not found"
	case http.StatusGone:
		p.Head = "Expired"
	case http.StatusForbidden, http.StatusUnauthorized:
		p.Head, p.SignIn = "Not allowed", v.Session.ClientID == ""
	case http.StatusInternalServerError:
		p.Head = "Something broke"
		v.Kit.Log.ErrorContext(v.R.Context(), "a page failed", "path", v.R.URL.Path, "request", v.ID, "error", err)
	case http.StatusServiceUnavailable:
		p.Head = "Not now"
	default:
		p.Head = "That does not work"
	}
	return p
}

// Fail answers with an error page.
func (v *Visit) Fail(err error) {
	if v.R.Context().Err() != nil && errors.Is(err, v.R.Context().Err()) {
		return // nobody waits for the answer
	}
	if limited(err) {
		web.Refuse(v.W, err)
		return
	}
	p := v.explain(err)
	if err := v.Show(p.Status, View{Title: p.Head, Name: "error", Main: "narrow", Body: p}, nil); err != nil {
		v.Kit.Log.ErrorContext(v.R.Context(), "the error page failed", "error", err)
		http.Error(v.W, p.Message, p.Status)
	}
}

func (v *Visit) failData(err error) {
	if v.R.Context().Err() != nil && errors.Is(err, v.R.Context().Err()) {
		return
	}
	p := v.explain(err)
	if limited(err) {
		v.W.Header().Set("Retry-After", strconv.Itoa(throttle.Seconds(err)))
	}
	answer := map[string]string{"message": p.Message, "request": p.Request}
	if _, stale := errors.AsType[*auth.StaleSignIn](err); stale {
		answer["code"] = "SignInAgain"
	}
	v.writeJSON(p.Status, answer)
}
