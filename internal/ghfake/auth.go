package ghfake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/jwt"
	"github.com/treeline-ci/treeline/internal/ghfake/pace"
)

// App is a GitHub App.
type App struct {
	ID     int64
	Slug   string
	Name   string
	Events []string // subscribed; events about installations come anyway

	// Permissions are what its installations get: "contents": "read" and so on.
	Permissions map[string]string

	server *Server
	keys   []*rsa.PrivateKey // all hold; the newest is the last
	hook   hookConfig
	bot    *User
	owner  *User
}

type hookConfig struct{ url, secret string }

// DefaultPermissions and DefaultEvents are those of an App that does the work of continuous integration.
func DefaultPermissions() map[string]string {
	return map[string]string{
		"checks": "write", "statuses": "write", "contents": "read", "pull_requests": "write", "issues": "write",
		"metadata": "read", "members": "read", "merge_queues": "read",
	}
}

// DefaultEvents are the events that such an App subscribes.
func DefaultEvents() []string {
	return []string{
		"push", "pull_request", "release", "issue_comment", "check_run", "check_suite", "merge_group", "create", "delete",
		"repository", "member",
	}
}

// AddApp makes an App with a new key. Its webhooks go to hookURL, signed with secret.
func (s *Server) AddApp(slug, hookURL, secret string) (*App, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("ghfake: %w", err)
	}
	return s.register(slug, hookURL, secret, slug+"-owner", key), nil
}

func (s *Server) register(slug, hookURL, secret, login string, key *rsa.PrivateKey) *App {
	owner := s.AddUser(login)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &App{ID: s.nextID() % 10_000_000, Slug: slug, Name: slug, Events: DefaultEvents(), Permissions: DefaultPermissions(), server: s, keys: []*rsa.PrivateKey{key}, hook: hookConfig{hookURL, secret}, owner: owner}
	a.bot = s.addUser(slug+"[bot]", "Bot")
	s.apps[a.ID] = a
	return a
}

// SetHook changes where the App's webhooks go and what signs them.
func (a *App) SetHook(url, secret string) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.hook = hookConfig{url, secret}
}

// Hook returns where the App's webhooks go and what signs them.
func (a *App) Hook() (url, secret string) { return a.server.target(a.ID) }

// PrivateKey returns the App's newest key in PEM, as GitHub gives it for download.
func (a *App) PrivateKey() []byte {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	return a.newestKey()
}

func (a *App) newestKey() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(a.keys[len(a.keys)-1])})
}

// AddKey makes the App another key, as its owner does on its page: those it has hold as well.
func (a *App) AddKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("ghfake: %w", err)
	}
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.keys = append(a.keys, key)
	return nil
}

// DeleteOldKeys leaves the App its newest key alone. Tokens of installations that were given out hold on.
func (a *App) DeleteOldKeys() {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.keys = a.keys[len(a.keys)-1:]
}

// publicKeys are those that verify what the App signs.
func (a *App) publicKeys() (out []*rsa.PublicKey) {
	for _, key := range a.keys {
		out = append(out, &key.PublicKey)
	}
	return out
}

// Installation is an App installed at an account.
type Installation struct {
	ID int64

	app       *App
	account   *User
	all       bool // every repository of the account
	repos     map[int64]bool
	suspended time.Time
	created   time.Time
	quota     pace.Quota
	pace      pace.Pace
}

// Install installs the App at an account, for the given repositories or, without any, for all; it sends
// installation.created.
func (a *App) Install(account string, repositories ...*Repository) *Installation {
	s := a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &Installation{ID: s.nextID(), app: a, account: s.addUser(account, "Organization"), all: len(repositories) == 0, repos: map[int64]bool{}, created: s.Now()}
	for _, r := range repositories {
		in.repos[r.ID] = true
	}
	s.installations[in.ID] = in
	s.tellInstallation(in, "created", in.account)
	return in
}

// Delete uninstalls the App: its tokens end, and installation.deleted is sent.
func (in *Installation) Delete() {
	s := in.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellInstallation(in, "deleted", in.account)
	delete(s.installations, in.ID)
	maps.DeleteFunc(s.tokens, func(_ string, t *accessToken) bool { return t.installation == in })
}

// Suspend and Unsuspend stop an installation and let it go on.
func (in *Installation) Suspend() { in.suspend(in.app.server.Now(), "suspend") }

// Unsuspend ends what Suspend began.
func (in *Installation) Unsuspend() { in.suspend(time.Time{}, "unsuspend") }

func (in *Installation) suspend(at time.Time, action string) {
	s := in.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	in.suspended = at
	s.tellInstallation(in, action, in.account)
}

// AddRepositories and RemoveRepositories change which repositories an installation reaches, and send
// installation_repositories.
func (in *Installation) AddRepositories(list ...*Repository) { in.change("added", list) }

// RemoveRepositories takes repositories away from an installation.
func (in *Installation) RemoveRepositories(list ...*Repository) { in.change("removed", list) }

func (in *Installation) change(action string, list []*Repository) {
	s := in.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range list {
		if action == "added" {
			in.repos[r.ID] = true
		} else {
			delete(in.repos, r.ID)
		}
	}
	s.tellInstallationRepositories(in, action, list, in.account)
}

func (in *Installation) reaches(r *Repository) bool {
	return in.all && r.owner == in.account || in.repos[r.ID]
}

// RevokeTokens ends all installation tokens that were given out.
func (in *Installation) RevokeTokens() {
	s := in.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.tokens, func(_ string, t *accessToken) bool { return t.installation == in })
}

// accessToken is an installation token.
type accessToken struct {
	installation *Installation
	expires      time.Time
	permissions  map[string]string
	repos        map[int64]bool // nil for all of the installation
}

func (t *accessToken) reaches(r *Repository) bool {
	return t.installation.reaches(r) && (t.repos == nil || t.repos[r.ID])
}

func (t *accessToken) may(permission, level string) bool {
	return covers(t.permissions[permission], level)
}

func covers(have, want string) bool {
	levels := []string{"read", "write", "admin"}
	return have != "" && slices.Index(levels, have) >= slices.Index(levels, want)
}

// authenticate finds who calls: an App, or an installation.
func (s *Server) authenticate(r *http.Request) (*App, *accessToken, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bad := &apiError{Status: http.StatusUnauthorized, Message: "Bad credentials"}
	switch strings.ToLower(scheme) {
	case "bearer", "token":
	case "":
		return nil, nil, &apiError{Status: http.StatusUnauthorized, Message: "Requires authentication"}
	default:
		return nil, nil, bad
	}
	if strings.Count(secret, ".") == 2 {
		app, err := s.verifyJWT(secret)
		return app, nil, err
	}
	t := s.tokens[secret]
	if t == nil || !s.Now().Before(t.expires) {
		return nil, nil, bad
	}
	if !t.installation.suspended.IsZero() {
		return nil, nil, &apiError{Status: http.StatusForbidden, Message: "This installation has been suspended"}
	}
	return t.installation.app, t, nil
}

// verifyJWT finds the App whose token it is.
func (s *Server) verifyJWT(text string) (*App, error) {
	id, problem := jwt.Verify(text, s.Now(), func(id int64) []*rsa.PublicKey {
		if app := s.apps[id]; app != nil {
			return app.publicKeys()
		}
		return nil
	})
	if problem != "" {
		return nil, &apiError{Status: http.StatusUnauthorized, Message: problem}
	}
	return s.apps[id], nil
}

// createToken answers POST /app/installations/{id}/access_tokens.
func (c *call) createToken() (any, error) {
	in, err := c.installationOfApp()
	if err != nil {
		return nil, err
	}
	if !in.suspended.IsZero() {
		return nil, &apiError{Status: http.StatusForbidden, Message: "This installation has been suspended"}
	}
	t := &accessToken{installation: in, expires: c.s.Now().Add(time.Hour).Truncate(time.Second), permissions: maps.Clone(in.app.Permissions)}
	if asked, ok := c.body["permissions"].(obj); ok {
		t.permissions = map[string]string{"metadata": "read"}
		for name, level := range asked {
			level, _ := level.(string)
			if !covers(in.app.Permissions[name], level) {
				return nil, invalid("The permissions requested are not granted to this installation.")
			}
			t.permissions[name] = level
		}
	}
	if names, ok := c.body["repositories"].([]any); ok {
		t.repos = map[int64]bool{}
		for _, n := range names {
			name, _ := n.(string)
			r := c.s.repoByName(in.account.Login + "/" + name)
			if r == nil || !in.reaches(r) {
				return nil, invalid("There is at least one repository that does not exist or is not accessible to the parent installation.")
			}
			t.repos[r.ID] = true
		}
	}
	secret := "ghs_" + rand.Text() + rand.Text()[:10]
	c.s.tokens[secret] = t
	c.status = http.StatusCreated
	selection := "selected"
	if in.all && t.repos == nil {
		selection = "all"
	}
	return obj{"token": secret, "expires_at": stamp(t.expires), "permissions": t.permissions, "repository_selection": selection}, nil
}
