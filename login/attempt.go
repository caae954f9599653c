package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/login/provider"
)

// AttemptLife is how long people may take at the provider.
const AttemptLife = 10 * time.Minute

// attempt is one sign-in under way. It travels in a cookie, sealed: nobody who has not signed in makes
// us write anything, and a state is worth nothing in another browser.
type attempt struct {
	Provider string        `json:"provider"`
	Flow     provider.Flow `json:"flow"`
	Next     string        `json:"next"`
	Expires  time.Time     `json:"expires"`
}

var attemptContext = []byte("login.attempt")

// Begin starts a sign-in. The browser goes to address and keeps cookie, in which only we can read; next
// is where it wants to be afterwards. again is for somebody who is signed in and has to prove that anew.
func (l *Login) Begin(ctx context.Context, name, next string, again bool) (address, cookie string, err error) {
	p, err := l.provider(name)
	if err != nil {
		return "", "", err
	}
	a := attempt{Provider: name, Next: next, Expires: time.Now().Add(AttemptLife), Flow: provider.Flow{
		State: random(), Nonce: random(), Verifier: random(), Callback: l.callback(name), Again: again,
	}}
	if address, err = p.Begin(ctx, a.Flow); err != nil {
		return "", "", fmt.Errorf("login: begin: %w", err)
	}
	plain, err := json.Marshal(a)
	if err != nil {
		return "", "", fmt.Errorf("login: begin: %w", err)
	}
	sealed, err := l.deps.Ring.Seal(plain, attemptContext)
	if err != nil {
		return "", "", fmt.Errorf("login: begin: %w", err)
	}
	return address, base64.RawURLEncoding.EncodeToString(sealed), nil
}

// callback is the address at which a provider's people come back; each provider has its own, so that
// one cannot answer for another.
func (l *Login) callback(name string) string {
	if name == mozilla {
		name = mozillaAddress
	}
	return l.deps.RootURL + "/login/" + name + "/callback"
}

// The provider that the field calls mozilla-auth0 sends people back to an address with another name,
// which is registered there (taskcluster-map 15.2).
const (
	mozilla        = "mozilla-auth0"
	mozillaAddress = "auth0"
)

// Arrival is who has signed in.
type Arrival struct {
	Identity string
	Next     string
	Proved   time.Time // when the person showed the provider who they are; zero: it does not say, so now
}

// Finish ends a sign-in: the browser is back from the provider called name, with its cookie and with
// what the provider gave it. What does not fit together, or comes a second time, is a
// fault.Unauthenticated.
func (l *Login) Finish(ctx context.Context, name, cookie string, q url.Values) (Arrival, error) {
	if name == mozillaAddress {
		name = mozilla
	}
	p, err := l.provider(name)
	if err != nil {
		return Arrival{}, err
	}
	a, err := l.open(cookie)
	if err != nil {
		return Arrival{}, err
	}
	state := q.Get("state")
	if a.Provider != name || len(q["state"]) != 1 || subtle.ConstantTimeCompare([]byte(state), []byte(a.Flow.State)) != 1 {
		return Arrival{}, fault.New(fault.Unauthenticated, "This answer belongs to no sign-in that was begun in this browser. Sign in again.")
	}
	if err := l.spend(ctx, a); err != nil {
		return Arrival{}, err
	}
	person, err := p.Finish(ctx, a.Flow, q)
	if err != nil {
		return Arrival{}, fmt.Errorf("login: finish: %w", err)
	}
	if err := l.signIn(ctx, name, person); err != nil {
		return Arrival{}, err
	}
	l.log.InfoContext(ctx, "somebody signed in", "identity", person.Identity, "roles", len(person.Roles))
	if person.Proved.After(time.Now()) {
		person.Proved = time.Time{} // by a clock that is ahead of ours
	}
	return Arrival{person.Identity, a.Next, person.Proved}, nil
}

func (l *Login) open(cookie string) (attempt, error) {
	refused := fault.New(fault.Unauthenticated, "No sign-in was begun in this browser, or its cookie is gone. Sign in again.")
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(sealed) == 0 {
		return attempt{}, refused
	}
	plain, err := l.deps.Ring.Open(sealed, attemptContext)
	if err != nil {
		return attempt{}, refused
	}
	var a attempt
	if err := json.Unmarshal(plain, &a); err != nil {
		return attempt{}, refused
	}
	return a, nil
}

// spend uses up a state: on whichever server it comes back first, it comes back once, and in time.
func (l *Login) spend(ctx context.Context, a attempt) error {
	var ok bool
	err := l.deps.Pool.QueryRow(ctx, spendSQL.Text, hash(a.Flow.State), a.Expires).Scan(&ok)
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.Unauthenticated, "This sign-in took too long, or was finished already. Sign in again.")
	}
	if err != nil {
		return fmt.Errorf("login: spend a state: %w", pg.Classify(err))
	}
	return nil
}

// random returns 256 bits of chance, as text that needs no escaping.
func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

var spendSQL = pg.Statement{Name: "login.spend", Text: `
INSERT INTO login_spent (state_hash, expires) SELECT $1, $2::timestamptz WHERE $2::timestamptz > now()
ON CONFLICT DO NOTHING RETURNING true`}
