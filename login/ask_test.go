package login_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/login"
)

func input(scopes []string) auth.ClientInput {
	return auth.ClientInput{Scopes: scopes, Expires: time.Now().Add(24 * time.Hour), DeleteOnExpiration: true}
}

func (h *house) idpDown(down bool) { h.idp.Misbehave(idptest.Faults{Down: down}) }

func TestCallbacksGoToThisMachineOnly(t *testing.T) {
	for callback, ok := range map[string]bool{
		"http://localhost:1234": true, "http://localhost": true, "https://localhost:1/x?y=1": true, "http://127.0.0.1:80/": true, "http://[::1]:8/": true,
		"http://localhost.evil.com": false, "http://evil.com/?localhost": false, "http://localhost@evil.com": false, "http://localhost:1@evil.com/": false,
		"http://evil.com#localhost": false, "ftp://localhost": false, "javascript:alert(1)//localhost": false, "//localhost": false, "localhost:1234": false,
		"http://localhost\\@evil.com": false, "http://0x7f.1/": false, "http://localhost:1/#f": false, "": false, "http://10.0.0.1/": false, "http://127.0.0.1.nip.io": false,
	} {
		if _, err := login.Loopback(callback); (err == nil) != ok {
			t.Errorf("%q: got %v", callback, err)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1d": 24 * time.Hour, "2 hours 30 minutes": 150 * time.Minute, "1 year": 365 * 24 * time.Hour, "3 wk": 21 * 24 * time.Hour, " 1 MO ": 30 * 24 * time.Hour, "90s": 90 * time.Second,
	} {
		if got, err := login.ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "d", "-1d", "0d", "1 fortnight", "1.5h", "101 years", "999999 years 999999 years", "1d!"} {
		if got, err := login.ParseSpan(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"1d", "2 hours 30 minutes", "-1", "99999999999999999999y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := login.ParseSpan(s); err == nil && (d <= 0 || d > 100*365*24*time.Hour) {
			t.Errorf("%q is %v", s, d)
		}
	})
}

func FuzzLoopback(f *testing.F) {
	for _, s := range []string{"http://localhost:1", "http://[::1]", "http://a@localhost", "http://localhost%2eevil.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := login.Loopback(s)
		if err != nil {
			return
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Hostname() != "localhost" && again.Hostname() != "::1" && !strings.HasPrefix(again.Hostname(), "127.") && !strings.HasPrefix(again.Hostname(), "::ffff:127.") {
			if again == nil || again.Hostname() != "0:0:0:0:0:0:0:1" {
				t.Errorf("%q leads to %v, %v", s, again, err)
			}
		}
	})
}

func TestAWishOfTheCommandLine(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	// As the field's command line writes it.
	q, err := url.ParseQuery("scope=" + url.QueryEscape("*") + "&name=cli-AbCd12&expires=1d&callback_url=http%3A%2F%2Flocalhost%3A4321&description=Temporary+client+for+use+on+the+command+line")
	if err != nil {
		t.Fatal(err)
	}
	w := login.ParseWish(q)
	t.Run("everything means all that one has", func(t *testing.T) {
		o, err := h.Offer(t.Context(), person(ada), w)
		if err != nil {
			t.Fatal(err)
		}
		if o.ClientID != ada+"/cli-AbCd12" || !slices.Contains(o.Scopes, "queue:rerun-task:*") || slices.Contains(o.Scopes, "*") {
			t.Errorf("got %+v", o)
		}
	})
	sum := sha256.Sum256([]byte("the verifier"))
	w.Challenge = base64.RawURLEncoding.EncodeToString(sum[:])
	t.Run("a code gives the client to who began, once", func(t *testing.T) {
		asked, err := h.Approve(t.Context(), person(ada), w, []string{"queue:rerun-task:*", "secrets:get:*"})
		if err != nil {
			t.Fatal(err)
		}
		stolen, err := h.CLICode(t.Context(), person(ada), w, asked)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Redeem(t.Context(), stolen, "a guess"); !errors.Is(err, fault.Invalid) {
			t.Errorf("got %v", err)
		}
		code, err := h.CLICode(t.Context(), person(ada), w, asked)
		if err != nil {
			t.Fatal(err)
		}
		f, err := h.Redeem(t.Context(), code, "the verifier")
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.auth.Client(t.Context(), f.ClientID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"queue:rerun-task:*"}, c.Scopes); diff != "" {
			t.Error(diff)
		}
		if _, err := h.Redeem(t.Context(), code, "the verifier"); !errors.Is(err, fault.Invalid) {
			t.Errorf("a second time: got %v", err)
		}
		t.Run("and signing out deletes it", func(t *testing.T) {
			creds := hawk.Credentials{ClientID: f.ClientID, AccessToken: f.AccessToken}
			if err := h.Revoke(t.Context(), hawk.Credentials{ClientID: f.ClientID, AccessToken: f.AccessToken[:43] + "x"}); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("with a wrong token: got %v", err)
			}
			if err := h.Revoke(t.Context(), creds); err != nil {
				t.Error(err)
			}
			if _, err := h.auth.CheckToken(t.Context(), creds); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("got %v", err)
			}
			if err := h.Revoke(t.Context(), hawk.Credentials{ClientID: "static/root", AccessToken: issuerToken + "r"}); !errors.Is(err, fault.Invalid) {
				t.Errorf("a client of the configuration: got %v", err)
			}
		})
	})
	t.Run("what is not ticked is not given by a role either", func(t *testing.T) {
		o, err := h.Offer(t.Context(), person(ada), w)
		if err != nil {
			t.Fatal(err)
		}
		ticked := slices.DeleteFunc(slices.Clone(o.Scopes), func(s string) bool { return s == "queue:rerun-task:*" })
		asked, err := h.Approve(t.Context(), person(ada), w, ticked)
		if err != nil {
			t.Fatal(err)
		}
		all, err := h.auth.Expand(t.Context(), asked.Scopes)
		if err != nil || slices.Contains(all, "queue:rerun-task:*") || !slices.Contains(all, "hooks:trigger-hook:release/*") {
			t.Errorf("got %v, %v", all, err)
		}
	})
	for name, change := range map[string]func(*login.Wish){
		"a callback elsewhere":          func(w *login.Wish) { w.Callback = "https://evil.example.com" },
		"a name that climbs":            func(w *login.Wish) { w.Name = "" },
		"a name with a space":           func(w *login.Wish) { w.Name = "a b" },
		"a challenge that is none":      func(w *login.Wish) { w.Challenge = "short" },
		"no time":                       func(w *login.Wish) { w.Expires = "soon" },
		"a scope with two stars":        func(w *login.Wish) { w.Scopes = []string{"a:**"} },
		"too many scopes":               func(w *login.Wish) { w.Scopes = slices.Repeat([]string{"a"}, 1001) },
		"a code to show, without proof": func(w *login.Wish) { w.ShowCode, w.Callback, w.Challenge = true, "", "" },
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			bad := w
			change(&bad)
			if _, err := h.Offer(t.Context(), person(ada), bad); !errors.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("clients of the configuration make clients with a prefix", func(t *testing.T) {
		o, err := h.Offer(t.Context(), login.Holder{ClientID: "static/root", Since: time.Now()}, w)
		if err != nil || o.ClientID != "of-static/root/cli-AbCd12" {
			t.Errorf("got %+v, %v", o, err)
		}
	})
	t.Run("who may not make clients is told what is missing", func(t *testing.T) {
		if err := h.auth.DeleteRole(t.Context(), "static/root", "login-identity:*"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Offer(t.Context(), person(ada), w); !errors.Is(err, fault.Forbidden) || !strings.Contains(fault.Message(err), "auth:create-client:"+ada+"/cli-AbCd12") {
			t.Errorf("got %v", err)
		}
	})
}

func TestScopesInWords(t *testing.T) {
	got := map[string]string{}
	for _, a := range login.InWords([]string{"*", "queue:create-task:highest:a/b", "secrets:get:*", "que*", "hooks:trigger-hook:g/*", "made-up:x", "made-up:*", "assume:repo:github.com/o/r:*"}) {
		for _, s := range a.Scopes {
			got[s.Scope] = a.Name + ": " + s.Words
		}
	}
	want := map[string]string{
		"*":                             "Everything: do everything that there is to do, in your name",
		"queue:create-task:highest:a/b": "Tasks: create tasks: highest:a/b",
		"secrets:get:*":                 "Secrets: read secrets: any",
		"que*":                          "Everything: do everything whose scope begins with que",
		"hooks:trigger-hook:g/*":        "Hooks: start hooks: g/…",
		"made-up:x":                     "Other: use what asks for this scope",
		"made-up:*":                     "Other: use whatever asks for a scope that begins with made-up:",
		"assume:repo:github.com/o/r:*":  "Roles: do what repositories may: github.com/o/r:…",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfiguration(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("from-a-file-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "login.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := func(name string) string { return map[string]string{"GITHUB_SECRET": "from-the-environment"}[name] }
	t.Run("a whole one", func(t *testing.T) {
		c, err := login.LoadConfig(write(t, `
sessions: {lifetime: 3 days, recheck: 5 minutes}
providers:
  - {name: example, type: oidc, title: Example, issuer: "https://id.example.com/", clientId: treeline, clientSecretFile: `+secret+`, groupsClaim: "https://example.com/groups"}
  - {name: github, type: github, clientId: abc, clientSecretEnv: GITHUB_SECRET}
registeredClients:
  - {clientId: herder, responseType: code, scope: ["a:*"], redirectUri: ["https://herder.example.com/"], maxExpires: 1 day}
`), env)
		if err == nil {
			err = c.Check("https://ci.example.com")
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.Providers[0].ClientSecret != "from-a-file-0123456789" || c.Providers[1].ClientSecret != "from-the-environment" || c.SessionLife != 72*time.Hour || c.Recheck != 5*time.Minute || c.Grace != time.Hour {
			t.Errorf("got %#v", c)
		}
		if text := c.String() + c.LogValue().String(); strings.Contains(text, "from-a") {
			t.Errorf("the text has secrets: %s", text)
		}
	})
	for name, c := range map[string]struct{ text, want string }{
		"an unknown key":                  {"providers:\n  - {nam: x}", "line 2"},
		"a name that is none":             {"providers: [{name: X/Y, type: oidc}]", "small letters"},
		"a name with a meaning":           {"providers: [{name: static, type: oidc}]", "another meaning"},
		"an issuer in the clear":          {"providers: [{name: a, type: oidc, clientId: x, issuer: 'http://id.example.com'}]", "https://"},
		"no type":                         {"providers: [{name: a}]", "oidc, github or fixed"},
		"a name twice":                    {"providers: [{name: a, type: oidc, clientId: x, issuer: 'https://a'}, {name: a, type: oidc, clientId: x, issuer: 'https://a'}]", "twice"},
		"github without a secret":         {"providers: [{name: github, type: github, clientId: x}]", "clientSecret"},
		"a secret that is not there":      {"providers: [{name: github, type: github, clientId: x, clientSecretEnv: NONE}]", "NONE is not set"},
		"a fixed person without a word":   {"providers: [{name: dev, type: fixed, subject: me}]", "development: true"},
		"a fixed person on a real server": {"providers: [{name: dev, type: fixed, subject: me, development: true}]", "localhost"},
		"a site in the clear":             {"registeredClients: [{clientId: a, responseType: code, scope: [x], redirectUri: ['http://a.example.com/'], maxExpires: 1d}]", "https://"},
		"a site without an end":           {"registeredClients: [{clientId: a, responseType: code, scope: [x], redirectUri: ['https://a.example.com/']}]", "maxExpires"},
		"a time that is none":             {"sessions: {lifetime: long}", "sessions.lifetime"},
	} {
		t.Run(name+" is told", func(t *testing.T) {
			cfg, err := login.LoadConfig(write(t, c.text), env)
			if err == nil {
				err = cfg.Check("https://ci.example.com")
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("a mistake beside a secret does not show it", func(t *testing.T) {
		_, err := login.LoadConfig(write(t, "providers: [{name: a, clientSecret: hush-hush-hush, scopes: hush-hush-hush}]"), env)
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a fixed person on this machine", func(t *testing.T) {
		h := newHouse(t, func(c *login.Config) {
			c.Providers = append(c.Providers, login.Provider{Name: "dev", Type: "fixed", Subject: "me", Groups: []string{"readers"}, Development: true})
		})
		address, cookie, err := h.Begin(t.Context(), "dev", "/", false)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		at, err := h.Finish(t.Context(), "dev", cookie, u.Query())
		if err != nil || at.Identity != "dev/me|me" {
			t.Errorf("got %+v, %v", at, err)
		}
	})
}
