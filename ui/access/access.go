// Package access is the pages of who may do what: signing in, what somebody holds, what programs get of it; clients,
// roles, what scopes come to and why somebody has one; the log of all changes, and changes that need two persons.
package access

import (
	"embed"
	"log/slog"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/live"
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
	Settings *home.Settings
	Live     *live.Live // nil: pages do not move by themselves
	Log      *slog.Logger
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /login", ps.loginPage)
	k.Page("POST /login", ps.signIn)
	k.Page("POST /logout", ps.logout)
	k.Page("GET "+page.AgainPath, ps.signInAgain)
	k.Page("GET "+page.AgainDone, ps.signedInAgain)
	k.Page("GET /login/{provider}", ps.beginLogin)
	k.Page("GET /login/{provider}/callback", ps.finishLogin)
	k.Data("POST /login/credentials", ps.credentials)
	k.Page("GET /profile", ps.profile)
	k.Page("POST /profile/sessions", ps.endSessions)
	k.Page("POST /profile/settings", ps.settings)
	k.Page("POST /profile/clients", ps.deleteClient)
	k.Page("GET /auth/clients/create", ps.clientPage)
	k.Page("POST /auth/clients/create", ps.clientDecision)
	k.Page("GET /login/oauth/authorize", ps.siteAsks)
	k.Page("GET /third-party", ps.sitePage)
	k.Page("POST /login/oauth/authorize/decision", ps.siteDecision)

	k.Page("GET /auth", func(v *page.Visit) error { return v.Redirect("/auth/clients") })
	k.Page("GET /auth/clients", ps.clients)
	k.Page("GET /auth/clients/{id...}", ps.clientEditor)
	k.Page("POST /auth/clients/{id...}", ps.changeClient)
	k.Page("GET /auth/new-client", ps.newClient)
	k.Page("POST /auth/new-client", ps.createClient)
	k.Page("GET /auth/roles", ps.roles)
	k.Page("GET /auth/roles/create", func(v *page.Visit) error { return v.Redirect("/auth/new-role") })
	k.Page("GET /auth/roles/{id...}", ps.roleEditor)
	k.Page("POST /auth/roles/{id...}", ps.changeRole)
	k.Page("GET /auth/new-role", ps.newRole)
	k.Page("POST /auth/new-role", ps.createRole)
	k.Page("GET /auth/scopes", ps.holders)
	k.Page("GET /auth/scopes/expansions", ps.expansions)
	k.Page("POST /auth/scopes/expansions", ps.expansions)
	k.Page("GET /auth/scopes/compare", ps.compare)
	k.Page("POST /auth/scopes/compare", ps.compare)
	k.Page("GET /auth/explain", ps.explain)
	k.Page("GET /audit", ps.auditLog)
	k.Data("GET /audit/{file}", ps.auditFile)
	k.Page("GET "+approvalsPath, ps.approvals)
	k.Page("POST "+approvalsPath+"/{id}", ps.decide)
	k.Each(ps.waiting)
	return k.Add(markup)
}
