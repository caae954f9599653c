// Package access is the pages of who may do what: signing in, what somebody holds, what programs get of it.
package access

import (
	"embed"
	"log/slog"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/session"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Auth     *auth.Auth
	Login    *login.Login
	Sessions *session.Store
	Log      *slog.Logger
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /login", ps.loginPage)
	k.Page("POST /login", ps.signIn)
	k.Page("POST /logout", ps.logout)
	k.Page("GET /login/{provider}", ps.beginLogin)
	k.Page("GET /login/{provider}/callback", ps.finishLogin)
	k.Data("POST /login/credentials", ps.credentials)
	k.Page("GET /profile", ps.profile)
	k.Page("POST /profile/sessions", ps.endSessions)
	k.Page("POST /profile/clients", ps.deleteClient)
	k.Page("GET /auth/clients/create", ps.clientPage)
	k.Page("POST /auth/clients/create", ps.clientDecision)
	k.Page("GET /login/oauth/authorize", ps.siteAsks)
	k.Page("GET /third-party", ps.sitePage)
	k.Page("POST /login/oauth/authorize/decision", ps.siteDecision)
	return k.Add(markup)
}
