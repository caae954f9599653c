package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
)

func TestAnOldTokenHoldsBesideTheNewOne(t *testing.T) {
	a, ctx := newAuth(t, pgtest.DB(t)), t.Context()
	in := auth.ClientInput{Scopes: []string{"a"}, Expires: time.Now().Add(time.Hour)}
	_, first, err := a.CreateClient(ctx, "x", "bot", in)
	if err != nil {
		t.Fatal(err)
	}
	signs := func(token string) error {
		_, err := a.CheckToken(ctx, hawk.Credentials{ClientID: "bot", AccessToken: token})
		return err
	}
	given, err := hawk.CreateTemporary(hawk.Credentials{ClientID: "bot", AccessToken: first}, hawk.TempOptions{Scopes: []string{"a"}, Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	temporary := func() error { _, err := a.CheckToken(ctx, given); return err }
	want := func(what string, err error, good bool) {
		t.Helper()
		if good && err != nil || !good && !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	since := time.Now()
	c, second, err := a.ResetAccessToken(ctx, "x", "bot", 24*time.Hour)
	if err != nil || c.OldUntil.Before(time.Now().Add(23*time.Hour)) || !c.OldUsed.IsZero() {
		t.Fatalf("%+v, %v", c, err)
	}
	want("the new token", signs(second), true)
	if c, err = a.Client(ctx, "bot"); err != nil || !c.OldUsed.IsZero() {
		t.Errorf("the new token counts as the old one: %v, %v", c.OldUsed, err)
	}
	want("the old token", signs(first), true)
	want("what the old one has signed", temporary(), true)
	want("another", signs(slug.New()+slug.New()), false)
	if c, err = a.Client(ctx, "bot"); err != nil || c.OldUsed.Before(since.Add(-time.Minute)) {
		t.Errorf("nobody sees that the old token is still used: %v, %v", c.OldUsed, err)
	}
	_, err = a.CallerFor(ctx, "bot", since.Add(-time.Minute))
	want("a session of before, while the old token holds", err, true)

	_, third, err := a.ResetAccessToken(ctx, "x", "bot", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want("the oldest", signs(first), false)
	want("the one before", signs(second), true)
	if c, err = a.EndOldToken(ctx, "x", "bot"); err != nil || !c.OldUntil.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	want("the one before, ended", signs(second), false)
	want("what the oldest has signed", temporary(), false)
	want("the current one", signs(third), true)
	_, err = a.CallerFor(ctx, "bot", since.Add(-time.Minute))
	want("a session of before, when the old token holds no longer", err, false)

	if _, _, err = a.ResetAccessToken(ctx, "x", "bot", 0); err != nil {
		t.Fatal(err)
	}
	want("without overlap", signs(third), false)
	for _, overlap := range []time.Duration{-1, auth.MaxOverlap + 1} {
		if _, _, err := a.ResetAccessToken(ctx, "x", "bot", overlap); !errors.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", overlap, err)
		}
	}
}

// A client of the configuration that signs for others gets another token: what the old one has signed holds on.
func TestTheTokenOfAStaticClientOverlaps(t *testing.T) {
	pool, ctx := pgtest.DB(t), t.Context()
	with := func(token string, overlap time.Duration) *auth.Auth {
		t.Helper()
		cfg := config()
		cfg.StaticClients = append(cfg.StaticClients, auth.StaticClient{ClientID: "static/signer", AccessToken: token, Scopes: []string{"b"}, Overlap: overlap})
		a, err := auth.New(ctx, pool, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first, second := slug.New()+slug.New(), slug.New()+slug.New()
	before := with(first, time.Hour)
	given, err := hawk.CreateTemporary(hawk.Credentials{ClientID: "static/signer", AccessToken: first}, hawk.TempOptions{Scopes: []string{"b"}, Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second start with the same configuration takes nothing away
		a := with(second, time.Hour)
		for _, one := range []*auth.Auth{a, before} {
			wantScopes(t, one, given, "b", "assume:anonymous")
			wantScopes(t, one, hawk.Credentials{ClientID: "static/signer", AccessToken: second}, "b", "assume:anonymous")
		}
	}
	a := with(second, time.Hour)
	if _, err := a.EndOldToken(ctx, "x", "static/signer"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, a, given, "")
	wantRefused(t, with(first, 0), hawk.Credentials{ClientID: "static/signer", AccessToken: second}, "")
}
