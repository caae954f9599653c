package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
)

// TestNames holds ids, scopes and tokens to the table of taskcluster-map 4.1.
func TestNames(t *testing.T) {
	a := newAuth(t, pgtest.DB(t))
	ctx := t.Context()
	long := strings.Repeat("a", 4097)
	for _, c := range []struct {
		name string
		make func(s string) error
		good []string
		bad  []string
	}{
		{
			"a client id", func(s string) error {
				_, _, err := a.CreateClient(ctx, "x", s, auth.ClientInput{Expires: time.Now().Add(time.Hour)})
				return err
			},
			[]string{"a", "A9!@/:.+|_-", "mozilla-auth0/ad|Mozilla-LDAP|me/", strings.Repeat("a", 1000)},
			[]string{"", "a b", "a*", "ä", "a\n", "a%2Fb", "<a>", "static/a", long},
		},
		{
			"a role id", func(s string) error { _, err := a.CreateRole(ctx, "x", s, auth.RoleInput{}); return err },
			[]string{"a", "a b", "repo:github.com/a/b:*", "*", "~!\"#$%&'()+,;<=>?@[\\]^`{|}", "a**"},
			[]string{"", "a\t", "ä", "a\x7f", long},
		},
		{
			"a scope", func(s string) error {
				_, _, err := a.CreateClient(ctx, "x", "scopes-"+hawk.Nonce(), auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: []string{s}})
				return err
			},
			[]string{"a", "*", "a:*", "a b", "a**b", "<..>", long},
			[]string{"", "**", "a**", "ä", "a\n"},
		},
		{
			"a description", func(s string) error {
				_, err := a.CreateRole(ctx, "x", "d-"+hawk.Nonce(), auth.RoleInput{Description: s})
				return err
			},
			[]string{"", "ä\n**Markdown**", strings.Repeat("ü", 10240)},
			[]string{strings.Repeat("ü", 10241), strings.Repeat("u", 10241)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range c.good {
				if err := c.make(s); err != nil {
					t.Errorf("%.60q is refused: %v", s, err)
				}
			}
			for _, s := range c.bad {
				if err := c.make(s); !errors.Is(err, fault.Invalid) {
					t.Errorf("%.60q: %v", s, err)
				}
			}
		})
	}
}

// TestTemporaryCredentialsRules walks through the rules of taskcluster-map 4.7 that need a server.
func TestTemporaryCredentialsRules(t *testing.T) {
	a := newAuth(t, pgtest.DB(t))
	ctx := t.Context()
	create(t, a, "short", "x:*", "auth:create-client:short/*")
	shortEnds := time.Now().Add(20 * time.Minute)
	if _, err := a.UpdateClient(ctx, "x", "short", auth.ClientInput{Expires: shortEnds}, func([]string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	_, token, err := a.ResetAccessToken(ctx, "x", "short", 0)
	if err != nil {
		t.Fatal(err)
	}
	short := hawk.Credentials{ClientID: "short", AccessToken: token}
	temp := func(t *testing.T, issuer hawk.Credentials, o hawk.TempOptions) hawk.Credentials {
		t.Helper()
		c, err := hawk.CreateTemporary(issuer, o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := time.Now()
	for _, c := range []struct {
		name    string
		expiry  time.Duration
		atMost  time.Time
		atLeast time.Time
	}{
		{"they end with their certificate", 10 * time.Minute, now.Add(11 * time.Minute), now.Add(9 * time.Minute)},
		{"but not later than their issuer", time.Hour, shortEnds.Add(time.Second), shortEnds.Add(-time.Second)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := call(t, a, temp(t, short, hawk.TempOptions{Scopes: []string{"x:1"}, Start: now, Expiry: now.Add(c.expiry)}))
			if err != nil || got.Expires.After(c.atMost) || got.Expires.Before(c.atLeast) {
				t.Errorf("they end at %s, %v", got.Expires, err)
			}
		})
	}
	t.Run("they make no further ones: their issuer must be a permanent client", func(t *testing.T) {
		first := temp(t, short, hawk.TempOptions{ClientID: "short/ci", Scopes: []string{"x:1", "auth:create-client:short/*"}, Start: now, Expiry: now.Add(time.Hour)})
		first.Certificate = ""
		second := temp(t, first, hawk.TempOptions{ClientID: "short/more", Scopes: []string{"x:1"}, Start: now, Expiry: now.Add(time.Hour)})
		wantRefused(t, a, second, "short/ci does not exist")
		unnamed := temp(t, first, hawk.TempOptions{Scopes: []string{"x:1"}, Start: now, Expiry: now.Add(time.Hour)})
		wantRefused(t, a, unnamed, "does not exist")
	})
	t.Run("they sign addresses too, within their scopes and authorizedScopes", func(t *testing.T) {
		c := temp(t, short, hawk.TempOptions{ClientID: "short/ci", Scopes: []string{"x:1", "x:2"}, Start: now, Expiry: now.Add(time.Hour)})
		c.AuthorizedScopes = []string{"x:2"}
		signed, err := hawk.SignURL(c, "http://tc:80/x?y=1", now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Authenticate(ctx, web.AuthRequest{Method: "GET", Resource: strings.TrimPrefix(signed, "http://tc:80"), Host: "tc", Port: 80})
		if err != nil || got.ClientID != "short/ci" || scope.Satisfies(got.Scopes, scope.String("x:1")) || !scope.Satisfies(got.Scopes, scope.String("x:2")) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a session of theirs is held against their issuer", func(t *testing.T) {
		c := temp(t, short, hawk.TempOptions{ClientID: "short/ui", Scopes: []string{"x:1"}, Start: now, Expiry: now.Add(time.Hour)})
		if got, err := a.TemporaryCallerFor(ctx, c.ClientID, c.Certificate); err != nil || got.ClientID != "short/ui" || !scope.Satisfies(got.Scopes, scope.String("x:1")) {
			t.Errorf("%+v, %v", got, err)
		}
		for id, certificate := range map[string]string{"short/other": c.Certificate, "short": c.Certificate, "short/ui": strings.Replace(c.Certificate, "x:1", "x:2", 1), "nobody": "{}"} {
			if got, err := a.TemporaryCallerFor(ctx, id, certificate); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s with %s: %+v, %v", id, certificate, got, err)
			}
		}
		if _, _, err := a.ResetAccessToken(ctx, "x", "short", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := a.TemporaryCallerFor(ctx, c.ClientID, c.Certificate); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("after a reset of the issuer's token: %v", err)
		}
		wantRefused(t, a, c, "Bad mac")
	})
	t.Run("they end when their issuer expires", func(t *testing.T) {
		issuer := create(t, a, "brief", "x:*")
		c := temp(t, issuer, hawk.TempOptions{Scopes: []string{"x:1"}, Start: now, Expiry: now.Add(time.Hour)})
		if _, err := a.UpdateClient(ctx, "x", "brief", auth.ClientInput{Expires: now.Add(-time.Minute)}, allowAll); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, a, c, "expired")
	})
}

// allowAll allows every scope that is added.
func allowAll([]string) error { return nil }
