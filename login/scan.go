package login

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Scanned is what a look at people's clients found.
type Scanned struct {
	Looked   int      // clients of people who have signed in here
	Disabled []string // this time
	Unknown  int      // clients below a provider whose people never signed in here; they are left alone
	Skipped  int      // clients of people whose provider cannot be asked now
}

// Scan looks, once a day whichever server does it, at the clients that people made, and disables those
// that hold what their person does not hold any more, or whose person is not vouched for any more
// (taskcluster-map 15.3). When nothing is due it finds nothing.
func (l *Login) Scan(ctx context.Context) (Scanned, error) {
	var found Scanned
	if len(l.config.Providers) == 0 {
		return found, nil
	}
	var ours bool
	err := l.deps.Pool.QueryRow(ctx, claimScanSQL.Text).Scan(&ours)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("login: scan: %w", pg.Classify(err))
	}
	for _, p := range l.config.Providers {
		if err := l.scanProvider(ctx, p.Name+"/", &found); err != nil {
			return found, err
		}
	}
	if _, err := l.deps.Pool.Exec(ctx, finishScanSQL.Text); err != nil {
		return found, fmt.Errorf("login: scan: %w", pg.Classify(err))
	}
	if len(found.Disabled) > 0 || found.Unknown > 0 || found.Skipped > 0 {
		l.log.InfoContext(ctx, "people's clients were looked at", "looked", found.Looked, "disabled", len(found.Disabled), "unknown", found.Unknown, "skipped", found.Skipped)
	}
	return found, nil
}

// holding is what one person holds, for all of their clients.
type holding struct {
	identity string
	scopes   scope.Set
	state    holdingState
}

type holdingState int

const (
	known holdingState = iota
	gone
	unknown
	unasked
)

func (l *Login) scanProvider(ctx context.Context, prefix string, found *Scanned) error {
	const part = 500
	after := ""
	var of holding
	for {
		list, err := l.deps.Auth.Clients(ctx, prefix, after, part)
		if err != nil {
			return fmt.Errorf("login: scan: %w", err)
		}
		for _, c := range list {
			if err := l.scanClient(ctx, c, &of, found); err != nil {
				return err
			}
		}
		if len(list) < part {
			return nil
		}
		after = list[len(list)-1].ID
	}
}

func (l *Login) scanClient(ctx context.Context, c auth.Client, of *holding, found *Scanned) error {
	identity, ok := l.identityOf(c.ID)
	if !ok || c.Disabled {
		return nil
	}
	if of.identity != identity {
		h, err := l.holding(ctx, identity)
		if err != nil {
			return err
		}
		*of = h
	}
	switch of.state {
	case unknown:
		found.Unknown++
		return nil
	case unasked:
		found.Skipped++
		return nil
	case known:
		found.Looked++
		if !slices.ContainsFunc(c.Expanded, func(s string) bool { return !of.scopes.Has(s) }) {
			return nil
		}
	case gone:
		found.Looked++
	}
	if _, err := l.deps.Auth.SetDisabled(ctx, Issuer, c.ID, true); err != nil && fault.KindOf(err) != fault.NotFound {
		return fmt.Errorf("login: scan: %w", err)
	}
	found.Disabled = append(found.Disabled, c.ID)
	l.log.WarnContext(ctx, "a client was disabled: its person lacks what it holds", "client", c.ID, "vouchedFor", of.state == known)
	return nil
}

// holding finds out what a person holds now. Whom the provider gave us no means to ask about again is
// judged by its last word.
func (l *Login) holding(ctx context.Context, identity string) (holding, error) {
	h := holding{identity: identity}
	r, err := l.read(ctx, identity)
	switch {
	case errors.Is(err, fault.Unauthenticated):
		h.state = unknown
		if r.Ended {
			h.state = gone
		}
		return h, nil
	case err != nil:
		return h, err
	}
	p := r.Person
	if r.Renewable {
		p, err = l.Person(ctx, identity)
	}
	switch {
	case errors.Is(err, fault.Unauthenticated):
		h.state = gone
		return h, nil
	case errors.Is(err, fault.Unavailable):
		h.state = unasked
		return h, nil
	case err != nil:
		return h, err
	}
	scopes, err := l.expand(ctx, p)
	h.scopes = scope.NewSet(scopes)
	return h, err
}

var claimScanSQL = pg.Statement{Name: "login.claim_scan", Text: `
UPDATE login_scan SET began = clock_timestamp()
WHERE finished < clock_timestamp() - interval '23 hours 30 minutes' AND began < clock_timestamp() - interval '30 minutes'
RETURNING true`}

var finishScanSQL = pg.Statement{Name: "login.finish_scan", Text: `UPDATE login_scan SET finished = clock_timestamp()`}
