package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/treeline-ci/treeline/internal/fault"
)

// OIDCConfig says how people sign in at an OpenID Connect provider.
type OIDCConfig struct {
	Name         string   // begins identities
	Issuer       string   // has /.well-known/openid-configuration below it
	ClientID     string   // as registered there
	ClientSecret string   // "" for a public client
	Scopes       []string // besides openid; default profile, email, offline_access
	GroupsClaim  string   // where the person's groups stand; default groups
	NameClaims   []string // the first that is there becomes the readable part
}

// OIDC is a sign-in by the authorization code flow with PKCE and nonce. The provider's description is
// fetched at the first use; keys it changes later are fetched when a token names one.
type OIDC struct {
	config OIDCConfig
	http   *http.Client

	mu    sync.Mutex
	found *discovered
}

// discovered is what the provider says about itself.
type discovered struct {
	provider *oidc.Provider
	oauth    oauth2.Config
	namesIss bool // each answer names the issuer (RFC 9207)
}

// NewOIDC returns the provider without asking it anything.
func NewOIDC(c OIDCConfig) *OIDC {
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"profile", "email", oidc.ScopeOfflineAccess}
	}
	if !slices.Contains(c.Scopes, oidc.ScopeOpenID) {
		c.Scopes = append([]string{oidc.ScopeOpenID}, c.Scopes...)
	}
	if len(c.NameClaims) == 0 {
		c.NameClaims = []string{"preferred_username", "nickname", "email"}
	}
	c.GroupsClaim = cmp.Or(c.GroupsClaim, "groups")
	return &OIDC{config: c, http: newClient()}
}

// RolePrefixes implements Provider.
func (p *OIDC) RolePrefixes() []string {
	if p.config.Name == mozillaName {
		return []string{"mozilla-group:", "mozilla-hris:", "mozillians-group:"}
	}
	return []string{p.config.Name + "-group:"}
}

// discover asks the provider about itself, once it answers never again.
func (p *OIDC) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	provider, err := oidc.NewProvider(p.context(ctx), p.config.Issuer)
	if err != nil {
		return nil, unreachable(p.config.Name, err)
	}
	var more struct {
		Iss   bool     `json:"authorization_response_iss_parameter_supported"`
		Auths []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, unreachable(p.config.Name, err)
	}
	endpoint := provider.Endpoint()
	// Trying both would send a code twice, which a provider must take for theft.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.config.ClientSecret == "" || len(more.Auths) > 0 && !slices.Contains(more.Auths, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	p.found = &discovered{provider: provider, namesIss: more.Iss, oauth: oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, Endpoint: endpoint, Scopes: p.config.Scopes,
	}}
	return p.found, nil
}

// context makes the libraries use our client.
func (p *OIDC) context(ctx context.Context) context.Context { return oidc.ClientContext(ctx, p.http) }

// Begin implements Provider.
func (p *OIDC) Begin(ctx context.Context, f Flow) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	c := found.oauth
	c.RedirectURL = f.Callback
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if f.Again {
		// max_age has the ID token say when that was (auth_time), also where prompt is not known.
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return c.AuthCodeURL(f.State, options...), nil
}

// Finish implements Provider.
func (p *OIDC) Finish(ctx context.Context, f Flow, q url.Values) (Person, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	if err := p.answered(found, q); err != nil {
		return Person{}, err
	}
	c := found.oauth
	c.RedirectURL = f.Callback
	token, err := c.Exchange(p.context(ctx), q.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return Person{}, p.refused(err)
	}
	id, err := p.verify(ctx, found, token)
	if err != nil {
		return Person{}, err
	}
	if id == nil {
		return Person{}, fault.New(fault.Unauthenticated, "%s sent no ID token.", p.config.Name)
	}
	if id.Nonce != f.Nonce {
		return Person{}, fault.New(fault.Unauthenticated, "The ID token of %s belongs to another sign-in.", p.config.Name)
	}
	person, err := p.person(ctx, found, token, id)
	if err == nil {
		person.Proved, err = authTime(id)
	}
	return person, err
}

// authTime is when the person showed the provider who they are, as the ID token says it; zero when it does not.
func authTime(id *oidc.IDToken) (time.Time, error) {
	var claims struct {
		AuthTime *float64 `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil {
		return time.Time{}, fault.Wrap(fault.Unauthenticated, err, "The ID token says in a way that cannot be read when you signed in (auth_time).")
	}
	if claims.AuthTime == nil || *claims.AuthTime <= 0 {
		return time.Time{}, nil
	}
	return time.Unix(int64(*claims.AuthTime), 0), nil
}

// answered checks the answer that the browser brought before anything is sent anywhere.
func (p *OIDC) answered(found *discovered, q url.Values) error {
	if iss := q.Get("iss"); iss != "" && iss != p.config.Issuer || iss == "" && found.namesIss {
		return fault.New(fault.Unauthenticated, "The answer does not come from %s.", p.config.Name)
	}
	return declined(p.config.Name, q)
}

// declined explains an answer without a code.
func declined(name string, q url.Values) error {
	switch e := q.Get("error"); {
	case e == "access_denied":
		return fault.New(fault.Unauthenticated, "You have not allowed the sign-in at %s, or %s does not allow it to you.", name, name)
	case e != "":
		return fault.New(fault.Unauthenticated, "%s refused the sign-in: %.80q.", name, e)
	case q.Get("code") == "":
		return fault.New(fault.Unauthenticated, "%s sent no code.", name)
	}
	return nil
}

// verify checks the ID token of an answer; nil when there is none.
func (p *OIDC) verify(ctx context.Context, found *discovered, token *oauth2.Token) (*oidc.IDToken, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, nil
	}
	id, err := found.provider.Verifier(&oidc.Config{ClientID: p.config.ClientID}).Verify(p.context(ctx), raw)
	if err == nil && id.AccessTokenHash != "" {
		err = id.VerifyAccessToken(token.AccessToken)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unauthenticated, err, "The ID token of %s does not hold.", p.config.Name)
	}
	return id, nil
}

// grant is what Renew needs.
type grant struct {
	Refresh string `json:"refresh"`
	Subject string `json:"subject"`
}

// person reads who somebody is from the ID token, and from the user info where the token does not say.
func (p *OIDC) person(ctx context.Context, found *discovered, token *oauth2.Token, id *oidc.IDToken) (Person, error) {
	claims := map[string]any{}
	if id != nil {
		if err := id.Claims(&claims); err != nil {
			return Person{}, fault.Wrap(fault.Unauthenticated, err, "The ID token of %s cannot be read.", p.config.Name)
		}
	}
	if _, ok := p.groups(claims); (!ok || id == nil) && found.provider.UserInfoEndpoint() != "" {
		info, err := found.provider.UserInfo(p.context(ctx), oauth2.StaticTokenSource(token))
		if err != nil {
			return Person{}, unreachable(p.config.Name, err)
		}
		if id != nil && info.Subject != id.Subject {
			return Person{}, fault.New(fault.Unauthenticated, "The user info of %s is about somebody else.", p.config.Name)
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return Person{}, fault.Wrap(fault.Unauthenticated, err, "The user info of %s cannot be read.", p.config.Name)
		}
		for k, v := range more {
			if _, ok := claims[k]; !ok {
				claims[k] = v
			}
		}
	}
	subject, _ := claims["sub"].(string)
	if subject == "" {
		return Person{}, fault.New(fault.Unauthenticated, "%s does not say who you are.", p.config.Name)
	}
	person := p.named(subject, claims)
	if token.RefreshToken != "" {
		kept, err := json.Marshal(grant{token.RefreshToken, subject})
		if err != nil {
			return Person{}, fmt.Errorf("login: %s: keep the grant: %w", p.config.Name, err)
		}
		person.Grant = kept
	}
	return person, nil
}

func (p *OIDC) named(subject string, claims map[string]any) Person {
	name := ""
	for _, claim := range p.config.NameClaims {
		if text, ok := claims[claim].(string); ok && text != "" {
			name = text
			break
		}
	}
	groups, _ := p.groups(claims)
	if p.config.Name == mozillaName {
		return Person{Subject: subject, Name: name, Identity: mozillaIdentity(subject, name), Roles: roles(groups, mozillaRole)}
	}
	return Person{
		Subject: subject, Name: name, Identity: identity(p.config.Name, subject, name),
		Roles: roles(groups, func(g string) string { return p.config.Name + "-group:" + g }),
	}
}

// groups returns the person's groups, and whether the claim is there. Its name may be a path, such as
// realm_access.roles; a name that has dots itself is tried first.
func (p *OIDC) groups(claims map[string]any) ([]string, bool) {
	v, ok := claims[p.config.GroupsClaim]
	if !ok {
		v = any(claims)
		for _, step := range strings.Split(p.config.GroupsClaim, ".") {
			object, isObject := v.(map[string]any)
			if !isObject {
				return nil, false
			}
			if v, ok = object[step]; !ok {
				return nil, false
			}
		}
	}
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		var out []string
		for _, g := range v {
			if text, ok := g.(string); ok {
				out = append(out, text)
			}
		}
		return out, true
	}
	return nil, true
}

// Renew implements Provider.
func (p *OIDC) Renew(ctx context.Context, kept []byte) (Person, error) {
	var g grant
	if err := json.Unmarshal(kept, &g); err != nil || g.Refresh == "" {
		return Person{}, fmt.Errorf("login: %s: the grant is damaged: %w", p.config.Name, ErrGone)
	}
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	token, err := found.oauth.TokenSource(p.context(ctx), &oauth2.Token{RefreshToken: g.Refresh}).Token()
	if err != nil {
		return Person{}, p.refused(err)
	}
	id, err := p.verify(ctx, found, token)
	if err != nil {
		return Person{}, err
	}
	person, err := p.person(ctx, found, token, id)
	if err == nil && person.Subject != g.Subject {
		return Person{}, fmt.Errorf("login: %s: the answer is about somebody else: %w", p.config.Name, ErrGone)
	}
	return person, err
}

// refused explains why the provider gave no token.
func (p *OIDC) refused(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.Response != nil && e.Response.StatusCode < http.StatusInternalServerError && e.Response.StatusCode != http.StatusTooManyRequests {
		if e.ErrorCode == "invalid_grant" {
			return fault.Wrap(fault.Unauthenticated, ErrGone, "%s does not accept this sign-in; begin again.", p.config.Name)
		}
		// The answer's text is not repeated: it may hold what was sent.
		return fault.Wrap(fault.Unavailable, fmt.Errorf("%s answers %s %.80q", p.config.Name, e.Response.Status, e.ErrorCode), "%s refuses this server; its configuration must be looked at.", p.config.Name)
	}
	return unreachable(p.config.Name, err)
}

func unreachable(name string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // the address may hold a token
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be asked at the moment; try again.", name)
}
