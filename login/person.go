package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/login/provider"
)

// Person is somebody who has signed in.
type Person struct {
	Identity, Provider, Name string
	Roles                    []string
	Checked                  time.Time // when the provider vouched last
	Until                    time.Time // when its word must be renewed
}

// row is a row of login_people.
type row struct {
	Person
	Age       time.Duration // of the provider's word, by the database's clock
	Renewable bool
	Ended     bool
}

// signIn writes what a provider said. An earlier identity of the same person, who has another name
// since, ends.
func (l *Login) signIn(ctx context.Context, name string, p provider.Person) error {
	if err := l.checkRoles(name, p); err != nil {
		return err
	}
	kept, err := l.sealGrant(p)
	if err != nil {
		return err
	}
	return pg.Tx(ctx, l.deps.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, signInSQL.Text, p.Identity, name, p.Subject, p.Name, nonNil(p.Roles), kept); err != nil {
			return fmt.Errorf("login: sign in %s: %w", p.Identity, pg.Classify(err))
		}
		if _, err := tx.Exec(ctx, supersedeSQL.Text, name, p.Subject, p.Identity); err != nil {
			return fmt.Errorf("login: sign in %s: %w", p.Identity, pg.Classify(err))
		}
		return nil
	})
}

// checkRoles holds a provider to its own names: none makes people or roles of another.
func (l *Login) checkRoles(name string, p provider.Person) error {
	if identity, ok := l.identityOf(p.Identity); !ok || identity != p.Identity || p.Subject == "" || len(p.Identity) > 1000 {
		return fault.New(fault.Internal, "login: %s gave an identity that cannot be: %.100q", name, p.Identity)
	}
	return nil
}

func grantContext(identity string) []byte { return []byte("login_people.grant " + identity) }

func (l *Login) sealGrant(p provider.Person) ([]byte, error) {
	if p.Grant == nil {
		return nil, nil
	}
	sealed, err := l.deps.Ring.Seal(p.Grant, grantContext(p.Identity))
	if err != nil {
		return nil, fmt.Errorf("login: seal the grant of %s: %w", p.Identity, err)
	}
	return sealed, nil
}

// Person returns somebody with the roles that the provider gives now: when its word is older than
// Config.Recheck it is asked again. Who is unknown, or no longer vouched for, is a
// fault.Unauthenticated.
func (l *Login) Person(ctx context.Context, identity string) (Person, error) {
	r, err := l.read(ctx, identity)
	if err != nil {
		return Person{}, err
	}
	switch {
	case r.Age < l.config.Recheck:
	case r.Renewable:
		if r, err = l.recheck(ctx, r); err != nil {
			return Person{}, err
		}
	case r.Age > l.config.Unrenewed:
		return Person{}, fault.New(fault.Unauthenticated, "You signed in too long ago; sign in again.")
	}
	r.Until = r.Checked.Add(l.config.Recheck)
	if !r.Renewable {
		r.Until = r.Checked.Add(l.config.Unrenewed)
	}
	return r.Person, nil
}

func (l *Login) read(ctx context.Context, identity string) (row, error) {
	r := row{Person: Person{Identity: identity}}
	var seconds float64
	err := l.deps.Pool.QueryRow(ctx, personSQL.Text, identity).Scan(&r.Provider, &r.Name, &r.Roles, &r.Checked, &seconds, &r.Renewable, &r.Ended)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (r.Ended || l.providers[r.Provider] == nil) {
		return r, fault.New(fault.Unauthenticated, "You are not vouched for any more; sign in again.")
	}
	if err != nil {
		return r, fmt.Errorf("login: person %s: %w", identity, pg.Classify(err))
	}
	r.Age = time.Duration(seconds * float64(time.Second))
	return r, nil
}

// recheck asks the provider about somebody, on one server at a time: grants change with each use.
// While it cannot be asked, or another server asks, its last word holds for Config.Grace.
func (l *Login) recheck(ctx context.Context, old row) (row, error) {
	// The answer is for all who wait, so it does not end with the first of them.
	done := l.asking.DoChan(old.Identity, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return l.ask(ctx, old)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return row{}, r.Err
		}
		return r.Val.(row), nil
	case <-ctx.Done():
		return row{}, ctx.Err()
	}
}

func (l *Login) ask(ctx context.Context, old row) (row, error) {
	var kept []byte
	var seen time.Time
	err := l.deps.Pool.QueryRow(ctx, claimCheckSQL.Text, old.Identity, l.config.Recheck).Scan(&kept, &seen)
	if errors.Is(err, pgx.ErrNoRows) {
		return l.await(ctx, old)
	}
	if err != nil {
		return row{}, fmt.Errorf("login: recheck %s: %w", old.Identity, pg.Classify(err))
	}
	person, err := l.renew(ctx, old, kept)
	switch {
	case errors.Is(err, provider.ErrGone):
		l.log.InfoContext(ctx, "a person is not vouched for any more", "identity", old.Identity, "error", err)
		if err := l.end(ctx, old.Identity, seen); err != nil {
			return row{}, err
		}
	case err != nil:
		l.log.WarnContext(ctx, "a provider could not be asked about a person", "identity", old.Identity, "error", err)
		return l.graced(old)
	default:
		if err := l.renewed(ctx, old.Identity, seen, person); err != nil {
			return row{}, err
		}
	}
	return l.read(ctx, old.Identity)
}

// renew asks the provider. Somebody who is called otherwise by now is another identity.
func (l *Login) renew(ctx context.Context, old row, kept []byte) (provider.Person, error) {
	p, err := l.provider(old.Provider)
	if err != nil {
		return provider.Person{}, err
	}
	grant, err := l.deps.Ring.Open(kept, grantContext(old.Identity))
	if err != nil {
		return provider.Person{}, fmt.Errorf("login: the grant of %s: %w: %w", old.Identity, err, provider.ErrGone)
	}
	person, err := p.Renew(ctx, grant)
	if err == nil && person.Identity != old.Identity {
		err = fmt.Errorf("login: %s is called %s now: %w", old.Identity, person.Identity, provider.ErrGone)
	}
	return person, err
}

func (l *Login) renewed(ctx context.Context, identity string, seen time.Time, p provider.Person) error {
	kept, err := l.sealGrant(p)
	if err != nil {
		return err
	}
	if _, err := l.deps.Pool.Exec(ctx, renewedSQL.Text, identity, seen, p.Name, nonNil(p.Roles), kept); err != nil {
		return fmt.Errorf("login: renew %s: %w", identity, pg.Classify(err))
	}
	return nil
}

func (l *Login) end(ctx context.Context, identity string, seen time.Time) error {
	if _, err := l.deps.Pool.Exec(ctx, endPersonSQL.Text, identity, seen); err != nil {
		return fmt.Errorf("login: end %s: %w", identity, pg.Classify(err))
	}
	return nil
}

// graced is the last word of a provider that cannot be asked.
func (l *Login) graced(old row) (row, error) {
	if old.Age > l.config.Grace {
		return row{}, fault.New(fault.Unavailable, "%s cannot be asked whether you may still be here; try again in a minute.", old.Provider)
	}
	return old, nil
}

// await is for a person about whom another server asks, or asked in the last seconds.
func (l *Login) await(ctx context.Context, old row) (row, error) {
	if r, err := l.graced(old); err == nil {
		return r, nil
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for range 50 {
		r, err := l.read(ctx, old.Identity)
		if err != nil || r.Age < l.config.Recheck {
			return r, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return row{}, ctx.Err()
		}
	}
	return l.graced(old)
}

func nonNil(list []string) []string { return append([]string{}, list...) }

var signInSQL = pg.Statement{Name: "login.sign_in", Text: `
INSERT INTO login_people AS p (identity, provider, subject, name, roles, grant_) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (identity) DO UPDATE SET
	name = excluded.name, roles = excluded.roles, grant_ = excluded.grant_,
	seen = clock_timestamp(), checked = clock_timestamp(), trying = NULL, ended = NULL`}

var supersedeSQL = pg.Statement{Name: "login.supersede", Text: `
UPDATE login_people SET ended = now(), grant_ = NULL WHERE provider = $1 AND subject = $2 AND identity <> $3 AND ended IS NULL`}

var personSQL = pg.Statement{Name: "login.person", Text: `
SELECT provider, name, roles, checked, extract(epoch FROM clock_timestamp() - checked)::float8, grant_ IS NOT NULL, ended IS NOT NULL
FROM login_people WHERE identity = $1`}

// claimCheckSQL makes this server the one that asks; another may when nothing came of it in 30 seconds.
var claimCheckSQL = pg.Statement{Name: "login.claim_check", Text: `
UPDATE login_people SET trying = clock_timestamp()
WHERE identity = $1 AND ended IS NULL AND grant_ IS NOT NULL AND checked < clock_timestamp() - $2::interval
  AND (trying IS NULL OR trying < clock_timestamp() - interval '30 seconds')
RETURNING grant_, seen`}

// renewedSQL leaves alone what a sign-in has brought in the meantime.
var renewedSQL = pg.Statement{Name: "login.renewed", Text: `
UPDATE login_people SET name = $3, roles = $4, grant_ = coalesce($5, grant_), checked = clock_timestamp(), trying = NULL
WHERE identity = $1 AND seen = $2 AND ended IS NULL`}

var endPersonSQL = pg.Statement{Name: "login.end_person", Text: `
UPDATE login_people SET ended = now(), grant_ = NULL WHERE identity = $1 AND seen = $2 AND ended IS NULL`}
