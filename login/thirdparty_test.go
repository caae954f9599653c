package login_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
)

// herder is what the registered site asks for.
func herder(change ...func(url.Values)) url.Values {
	q := url.Values{
		"client_id": {"herder"}, "response_type": {"code"}, "redirect_uri": {"https://herder.example.com/login"}, "state": {"s&t"},
		"scope": {"queue:rerun-task:* hooks:trigger-hook:*"}, "expires": {"2 days"},
	}
	for _, f := range change {
		f(q)
	}
	return q
}

func with(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }

func TestWhatSitesMayAskFor(t *testing.T) {
	h := newHouse(t)
	t.Run("what is registered, in any order", func(t *testing.T) {
		r, err := h.ParseRequest(herder())
		if err != nil || r.Site.Title != "Tree Herder" || r.Expires != 48*time.Hour {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("not longer than is registered", func(t *testing.T) {
		for _, span := range []string{"1 year", "", "rubbish", "-1 day"} {
			r, err := h.ParseRequest(herder(with("expires", span)))
			if err != nil || r.Expires != 72*time.Hour {
				t.Errorf("%q: got %v, %v", span, r.Expires, err)
			}
		}
	})
	for name, change := range map[string]func(url.Values){
		"a site that is not registered":        with("client_id", "evil"),
		"an address that is not registered":    with("redirect_uri", "https://evil.example.com/login"),
		"an address below one that is":         with("redirect_uri", "https://herder.example.com/login/.."),
		"an address with a query that is":      with("redirect_uri", "https://herder.example.com/login?x"),
		"no address":                           with("redirect_uri", ""),
		"an address in another case":           with("redirect_uri", "https://herder.example.com/LOGIN"),
		"an address with a user that looks so": with("redirect_uri", "https://herder.example.com@evil.example.com/login"),
		"a script":                             with("redirect_uri", "javascript:alert(1)"),
	} {
		t.Run(name+" is told to the person only", func(t *testing.T) {
			_, err := h.ParseRequest(herder(change))
			if _, toSite := errors.AsType[*login.Refusal](err); toSite || !errors.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, c := range map[string]struct {
		change func(url.Values)
		code   string
	}{
		"fewer scopes":           {with("scope", "queue:rerun-task:*"), "invalid_scope"},
		"other scopes":           {with("scope", "queue:rerun-task:* hooks:trigger-hook:a"), "invalid_scope"},
		"more scopes":            {with("scope", "queue:rerun-task:* hooks:trigger-hook:* *"), "invalid_scope"},
		"another response type":  {with("response_type", "token"), "unsupported_response_type"},
		"a plain challenge":      {with("code_challenge", strings.Repeat("a", 43)), "invalid_request"},
		"a parameter twice over": {func(q url.Values) { q.Add("state", "other") }, "invalid_request"},
	} {
		t.Run(name+" is told to the site", func(t *testing.T) {
			_, err := h.ParseRequest(herder(c.change))
			refusal, ok := errors.AsType[*login.Refusal](err)
			if !ok || refusal.Code != c.code || !strings.HasPrefix(refusal.To, "https://herder.example.com/login?") {
				t.Fatalf("got %v", err)
			}
			u, err := url.Parse(refusal.To)
			if err != nil || u.Query().Get("error") != c.code || u.Query().Get("state") != "s&t" {
				t.Errorf("got %s", refusal.To)
			}
		})
	}
}

// grant lets the site in and returns what it is brought.
func (h *house) grant(t testing.TB, q url.Values, ticked []string) *url.URL {
	t.Helper()
	r, err := h.ParseRequest(q)
	if err != nil {
		t.Fatal(err)
	}
	to, err := h.Grant(t.Context(), person(ada), r, ticked)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const herderAddress = "https://herder.example.com/login"

func TestASiteGetsCredentials(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	back := h.grant(t, herder(), []string{"hooks:trigger-hook:release/*", "queue:create-task:*"})
	if back.Query().Get("state") != "s&t" {
		t.Errorf("got %s", back)
	}
	code := back.Query().Get("code")
	token, life, err := h.Exchange(t.Context(), code, herderAddress, "herder", "")
	if err != nil || life != 10*time.Minute {
		t.Fatalf("got %v, %v", life, err)
	}
	f, err := h.SiteCredentials(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a client below the identity, with what was ticked of what both have, until the time asked for", func(t *testing.T) {
		c, err := h.auth.Client(t.Context(), f.ClientID)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(c.ID, ada+"/herder-") || !c.DeleteOnExpiration {
			t.Errorf("got %+v", c)
		}
		if diff := cmp.Diff([]string{"hooks:trigger-hook:release/*"}, c.Scopes); diff != "" {
			t.Error(diff)
		}
		if left := time.Until(c.Expires); left < 47*time.Hour || left > 48*time.Hour {
			t.Errorf("it ends in %v", left)
		}
		history, err := h.auth.EntityHistory(t.Context(), "client", c.ID, 0, 10)
		if err != nil || len(history) != 1 || history[0].ClientID != ada {
			t.Errorf("the audit trail says %+v, %v", history, err)
		}
		if _, err := h.auth.CheckToken(t.Context(), hawk.Credentials{ClientID: f.ClientID, AccessToken: f.AccessToken}); err != nil {
			t.Error(err)
		}
	})
	t.Run("asking again within ten minutes gives the same client a new token", func(t *testing.T) {
		again, err := h.SiteCredentials(t.Context(), token)
		if err != nil || again.ClientID != f.ClientID || again.AccessToken == f.AccessToken {
			t.Errorf("got %v, %v", again.ClientID, err)
		}
	})
	t.Run("the code a second time gives nothing, and ends the token", func(t *testing.T) {
		if _, _, err := h.Exchange(t.Context(), code, herderAddress, "herder", ""); !errors.Is(err, fault.Invalid) {
			t.Errorf("got %v", err)
		}
		if _, err := h.SiteCredentials(t.Context(), token); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("codes and tokens are not in the database", func(t *testing.T) {
		var n int
		err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM login_codes c FULL JOIN login_tokens t ON false WHERE concat(c::text, t::text) LIKE '%' || $1 || '%' OR concat(c::text, t::text) LIKE '%' || $2 || '%'`, code, token).Scan(&n)
		if err != nil || n != 0 {
			t.Errorf("they are in %d rows, %v", n, err)
		}
	})
}

func TestACodeIsGoodForOneOfMany(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	other, _ := h.replica(t)
	code := h.grant(t, herder(), nil).Query().Get("code")
	var got atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			l := h.Login
			if i%2 == 1 {
				l = other
			}
			if _, _, err := l.Exchange(t.Context(), code, herderAddress, "herder", ""); err == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 {
		t.Errorf("%d got a token", got.Load())
	}
}

func TestCodesThatAreWorthNothing(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	sum := sha256.Sum256([]byte("verifier"))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	proof := func(q url.Values) {
		q.Set("code_challenge", challenge)
		q.Set("code_challenge_method", "S256")
	}
	for name, c := range map[string]struct {
		change                  func(url.Values)
		address, site, verifier string
		age                     time.Duration
		right                   bool
	}{
		"right":                      {func(url.Values) {}, herderAddress, "herder", "", 0, true},
		"right, with proof":          {proof, herderAddress, "herder", "verifier", 0, true},
		"without the proof":          {proof, herderAddress, "herder", "", 0, false},
		"with a wrong proof":         {proof, herderAddress, "herder", "another", 0, false},
		"for another address":        {func(url.Values) {}, "https://evil.example.com/", "herder", "", 0, false},
		"for another site":           {func(url.Values) {}, herderAddress, "quick", "", 0, false},
		"after more than 10 minutes": {func(url.Values) {}, herderAddress, "herder", "", 11 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			code := h.grant(t, herder(c.change), nil).Query().Get("code")
			h.exec(t, `UPDATE login_codes SET expires = expires - $1::interval`, c.age)
			_, _, err := h.Exchange(t.Context(), code, c.address, c.site, c.verifier)
			if (err == nil) != c.right || err != nil && !errors.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
			if _, _, err := h.Exchange(t.Context(), code, herderAddress, "herder", "verifier"); err == nil {
				t.Error("the code was good a second time")
			}
		})
	}
}

func TestATokenIsGivenAtOnceInTheFragment(t *testing.T) {
	h := newHouse(t)
	h.idp.Groups("ada", "readers")
	h.enter(t, "example", "ada", "correct horse")
	back := h.grant(t, url.Values{"client_id": {"quick"}, "response_type": {"token"}, "redirect_uri": {"https://quick.example.com/"}, "scope": {"queue:rerun-task:*"}, "state": {"x"}}, nil)
	q, err := url.ParseQuery(back.Fragment)
	if err != nil || back.RawQuery != "" || q.Get("token_type") != "Bearer" || q.Get("expires_in") != "600" || q.Get("state") != "x" {
		t.Fatalf("got %s, %v", back, err)
	}
	f, err := h.SiteCredentials(t.Context(), q.Get("access_token"))
	if err != nil || !strings.HasPrefix(f.ClientID, ada+"/quick-") {
		t.Errorf("got %v, %v", f.ClientID, err)
	}
}

func TestRightsThatAreLostBeforeTheClientIsMade(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	token, _, err := h.Exchange(t.Context(), h.grant(t, herder(), nil).Query().Get("code"), herderAddress, "herder", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("are not in the client", func(t *testing.T) {
		h.idp.Groups("ada", "readers")
		h.age(t, 16*time.Minute)
		f, err := h.SiteCredentials(t.Context(), token)
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
	})
	t.Run("who is gone gets nothing", func(t *testing.T) {
		token, _, err := h.Exchange(t.Context(), h.grant(t, herder(), nil).Query().Get("code"), herderAddress, "herder", "")
		if err != nil {
			t.Fatal(err)
		}
		h.idp.Remove("ada")
		h.age(t, 16*time.Minute)
		if _, err := h.SiteCredentials(t.Context(), token); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheDailyLookAtClients(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	h.enter(t, "example", "bob", "battery staple")
	const bob = "example/bob|bob"
	clients := map[string][]string{
		ada + "/reader": {"queue:rerun-task:*"}, ada + "/releng": {"hooks:trigger-hook:release/*"}, ada + "/wide": {"hooks:trigger-hook:*"},
		bob + "/cli": {"queue:status:*"}, "example/carl|carl/cli": {"queue:status:*"}, "other/x/cli": {"*"}, "example-looks-so/x": {"*"},
	}
	for id, scopes := range clients {
		_, _, err := h.auth.CreateClient(t.Context(), "static/root", id, input(scopes))
		if err != nil {
			t.Fatal(err)
		}
	}
	h.idp.Groups("ada", "readers")
	h.idp.Remove("bob")
	h.age(t, time.Hour)
	other, _ := h.replica(t)
	found, err := h.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := login.Scanned{Looked: 4, Disabled: []string{ada + "/releng", ada + "/wide", bob + "/cli"}, Unknown: 1}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	t.Run("those that hold what their person lost are disabled, with a word in the audit trail; others are not", func(t *testing.T) {
		for id := range clients {
			c, err := h.auth.Client(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			disabled := strings.Contains(strings.Join(found.Disabled, " "), id)
			if c.Disabled != disabled {
				t.Errorf("%s: disabled is %v", id, c.Disabled)
			}
			if !disabled {
				continue
			}
			history, err := h.auth.EntityHistory(t.Context(), "client", id, 0, 1)
			if err != nil || history[0].Action != "client disabled" || history[0].ClientID != login.Issuer {
				t.Errorf("%s: the audit trail says %+v, %v", id, history, err)
			}
		}
	})
	t.Run("another server does not do it again on the same day", func(t *testing.T) {
		again, err := other.Scan(t.Context())
		if diff := cmp.Diff(login.Scanned{}, again); err != nil || diff != "" {
			t.Error(diff, err)
		}
	})
	t.Run("while the provider is away nobody is judged", func(t *testing.T) {
		if _, err := h.auth.SetDisabled(t.Context(), "static/root", ada+"/wide", false); err != nil {
			t.Fatal(err)
		}
		h.exec(t, `UPDATE login_scan SET began = '-infinity', finished = '-infinity'`)
		h.age(t, 2*time.Hour)
		h.github.Down(true)
		h.idpDown(true)
		found, err := h.Scan(t.Context())
		if err != nil || len(found.Disabled) != 0 || found.Skipped != 2 {
			t.Errorf("got %+v, %v", found, err)
		}
		h.idpDown(false)
	})
	t.Run("a server that was killed in the middle is followed by another half an hour later", func(t *testing.T) {
		h.exec(t, `UPDATE login_scan SET began = now() - interval '31 minutes', finished = '-infinity'`)
		h.age(t, time.Hour)
		found, err := other.Scan(t.Context())
		if err != nil || len(found.Disabled) != 1 {
			t.Errorf("got %+v, %v", found, err)
		}
	})
}
