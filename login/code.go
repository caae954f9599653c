package login

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// codeLife is how long a code or token may wait to be used (taskcluster-map 15.3).
const codeLife = 10 * time.Minute

// Kinds of codes.
const (
	kindCLI   = "cli"
	kindOAuth = "oauth"
)

// code is a row of login_codes.
type code struct {
	kind, site, redirect, challenge string
	holder                          Holder
	asked                           Asked
}

func (l *Login) addCode(ctx context.Context, c code) (string, error) {
	secret := random()
	if _, err := l.deps.Pool.Exec(ctx, addCodeSQL.Text, hash(secret), c.kind, c.site, c.redirect, c.challenge, c.holder, c.asked, codeLife); err != nil {
		return "", fmt.Errorf("login: write a code: %w", pg.Classify(err))
	}
	return secret, nil
}

// takeCode uses up a code; there is nobody else who can. One that was used already ends what it gave,
// since one of the two who had it must be a thief.
func (l *Login) takeCode(ctx context.Context, kind, secret string) (code, error) {
	var c code
	err := l.deps.Pool.QueryRow(ctx, takeCodeSQL.Text, hash(secret), kind).Scan(&c.kind, &c.site, &c.redirect, &c.challenge, &c.holder, &c.asked)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := l.deps.Pool.Exec(ctx, revokeCodeSQL.Text, hash(secret)); err != nil {
			return code{}, fmt.Errorf("login: revoke a code: %w", pg.Classify(err))
		}
		return code{}, fault.New(fault.Invalid, "The code is unknown, too old, or was used already.")
	}
	if err != nil {
		return code{}, fmt.Errorf("login: take a code: %w", pg.Classify(err))
	}
	return c, nil
}

// proves reports whether verifier belongs to the challenge (RFC 7636, S256); without a challenge
// there is nothing to prove.
func proves(verifier, challenge string) bool {
	if challenge == "" {
		return true
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// CLICode returns a code for what somebody consented to; the program that made the wish redeems it.
func (l *Login) CLICode(ctx context.Context, h Holder, w Wish, a Asked) (string, error) {
	return l.addCode(ctx, code{kind: kindCLI, challenge: w.Challenge, holder: h, asked: a})
}

// Fetched is a client with its token.
type Fetched struct {
	ClientID    string
	AccessToken string
	Expires     time.Time
}

// Redeem gives the program that began, as its verifier proves, the client that somebody consented to.
func (l *Login) Redeem(ctx context.Context, secret, verifier string) (Fetched, error) {
	c, err := l.takeCode(ctx, kindCLI, secret)
	if err != nil {
		return Fetched{}, err
	}
	if !proves(verifier, c.challenge) {
		return Fetched{}, fault.New(fault.Invalid, "The code is for another program.")
	}
	token, err := l.Make(ctx, c.holder, c.asked)
	return Fetched{c.asked.ClientID, token, c.asked.Expires}, err
}

// Revoke deletes the client whose own credentials are shown: signing out of the command line. Clients
// that the configuration defines stay, and so does who signed temporary credentials.
func (l *Login) Revoke(ctx context.Context, creds hawk.Credentials) error {
	if creds.Certificate != "" {
		return fault.New(fault.Invalid, "Temporary credentials end by themselves.")
	}
	if _, err := l.deps.Auth.CheckToken(ctx, creds); err != nil {
		return err
	}
	client, err := l.deps.Auth.Client(ctx, creds.ClientID)
	if err != nil {
		return err
	}
	if !client.DeleteOnExpiration {
		return fault.New(fault.Invalid, "Client ID %s was not made by signing in; it is not deleted.", creds.ClientID)
	}
	return l.deps.Auth.DeleteClient(ctx, creds.ClientID, creds.ClientID)
}

// reset gives a client that was fetched before a new token.
func (l *Login) reset(ctx context.Context, h Holder, a Asked) (string, error) {
	if _, err := l.Caller(ctx, h); err != nil {
		return "", err
	}
	_, token, err := l.deps.Auth.ResetAccessToken(ctx, h.ClientID, a.ClientID, 0)
	return token, err
}

var addCodeSQL = pg.Statement{Name: "login.add_code", Text: `
INSERT INTO login_codes (code_hash, kind, site, redirect_uri, challenge, holder, asked, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8::interval)`}

var takeCodeSQL = pg.Statement{Name: "login.take_code", Text: `
UPDATE login_codes SET spent = clock_timestamp()
WHERE code_hash = $1 AND kind = $2 AND spent IS NULL AND expires > clock_timestamp()
RETURNING kind, site, redirect_uri, challenge, holder, asked`}

var revokeCodeSQL = pg.Statement{Name: "login.revoke_code", Text: `DELETE FROM login_tokens WHERE code_hash = $1`}
