package ui

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/login"
)

const (
	sessionCookie = "treeline_session"
	sessionLife   = 30 * 24 * time.Hour
)

// session says who looks at a page. The zero session with scopes is a visitor's who has not signed in.
type session struct {
	clientID string
	scopes   []string // expanded, as they are now
	token    []byte   // the cookie's; nil when not signed in
	holder   login.Holder
}

// csrf returns a token that only pages of this session hold. It looks different each time, so that
// packing a page does not give it away.
func (s session) csrf() string {
	pad := make([]byte, sha256.Size)
	rand.Read(pad) // never fails
	return base64.RawURLEncoding.EncodeToString(append(pad, xor(pad, s.proof())...))
}

func (s session) checkCSRF(given string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil || len(raw) != 2*sha256.Size {
		return false
	}
	return hmac.Equal(xor(raw[:sha256.Size], raw[sha256.Size:]), s.proof())
}

func (s session) proof() []byte {
	mac := hmac.New(sha256.New, s.token)
	mac.Write([]byte("treeline form of " + s.clientID))
	return mac.Sum(nil)
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// sessions keeps who is signed in.
type sessions struct{ pool *pgxpool.Pool }

// begun is who began a session.
type begun struct {
	login.Holder
	scopes []string // at its begin; nil for a client, whose scopes are looked up at each request
	agent  string   // the browser, as it calls itself
}

// start makes a session and returns its token.
func (s sessions) start(ctx context.Context, who begun, expires time.Time) ([]byte, error) {
	token := make([]byte, 32)
	rand.Read(token) // never fails
	sum := sha256.Sum256(token)
	if _, err := s.pool.Exec(ctx, startSQL.Text, sum[:], who.ClientID, who.scopes, expires, who.Certificate, who.Person, who.agent); err != nil {
		return nil, fmt.Errorf("ui: start a session of %s: %w", who.ClientID, pg.Classify(err))
	}
	return token, nil
}

// find returns whose session a token is, and since when. An unknown or expired one is fault.NotFound.
func (s sessions) find(ctx context.Context, token []byte) (begun, error) {
	var who begun
	sum := sha256.Sum256(token)
	err := s.pool.QueryRow(ctx, findSQL.Text, sum[:]).Scan(&who.ClientID, &who.scopes, &who.Certificate, &who.Since, &who.Person)
	if errors.Is(err, pgx.ErrNoRows) {
		return begun{}, fault.New(fault.NotFound, "The session has ended.")
	}
	if err != nil {
		return begun{}, fmt.Errorf("ui: session: %w", pg.Classify(err))
	}
	return who, nil
}

func (s sessions) end(ctx context.Context, token []byte) error {
	sum := sha256.Sum256(token)
	if _, err := s.pool.Exec(ctx, endSQL.Text, sum[:]); err != nil {
		return fmt.Errorf("ui: end a session: %w", pg.Classify(err))
	}
	return nil
}

// sessionOf returns the session of a request with the scopes it has now. A session that has ended,
// or whose client is gone or has another access token by now, is that of a visitor; so is one of
// temporary credentials whose issuer is.
func (u *UI) sessionOf(r *http.Request) (session, error) {
	ctx := r.Context()
	if token := tokenOf(r); token != nil {
		who, err := u.sessions.find(ctx, token)
		var caller auth.Caller
		if err == nil {
			caller, err = u.callerOf(ctx, who)
		}
		switch {
		case err == nil:
			return session{who.ClientID, caller.Scopes, token, who.Holder}, nil
		case errors.Is(err, fault.Unavailable): // the person's provider; what everybody may see stays open
			u.log.WarnContext(ctx, "a person is taken for a visitor", "identity", who.ClientID, "error", err)
		case !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Unauthenticated):
			return session{}, err
		}
	}
	caller, err := u.deps.Auth.AnonymousCaller(ctx)
	if err != nil {
		return session{}, fmt.Errorf("ui: visitor: %w", err)
	}
	return session{scopes: caller.Scopes}, nil
}

func (u *UI) callerOf(ctx context.Context, who begun) (auth.Caller, error) {
	if who.Certificate == "" && who.scopes != nil { // by a version that did not keep the certificate
		return auth.Caller{}, fault.New(fault.Unauthenticated, "The session cannot be checked; sign in again.")
	}
	return u.deps.Login.Caller(ctx, who.Holder)
}

func tokenOf(r *http.Request) []byte {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	token, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(token) != 32 {
		return nil
	}
	return token
}

// setCookie gives the browser a session's token; nil takes it away.
func (u *UI) setCookie(w http.ResponseWriter, token []byte, expires time.Time) {
	c := &http.Cookie{
		Name: sessionCookie, Value: base64.RawURLEncoding.EncodeToString(token), Path: "/", Expires: expires,
		HttpOnly: true, Secure: u.secure, SameSite: http.SameSiteLaxMode,
	}
	if token == nil {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// opened is a session as its owner sees it.
type opened struct {
	ID      string // its token's hash, which opens nothing
	Agent   string
	Created time.Time
	Expires time.Time
	Here    bool // the one that asks
}

// list returns the sessions of who owns this one, the newest first.
func (s sessions) list(ctx context.Context, who session) ([]opened, error) {
	rows, err := s.pool.Query(ctx, listSessionsSQL.Text, who.clientID, hashOf(who.token), who.holder.Person)
	if err != nil {
		return nil, fmt.Errorf("ui: sessions of %s: %w", who.clientID, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[opened])
	if err != nil {
		return nil, fmt.Errorf("ui: sessions of %s: %w", who.clientID, pg.Classify(err))
	}
	return list, nil
}

// endOf ends a session of who owns this one; all of them when id is "".
func (s sessions) endOf(ctx context.Context, who session, id string) error {
	var err error
	if id == "" {
		_, err = s.pool.Exec(ctx, endAllSQL.Text, who.clientID, who.holder.Person)
	} else {
		_, err = s.pool.Exec(ctx, endOneSQL.Text, who.clientID, id, who.holder.Person)
	}
	if err != nil {
		return fmt.Errorf("ui: end sessions of %s: %w", who.clientID, pg.Classify(err))
	}
	return nil
}

func hashOf(token []byte) []byte {
	sum := sha256.Sum256(token)
	return sum[:]
}

var (
	startSQL = pg.Statement{Name: "ui.start-session", Text: `
WITH old AS (DELETE FROM ui_sessions WHERE expires < now())
INSERT INTO ui_sessions (token_hash, client_id, scopes, expires, certificate, person, agent) VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7)`}

	findSQL = pg.Statement{Name: "ui.find-session", Text: `
SELECT client_id, scopes, coalesce(certificate, ''), created, person FROM ui_sessions WHERE token_hash = $1 AND expires > now()`}

	listSessionsSQL = pg.Statement{Name: "ui.list-sessions", Text: `
SELECT encode(token_hash, 'hex'), agent, created, expires, token_hash = $2 FROM ui_sessions
WHERE client_id = $1 AND person = $3 AND expires > now() ORDER BY created DESC, token_hash LIMIT 100`}

	endOneSQL = pg.Statement{Name: "ui.end-one-session", Text: `
DELETE FROM ui_sessions WHERE client_id = $1 AND encode(token_hash, 'hex') = $2 AND person = $3`}

	endAllSQL = pg.Statement{Name: "ui.end-all-sessions", Text: `DELETE FROM ui_sessions WHERE client_id = $1 AND person = $2`}

	endSQL = pg.Statement{Name: "ui.end-session", Text: `DELETE FROM ui_sessions WHERE token_hash = $1`}
)

// Statements are the SQL of this package, for the test that prepares each.
var Statements = []pg.Statement{startSQL, findSQL, endSQL, listSessionsSQL, endOneSQL, endAllSQL}
