package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Request is what another site asks for at /login/oauth/authorize.
type Request struct {
	Site         Site
	RedirectURI  string
	ResponseType string
	Scopes       []string
	State        string
	Expires      time.Duration // at most what the site may have
	Challenge    string
	ExpiresText  string
}

// Refusal is what a site did wrong. It is told to the site itself, by an error code of RFC 6749; what
// is wrong about the site or its address is told to the person only, since nobody else can be trusted.
type Refusal struct {
	Code, Message string
	To            string // the whole address
}

// Error implements error.
func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// ParseRequest checks what another site asks for. A *Refusal goes back to the site.
func (l *Login) ParseRequest(q url.Values) (Request, error) {
	at := slices.IndexFunc(l.config.RegisteredClients, func(s Site) bool { return s.ClientID == q.Get("client_id") })
	if at < 0 {
		return Request{}, fault.New(fault.Invalid, "No site is registered here as %.60q.", q.Get("client_id"))
	}
	site := l.config.RegisteredClients[at]
	r := Request{
		Site: site, RedirectURI: q.Get("redirect_uri"), ResponseType: q.Get("response_type"), State: q.Get("state"),
		Scopes: strings.Fields(q.Get("scope")), Challenge: q.Get("code_challenge"), ExpiresText: q.Get("expires"),
	}
	// To the letter: a prefix would be an open redirect.
	if !slices.Contains(site.RedirectURI, r.RedirectURI) {
		return Request{}, fault.New(fault.Invalid, "%s is not registered with the address %.200q, so you are not sent there.", site.Title, r.RedirectURI)
	}
	for _, key := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "expires", "code_challenge", "code_challenge_method"} {
		if len(q[key]) > 1 {
			return Request{}, r.refuse("invalid_request", "a parameter is there twice")
		}
	}
	switch {
	case r.ResponseType != site.ResponseType:
		return Request{}, r.refuse("unsupported_response_type", "this site is registered for another response_type")
	case !sameScopes(r.Scopes, site.Scope):
		return Request{}, r.refuse("invalid_scope", "the scopes must be those that are registered")
	case r.Challenge != "" && (q.Get("code_challenge_method") != "S256" || !challenge.MatchString(r.Challenge) || r.ResponseType != "code"):
		return Request{}, r.refuse("invalid_request", "the code_challenge must have the method S256")
	}
	most, err := ParseSpan(site.MaxExpires)
	if err != nil {
		return Request{}, err
	}
	r.Expires = most
	// A span that cannot be read is as good as none.
	if wanted, err := ParseSpan(r.ExpiresText); err == nil {
		r.Expires = min(wanted, most)
	}
	return r, nil
}

func sameScopes(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

func (r Request) refuse(code, message string) error {
	return &Refusal{code, message, r.back(url.Values{"error": {code}, "error_description": {message}})}
}

// Deny returns the address that tells the site that the person does not want to.
func (r Request) Deny() string { return r.back(url.Values{"error": {"access_denied"}}) }

// back returns the site's address with an answer: in the query, or in the fragment where the site
// takes tokens.
func (r Request) back(answer url.Values) string {
	if r.State != "" {
		answer.Set("state", r.State)
	}
	u, err := url.Parse(r.RedirectURI)
	if err != nil {
		return "/" // it was registered, so it parses
	}
	if r.Site.ResponseType == "token" {
		return r.RedirectURI + "#" + answer.Encode()
	}
	q := u.Query()
	for k, v := range answer {
		q[k] = v
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Query returns the request as the query of our own addresses; all of it is checked again there.
func (r Request) Query() url.Values {
	q := url.Values{
		"client_id": {r.Site.ClientID}, "redirect_uri": {r.RedirectURI}, "response_type": {r.ResponseType},
		"scope": {strings.Join(r.Scopes, " ")},
	}
	for key, v := range map[string]string{"state": r.State, "expires": r.ExpiresText, "code_challenge": r.Challenge} {
		if v != "" {
			q.Set(key, v)
		}
	}
	if r.Challenge != "" {
		q.Set("code_challenge_method", "S256")
	}
	return q
}

// SiteOffer says what a person could give another site: what both have.
func (l *Login) SiteOffer(ctx context.Context, h Holder, r Request) (Offer, error) {
	caller, err := l.Caller(ctx, h)
	if err != nil {
		return Offer{}, err
	}
	o := Offer{
		ClientID: Below(h.ClientID) + r.Site.ClientID + "-" + suffix(), Scopes: Intersect(r.Scopes, caller.Scopes),
		Expires: time.Now().Add(r.Expires).UTC().Truncate(time.Second),
	}
	return o, mayMake(caller, o.ClientID, nil)
}

// Grant returns the address that brings the site a code or a token for the scopes that are ticked; nil
// is all, for a site that nobody is asked about.
func (l *Login) Grant(ctx context.Context, h Holder, r Request, ticked []string) (string, error) {
	o, err := l.SiteOffer(ctx, h, r)
	if err != nil {
		return "", err
	}
	if ticked != nil {
		if o.Scopes, err = l.kept(ctx, o.Scopes, ticked); err != nil {
			return "", err
		}
	}
	a := Asked{ClientID: o.ClientID, Expires: o.Expires, Scopes: o.Scopes, Description: "Made for " + r.Site.Title + ", which asked for it."}
	if r.ResponseType == "token" {
		token, err := l.addToken(ctx, nil, h, a)
		if err != nil {
			return "", err
		}
		return r.back(url.Values{"access_token": {token}, "token_type": {"Bearer"}, "expires_in": {strconv.Itoa(int(codeLife.Seconds()))}}), nil
	}
	secret, err := l.addCode(ctx, code{kind: kindOAuth, site: r.Site.ClientID, redirect: r.RedirectURI, challenge: r.Challenge, holder: h, asked: a})
	if err != nil {
		return "", err
	}
	return r.back(url.Values{"code": {secret}}), nil
}

// Exchange gives a site a token for its code. The code is used up by the attempt, whatever comes of it.
func (l *Login) Exchange(ctx context.Context, secret, redirectURI, site, verifier string) (token string, life time.Duration, err error) {
	c, err := l.takeCode(ctx, kindOAuth, secret)
	if err != nil {
		return "", 0, err
	}
	if c.redirect != redirectURI || site != "" && site != c.site || !proves(verifier, c.challenge) {
		return "", 0, fault.New(fault.Invalid, "The code was given to another site or for another address.")
	}
	token, err = l.addToken(ctx, hash(secret), c.holder, c.asked)
	return token, codeLife, err
}

func (l *Login) addToken(ctx context.Context, codeHash []byte, h Holder, a Asked) (string, error) {
	token := random()
	if _, err := l.deps.Pool.Exec(ctx, addTokenSQL.Text, hash(token), codeHash, h, a, codeLife); err != nil {
		return "", fmt.Errorf("login: write a token: %w", pg.Classify(err))
	}
	return token, nil
}

// SiteCredentials gives the holder of a token the client that it stands for, made at the first call; a
// further call gives it a new access token.
func (l *Login) SiteCredentials(ctx context.Context, token string) (Fetched, error) {
	var h Holder
	var a Asked
	var made bool
	err := l.deps.Pool.QueryRow(ctx, tokenSQL.Text, hash(token)).Scan(&h, &a, &made)
	if errors.Is(err, pgx.ErrNoRows) {
		return Fetched{}, fault.New(fault.Unauthenticated, "The token is unknown or too old.")
	}
	if err != nil {
		return Fetched{}, fmt.Errorf("login: token: %w", pg.Classify(err))
	}
	f := Fetched{ClientID: a.ClientID, Expires: a.Expires}
	if made {
		f.AccessToken, err = l.reset(ctx, h, a)
		return f, err
	}
	if f.AccessToken, err = l.Make(ctx, h, a); err != nil {
		return Fetched{}, err
	}
	if _, err := l.deps.Pool.Exec(ctx, madeSQL.Text, hash(token)); err != nil {
		return Fetched{}, fmt.Errorf("login: token: %w", pg.Classify(err))
	}
	return f, nil
}

// Origins returns the origins of the sites that take codes in the browser.
func (l *Login) Origins() []string {
	var out []string
	for _, s := range l.config.RegisteredClients {
		for _, uri := range s.RedirectURI {
			if u, err := url.Parse(uri); err == nil {
				out = append(out, u.Scheme+"://"+u.Host)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var addTokenSQL = pg.Statement{Name: "login.add_token", Text: `
INSERT INTO login_tokens (token_hash, code_hash, holder, asked, expires) VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval)`}

var tokenSQL = pg.Statement{Name: "login.token", Text: `
SELECT holder, asked, made FROM login_tokens WHERE token_hash = $1 AND expires > clock_timestamp()`}

var madeSQL = pg.Statement{Name: "login.made", Text: `UPDATE login_tokens SET made = true WHERE token_hash = $1`}
