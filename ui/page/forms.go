package page

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// unguarded are the forms that are taken without the token of their page, with the reason. Every other form is refused
// before its handler runs, so that a new one cannot forget. All of them are refused when a browser says that another
// site sends them.
var unguarded = map[string]string{
	"POST /login":                   "nobody is signed in yet; the credentials are in the form",
	"POST /ui/theme":                "keeps nothing but the choice of colours, in the browser",
	"POST /auth/scopes/expansions":  "changes nothing: a question that may be too long for an address",
	"POST /auth/scopes/compare":     "changes nothing: a question that may be too long for an address",
	"POST /config-debug":            "changes nothing: it tries files out",
	"POST /ui/api/config-debug/try": "changes nothing: it tries files out",
	"POST /ui/api/create/check":     "changes nothing: it judges a text",
	"POST /ui/api/create/change":    "changes nothing: it rewrites a text",
	"POST /ui/api/hooks/check":      "changes nothing: it judges a text",
	"POST /tasks/create":            "checks it when a task is to be created, and keeps what was typed when somebody has signed out",
	"POST /hooks/create":            "checks it when something is to be saved, and keeps what was typed when somebody has signed out",
	"POST /hooks/{group}/{id...}":   "checks it when something is to be saved, and keeps what was typed when somebody has signed out",
	"POST /worker-manager/create":   "checks it when something is to be saved, and keeps what was typed when somebody has signed out",
	"POST /auth/new-client":         "checks it, and keeps what was typed when somebody has signed out",
	"POST /auth/clients/{id...}":    "checks it, and keeps what was typed when somebody has signed out",
	"POST /auth/new-role":           "checks it, and keeps what was typed when somebody has signed out",
	"POST /auth/roles/{id...}":      "checks it, and keeps what was typed when somebody has signed out",
	"POST /secrets/{name...}":       "checks it, and keeps what was typed when somebody has signed out",
}

// Unguarded reports why a form is taken without the token of its page; "" for one that is not.
func Unguarded(pattern string) string { return unguarded[pattern] }

// maxStranger is how many bytes of a form are read of who has not signed in.
const maxStranger = 1 << 20

// propose keeps a change that was refused for want of a second person, for that person to see.
func (v *Visit) propose() {
	if v.refused == nil || v.refused.Last() == nil {
		return
	}
	if _, err := v.Kit.Sessions.Auth.Propose(v.R.Context(), v.Caller(), v.refused.Last()); err != nil {
		v.Kit.Log.WarnContext(v.R.Context(), "a change that needs two persons could not be proposed", "who", v.Session.ClientID, "request", v.ID, "err", err)
	}
}

// checkForm reads a form, and refuses what is too large or was not sent from a page of the session.
func (v *Visit) checkForm() error {
	switch v.R.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if v.Session.ClientID == "" {
		v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxStranger)
	}
	err := v.R.ParseForm()
	if strings.HasPrefix(v.R.Header.Get("Content-Type"), "multipart/") {
		err = v.R.ParseMultipartForm(maxBody)
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.TooLarge, "This form has more than %d bytes.", large.Limit)
	}
	if unguarded[v.R.Pattern] != "" || v.R.Pattern == "/" { // "/" says that there is no such page
		return nil
	}
	return v.Post()
}

// UnguardedPatterns lists the patterns of forms that are taken without the token of their page.
func UnguardedPatterns() []string { return slices.Collect(maps.Keys(unguarded)) }
