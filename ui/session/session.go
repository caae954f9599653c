// Package session keeps who is signed in at the pages: a cookie holds a token, the database its hash and whose it is.
package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/login"
)

// cookieName names the cookie. By https it is bound to this host alone: no other one of the same domain can set it.
func (s *Store) cookieName() string {
	if s.Secure {
		return "__Host-treeline_session"
	}
	return "treeline_session"
}

// Life is how long a session of a client's own credentials lasts.
const Life = 30 * 24 * time.Hour

// Session says who looks at a page. The zero session with scopes is a visitor's who has not signed in.
type Session struct {
	ClientID string
	Scopes   []string // expanded, as they are now
	Token    []byte   // the cookie's; nil when not signed in
	Holder   login.Holder
	Issuer   string // as of auth.Caller
	// Proved is when the person, or who has the client's credentials, proved that last; zero for a visitor.
	Proved time.Time

	earlier [][]byte // hashes of what forms carried in the sessions before it
}

// CSRF returns a token that only pages of this session hold. It looks different each time, so that
// packing a page does not give it away.
func (s Session) CSRF() string {
	pad := make([]byte, sha256.Size)
	rand.Read(pad) // never fails
	return base64.RawURLEncoding.EncodeToString(append(pad, xor(pad, s.proof())...))
}

// CheckCSRF reports whether given is such a token.
func (s Session) CheckCSRF(given string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil || len(raw) != 2*sha256.Size {
		return false
	}
	proof := xor(raw[:sha256.Size], raw[sha256.Size:])
	return hmac.Equal(proof, s.proof()) || slices.ContainsFunc(s.earlier, func(sum []byte) bool { return hmac.Equal(sum, hashOf(proof)) })
}

// kept is how many sessions of the same person in the same browser, one after the other, have forms that stay good.
const kept = 20

// forms are the hashes for the session after this one.
func (s Session) forms() [][]byte {
	if s.Token == nil {
		return nil
	}
	list := append(slices.Clone(s.earlier), hashOf(s.proof()))
	return list[max(0, len(list)-kept):]
}

func (s Session) proof() []byte {
	mac := hmac.New(sha256.New, s.Token)
	mac.Write([]byte("treeline form of " + s.ClientID))
	return mac.Sum(nil)
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// Store keeps the sessions. It is safe for concurrent use.
type Store struct {
	Pool   *pgxpool.Pool
	Auth   *auth.Auth
	Login  *login.Login
	Secure bool // people come by https, which cookies say
	Log    *slog.Logger
}

// Begun is who began a session.
type Begun struct {
	login.Holder
	Scopes []string // at its begin; nil for a client, whose scopes are looked up at each request
	Agent  string   // the browser, as it calls itself
	// Proved is when they proved who they are, where a provider says so; zero: now.
	Proved time.Time

	earlier [][]byte
}

// Start makes a session and returns its token. before is that of the browser: when it is the same person's, pages that
// are open there go on with the new one.
func (s *Store) Start(ctx context.Context, who Begun, before Session, expires time.Time) ([]byte, error) {
	token := make([]byte, 32)
	rand.Read(token) // never fails
	forms := [][]byte{}
	if before.Token != nil && before.ClientID == who.ClientID && before.Holder.Person == who.Person {
		forms = before.forms()
	}
	var proved *time.Time
	if !who.Proved.IsZero() {
		proved = &who.Proved
	}
	if _, err := s.Pool.Exec(ctx, startSQL.Text, hashOf(token), who.ClientID, who.Scopes, expires, who.Certificate, who.Person, who.Agent, proved, forms); err != nil {
		return nil, fmt.Errorf("ui: start a session of %s: %w", who.ClientID, pg.Classify(err))
	}
	return token, nil
}

// find returns whose session a token is, and since when. An unknown or expired one is fault.NotFound.
func (s *Store) find(ctx context.Context, token []byte) (Begun, error) {
	var who Begun
	sum := sha256.Sum256(token)
	err := s.Pool.QueryRow(ctx, findSQL.Text, sum[:]).Scan(&who.ClientID, &who.Scopes, &who.Certificate, &who.Since, &who.Person, &who.Proved, &who.earlier)
	if errors.Is(err, pgx.ErrNoRows) {
		return Begun{}, fault.New(fault.NotFound, "The session has ended.")
	}
	if err != nil {
		return Begun{}, fmt.Errorf("ui: session: %w", pg.Classify(err))
	}
	return who, nil
}

// End ends the session of a token.
func (s *Store) End(ctx context.Context, token []byte) error {
	sum := sha256.Sum256(token)
	if _, err := s.Pool.Exec(ctx, endSQL.Text, sum[:]); err != nil {
		return fmt.Errorf("ui: end a session: %w", pg.Classify(err))
	}
	return nil
}

// Of returns the session of a request with the scopes it has now. A session that has ended,
// or whose client is gone or has another access token by now, is that of a visitor; so is one of
// temporary credentials whose issuer is.
func (s *Store) Of(r *http.Request) (Session, error) {
	ctx := r.Context()
	if token := s.TokenOf(r); token != nil {
		who, err := s.find(ctx, token)
		var caller auth.Caller
		if err == nil {
			caller, err = s.callerOf(ctx, who)
		}
		switch {
		case err == nil:
			return Session{
				ClientID: who.ClientID, Scopes: caller.Scopes, Token: token, Holder: who.Holder, Issuer: caller.Issuer, Proved: who.Proved, earlier: who.earlier,
			}, nil
		case errors.Is(err, fault.Unavailable): // the person's provider; what everybody may see stays open
			s.Log.WarnContext(ctx, "a person is taken for a visitor", "identity", who.ClientID, "error", err)
		case !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Unauthenticated):
			return Session{}, err
		}
	}
	caller, err := s.Auth.AnonymousCaller(ctx)
	if err != nil {
		return Session{}, fmt.Errorf("ui: visitor: %w", err)
	}
	return Session{Scopes: caller.Scopes}, nil
}

func (s *Store) callerOf(ctx context.Context, who Begun) (auth.Caller, error) {
	if who.Certificate == "" && who.Scopes != nil { // by a version that did not keep the certificate
		return auth.Caller{}, fault.New(fault.Unauthenticated, "The session cannot be checked; sign in again.")
	}
	return s.Login.Caller(ctx, who.Holder)
}

// TokenOf returns the token that a request brings; nil without.
func (s *Store) TokenOf(r *http.Request) []byte {
	cookie, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil
	}
	token, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(token) != 32 {
		return nil
	}
	return token
}

// SetCookie gives the browser a session's token; nil takes it away.
func (s *Store) SetCookie(w http.ResponseWriter, token []byte, expires time.Time) {
	c := &http.Cookie{
		Name: s.cookieName(), Value: base64.RawURLEncoding.EncodeToString(token), Path: "/", Expires: expires,
		HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode,
	}
	if token == nil {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Opened is a session as its owner sees it.
type Opened struct {
	ID      string // its token's hash, which opens nothing
	Agent   string
	Created time.Time
	Expires time.Time
	Here    bool // the one that asks
}

// List returns the sessions of who owns this one, the newest first.
func (s *Store) List(ctx context.Context, who Session) ([]Opened, error) {
	rows, err := s.Pool.Query(ctx, listSessionsSQL.Text, who.ClientID, hashOf(who.Token), who.Holder.Person)
	if err != nil {
		return nil, fmt.Errorf("ui: sessions of %s: %w", who.ClientID, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Opened])
	if err != nil {
		return nil, fmt.Errorf("ui: sessions of %s: %w", who.ClientID, pg.Classify(err))
	}
	return list, nil
}

// EndOf ends a session of who owns this one; all of them when id is "".
func (s *Store) EndOf(ctx context.Context, who Session, id string) error {
	var err error
	if id == "" {
		_, err = s.Pool.Exec(ctx, endAllSQL.Text, who.ClientID, who.Holder.Person)
	} else {
		_, err = s.Pool.Exec(ctx, endOneSQL.Text, who.ClientID, id, who.Holder.Person)
	}
	if err != nil {
		return fmt.Errorf("ui: end sessions of %s: %w", who.ClientID, pg.Classify(err))
	}
	return nil
}

// Prune removes the sessions whose time is over, in small steps, and returns how many.
func Prune(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	n, err := pg.Prune(ctx, pool, pruneSQL, 1000)
	if err != nil {
		return n, fmt.Errorf("ui: %w", err)
	}
	return n, nil
}

func hashOf(token []byte) []byte {
	sum := sha256.Sum256(token)
	return sum[:]
}

var (
	startSQL = pg.Statement{Name: "ui.start-session", Text: `
INSERT INTO ui_sessions (token_hash, client_id, scopes, expires, certificate, person, agent, proved, earlier_forms)
VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7, coalesce($8, now()), $9)`}

	findSQL = pg.Statement{Name: "ui.find-session", Text: `
SELECT client_id, scopes, coalesce(certificate, ''), created, person, coalesce(proved, created), earlier_forms FROM ui_sessions WHERE token_hash = $1 AND expires > now()`}

	listSessionsSQL = pg.Statement{Name: "ui.list-sessions", Text: `
SELECT encode(token_hash, 'hex'), agent, created, expires, token_hash = $2 FROM ui_sessions
WHERE client_id = $1 AND person = $3 AND expires > now() ORDER BY created DESC, token_hash LIMIT 100`}

	endOneSQL = pg.Statement{Name: "ui.end-one-session", Text: `
DELETE FROM ui_sessions WHERE client_id = $1 AND encode(token_hash, 'hex') = $2 AND person = $3`}

	endAllSQL = pg.Statement{Name: "ui.end-all-sessions", Text: `DELETE FROM ui_sessions WHERE client_id = $1 AND person = $2`}

	endSQL = pg.Statement{Name: "ui.end-session", Text: `DELETE FROM ui_sessions WHERE token_hash = $1`}

	pruneSQL = pg.Statement{Name: "ui.prune-sessions", Text: `
DELETE FROM ui_sessions WHERE token_hash IN (SELECT token_hash FROM ui_sessions WHERE expires < now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)

// Statements are the SQL of this package, for the test that prepares each.
var Statements = []pg.Statement{startSQL, findSQL, endSQL, listSessionsSQL, endOneSQL, endAllSQL, pruneSQL}
