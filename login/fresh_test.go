package login_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/login"
)

// Who signs in again is asked anew, and the provider's word says when that was.
func TestWhenSomebodySignedIn(t *testing.T) {
	h := newHouse(t)
	signIn := func(t *testing.T, again bool) time.Time {
		t.Helper()
		address, cookie, err := h.Begin(t.Context(), "example", "/", again)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if q := u.Query(); again != (q.Get("prompt") == "login" && q.Get("max_age") == "0") {
			t.Errorf("again=%v asks for %s", again, address)
		}
		back := post(t, address, url.Values{"query": {u.RawQuery}, "name": {"ada"}, "password": {"correct horse"}, "do": {"allow"}})
		at, err := h.Finish(t.Context(), "example", cookie, back.Query())
		if err != nil {
			t.Fatal(err)
		}
		return at.Proved
	}
	t.Run("nothing is known where the provider does not say", func(t *testing.T) {
		if at := signIn(t, false); !at.IsZero() {
			t.Errorf("got %v", at)
		}
	})
	t.Run("asked anew, it says so", func(t *testing.T) {
		if age := time.Since(signIn(t, true)); age > time.Minute || age < 0 {
			t.Errorf("%v ago", age)
		}
	})
	t.Run("a provider that asks nobody does not make a sign-in fresh", func(t *testing.T) {
		h.idp.Misbehave(idptest.Faults{Signed: 3 * time.Hour})
		defer h.idp.Misbehave(idptest.Faults{})
		if age := time.Since(signIn(t, true)); age < 3*time.Hour || age > 3*time.Hour+time.Minute {
			t.Errorf("%v ago", age)
		}
	})
	t.Run("nor does one whose clock is ahead make it fresh for longer", func(t *testing.T) {
		h.idp.Misbehave(idptest.Faults{Signed: -time.Hour})
		defer h.idp.Misbehave(idptest.Faults{})
		if at := signIn(t, false); !at.IsZero() {
			t.Errorf("got %v", at)
		}
	})
	t.Run("at GitHub an account is chosen: it knows no more", func(t *testing.T) {
		address, _, err := h.Begin(t.Context(), "github", "/", true)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil || u.Query().Get("prompt") != "select_account" {
			t.Errorf("got %s, %v", address, err)
		}
	})
}

func TestHowFreshASignInMustBe(t *testing.T) {
	at := func(types ...string) (c login.Config) {
		for _, name := range types {
			c.Providers = append(c.Providers, login.Provider{Name: name, Type: name})
		}
		return c
	}
	for _, c := range []struct {
		name   string
		config login.Config
		text   string
		want   time.Duration
		bad    bool
	}{
		{"nobody signs in but with credentials", at(), "", 0, false},
		{"a fixed person, in development", at("fixed"), "", 0, false},
		{"people, at a provider", at("fixed", "oidc"), "", time.Hour, false},
		{"people, at GitHub", at("github"), "", time.Hour, false},
		{"switched off", at("github"), "off", 0, false},
		{"as it says", at(), "15m", 15 * time.Minute, false},
		{"too short to be meant", at(), "1s", 0, true},
		{"0 is no way to say off", at(), "0", 0, true},
		{"no duration", at(), "soon", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.config.Fresh(c.text)
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
