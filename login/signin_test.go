package login_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/login"
)

func TestSignInAtAnOpenIDProvider(t *testing.T) {
	h := newHouse(t)
	b := h.prove(t, "example", "ada", "correct horse", "/tasks/x")
	at, err := h.Finish(t.Context(), "example", b.cookie, b.answer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(login.Arrival{Identity: ada, Next: "/tasks/x"}, at); diff != "" {
		t.Error(diff)
	}
	p, err := h.Person(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"example-group:readers", "example-group:releng"}, p.Roles); diff != "" {
		t.Error(diff)
	}
	t.Run("temporary credentials are named after the identity and hold for 14 and a half minutes", func(t *testing.T) {
		issued, err := h.Credentials(t.Context(), ada)
		if err != nil {
			t.Fatal(err)
		}
		caller, err := h.auth.CheckToken(t.Context(), hawk.Credentials{
			ClientID: issued.Credentials.ClientID, AccessToken: issued.Credentials.AccessToken, Certificate: issued.Credentials.Certificate,
		})
		if err != nil {
			t.Fatal(err)
		}
		if caller.ClientID != ada {
			t.Errorf("the client is %s", caller.ClientID)
		}
		want := "assume:anonymous assume:example-group:readers assume:example-group:releng assume:login-identity:" + ada + " auth:create-client:" + ada + "/* auth:delete-client:" + ada +
			"/* auth:disable-client:" + ada + "/* auth:enable-client:" + ada + "/* auth:reset-access-token:" + ada + "/* auth:update-client:" + ada + "/* hooks:trigger-hook:release/* queue:rerun-task:* queue:status:*"
		if diff := cmp.Diff(want, strings.Join(caller.Scopes, " ")); diff != "" {
			t.Error(diff)
		}
		if left := time.Until(issued.Expires); left < 14*time.Minute+20*time.Second || left > 14*time.Minute+30*time.Second {
			t.Errorf("they end in %v", left)
		}
	})
	t.Run("the log holds no secret of the sign-in", func(t *testing.T) {
		for _, secret := range []string{h.idp.ClientSecret, b.answer.Get("code"), b.answer.Get("state"), b.cookie, "correct horse"} {
			if strings.Contains(h.log.String(), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	})
	t.Run("what the provider gave is sealed in the database", func(t *testing.T) {
		var sealed []byte
		if err := h.pool.QueryRow(t.Context(), `SELECT grant_ FROM login_people`).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if len(sealed) == 0 || strings.Contains(string(sealed), "refresh") {
			t.Errorf("the grant is %q", sealed)
		}
	})
	t.Run("who cancels there is told so", func(t *testing.T) {
		address, cookie, err := h.Begin(t.Context(), "example", "/", false)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		back := post(t, address, url.Values{"query": {u.RawQuery}, "do": {"deny"}})
		if _, err := h.Finish(t.Context(), "example", cookie, back.Query()); !errors.Is(err, fault.Unauthenticated) || !strings.Contains(fault.Message(err), "have not allowed") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnswersThatMustNotSignIn(t *testing.T) {
	h := newHouse(t)
	refused := func(t *testing.T, provider, cookie string, answer url.Values) {
		t.Helper()
		at, err := h.Finish(t.Context(), provider, cookie, answer)
		if !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %+v and error %v", at, err)
		}
	}
	t.Run("login CSRF: an answer that another browser fetched", func(t *testing.T) {
		attacker := h.prove(t, "example", "bob", "battery staple", "/")
		victim := h.prove(t, "example", "ada", "correct horse", "/")
		refused(t, "example", victim.cookie, attacker.answer)
		refused(t, "example", "", attacker.answer)
		refused(t, "example", strings.Repeat("A", 200), attacker.answer)
	})
	t.Run("a state that comes back a second time, on another server", func(t *testing.T) {
		b := h.prove(t, "example", "ada", "correct horse", "/")
		if _, err := h.Finish(t.Context(), "example", b.cookie, b.answer); err != nil {
			t.Fatal(err)
		}
		other, _ := h.replica(t)
		if _, err := other.Finish(t.Context(), "example", b.cookie, b.answer); !errors.Is(err, fault.Unauthenticated) || !strings.Contains(fault.Message(err), "finished already") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a code that was used, in a sign-in begun anew", func(t *testing.T) {
		first := h.prove(t, "example", "ada", "correct horse", "/")
		if _, err := h.Finish(t.Context(), "example", first.cookie, first.answer); err != nil {
			t.Fatal(err)
		}
		second := h.prove(t, "example", "ada", "correct horse", "/")
		second.answer.Set("code", first.answer.Get("code"))
		refused(t, "example", second.cookie, second.answer)
	})
	t.Run("a code that was given to another sign-in and never used: PKCE and nonce", func(t *testing.T) {
		stolen := h.prove(t, "example", "bob", "battery staple", "/")
		own := h.prove(t, "example", "ada", "correct horse", "/")
		own.answer.Set("code", stolen.answer.Get("code"))
		refused(t, "example", own.cookie, own.answer)
	})
	t.Run("mix-up: the answer of one provider at another's address", func(t *testing.T) {
		b := h.prove(t, "example", "ada", "correct horse", "/")
		refused(t, "github", b.cookie, b.answer)
		asked := h.idp.Asked()
		b = h.prove(t, "example", "ada", "correct horse", "/")
		b.answer.Set("iss", "https://evil.example.com")
		refused(t, "example", b.cookie, b.answer)
		b = h.prove(t, "example", "ada", "correct horse", "/")
		b.answer.Del("iss")
		refused(t, "example", b.cookie, b.answer)
		if h.idp.Asked() != asked {
			t.Error("a code was sent to a provider although the answer names another")
		}
	})
	t.Run("a sign-in that took too long", func(t *testing.T) {
		b := h.prove(t, "example", "ada", "correct horse", "/")
		old := h.sealed(t, b, time.Now().Add(-time.Second))
		refused(t, "example", old, b.answer)
	})
	for name, f := range map[string]idptest.Faults{
		"a nonce of another sign-in":                      {Nonce: "another"},
		"a token for another client":                      {Audience: "another"},
		"a token of another issuer":                       {Issuer: "https://evil.example.com"},
		"a token that nobody signed":                      {Unsigned: true},
		"a token signed with a key that is not theirs":    {ForeignBy: true},
		"a token that has ended":                          {Expired: true},
		"user info about somebody else":                   {NoGroups: true, Subject: "somebody-else"},
		"an answer in the browser that names another iss": {Iss: "https://evil.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			h.idp.Misbehave(f)
			defer h.idp.Misbehave(idptest.Faults{})
			b := h.prove(t, "example", "ada", "correct horse", "/")
			refused(t, "example", b.cookie, b.answer)
		})
	}
	t.Run("and the same people sign in when nothing is wrong", func(t *testing.T) {
		h.enter(t, "example", "ada", "correct horse")
	})
}

func TestKeysOfTheProviderChange(t *testing.T) {
	h := newHouse(t)
	for range 3 { // RSA, elliptic curve, RSA
		h.enter(t, "example", "ada", "correct horse")
		h.idp.Rotate(t)
	}
}

func TestTheProviderIsDownAtTheStart(t *testing.T) {
	h := newHouse(t)
	h.idp.Misbehave(idptest.Faults{Down: true})
	if _, _, err := h.Begin(t.Context(), "example", "/", false); !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	h.idp.Misbehave(idptest.Faults{})
	h.enter(t, "example", "ada", "correct horse")
}

func TestGroupsInTheUserInfo(t *testing.T) {
	h := newHouse(t)
	h.idp.Misbehave(idptest.Faults{NoGroups: true})
	h.enter(t, "example", "ada", "correct horse")
	if got := h.scopesOf(t.Context(), ada); !strings.Contains(got, "hooks:trigger-hook:release/*") {
		t.Errorf("got %s", got)
	}
}

func TestGroupsThatWouldBePatternsGiveNothing(t *testing.T) {
	h := newHouse(t)
	h.idp.Groups("ada", "*", "readers*", "", "a\nb", "gr\u00fcn", "<..>", "plain")
	h.enter(t, "example", "ada", "correct horse")
	p, err := h.Person(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"example-group:plain"}, p.Roles); diff != "" {
		t.Error(diff)
	}
}

func TestRolesAreCheckedAgain(t *testing.T) {
	h := newHouse(t)
	h.enter(t, "example", "ada", "correct horse")
	const rerun = "queue:rerun-task:*"
	t.Run("a group that was left counts until the word is old, and not after", func(t *testing.T) {
		h.idp.Groups("ada", "releng")
		if got := h.scopesOf(t.Context(), ada); !strings.Contains(got, rerun) {
			t.Errorf("got %s", got)
		}
		h.age(t, 16*time.Minute)
		if got := h.scopesOf(t.Context(), ada); strings.Contains(got, rerun) || !strings.Contains(got, "hooks:trigger-hook:release/*") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("many requests on two servers ask the provider once", func(t *testing.T) {
		h.age(t, 2*time.Hour)
		other, _ := h.replica(t)
		before := h.idp.Asked()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				l := h.Login
				if i%2 == 1 {
					l = other
				}
				if _, err := l.Caller(t.Context(), person(ada)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := h.idp.Asked() - before; n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
	t.Run("while the provider is away its last word holds for an hour", func(t *testing.T) {
		h.idp.Misbehave(idptest.Faults{Down: true})
		defer h.idp.Misbehave(idptest.Faults{})
		h.age(t, 50*time.Minute)
		if got := h.scopesOf(t.Context(), ada); !strings.Contains(got, "hooks:trigger-hook:release/*") {
			t.Errorf("got %s", got)
		}
		h.age(t, 20*time.Minute)
		if _, err := h.Caller(t.Context(), person(ada)); !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it comes back, and so does she; without an ID token too", func(t *testing.T) {
		h.idp.Misbehave(idptest.Faults{NoIDToken: true})
		defer h.idp.Misbehave(idptest.Faults{})
		h.age(t, time.Hour)
		if got := h.scopesOf(t.Context(), ada); !strings.Contains(got, "hooks:trigger-hook:release/*") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("who is gone there is gone here, for credentials too", func(t *testing.T) {
		h.idp.Remove("ada")
		h.age(t, 16*time.Minute)
		if _, err := h.Caller(t.Context(), person(ada)); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
		if _, err := h.Credentials(t.Context(), ada); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWithoutARefreshTokenTheWordHoldsForHalfADay(t *testing.T) {
	h := newHouse(t)
	h.idp.Misbehave(idptest.Faults{NoRefresh: true})
	h.enter(t, "example", "ada", "correct horse")
	h.age(t, 11*time.Hour)
	if _, err := h.Caller(t.Context(), person(ada)); err != nil {
		t.Error(err)
	}
	h.age(t, 2*time.Hour)
	if _, err := h.Caller(t.Context(), person(ada)); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("got %v", err)
	}
}

func TestSignInAtGitHub(t *testing.T) {
	h := newHouse(t)
	h.github.PerPage(2)
	lovelace := idptest.Account{
		ID: 1815, Login: "Ada-L", Teams: []string{"acme/devs", "acme/ops", "moz/a", "moz/b", "moz/c"}, Owns: []string{"acme", "own1", "own2"}, In: []string{"moz", "x", "y"}, Asked: []string{"trap"},
	}
	h.github.Become(lovelace)
	at := h.enter(t, "github", "", "")
	if at.Identity != "github/1815|Ada-L" {
		t.Errorf("the identity is %s", at.Identity)
	}
	p, err := h.Person(t.Context(), at.Identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("teams and owned organizations are roles, from all pages; invitations are not", func(t *testing.T) {
		want := []string{"github-team:acme/devs", "github-team:acme/ops", "github-team:moz/a", "github-team:moz/b", "github-team:moz/c", "github-org-admin:acme", "github-org-admin:own1", "github-org-admin:own2"}
		if diff := cmp.Diff(want, p.Roles); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a team that was left does not count when the word is old", func(t *testing.T) {
		lovelace.Teams = lovelace.Teams[1:]
		h.github.Become(lovelace)
		h.age(t, 16*time.Minute)
		if got := h.scopesOf(t.Context(), at.Identity); strings.Contains(got, "queue:cancel-task:*") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("while GitHub is away the last word holds", func(t *testing.T) {
		h.github.Down(true)
		h.age(t, 20*time.Minute)
		if _, err := h.Caller(t.Context(), person(at.Identity)); err != nil {
			t.Error(err)
		}
		h.github.Down(false)
	})
	t.Run("who has another name there is another identity, and the old one ends", func(t *testing.T) {
		lovelace.Login = "Countess"
		h.github.Become(lovelace)
		h.age(t, time.Minute)
		if _, err := h.Caller(t.Context(), person(at.Identity)); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
		if got := h.enter(t, "github", "", "").Identity; got != "github/1815|Countess" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("who withdraws the permission is signed out", func(t *testing.T) {
		h.github.Withdraw()
		h.age(t, 16*time.Minute)
		if _, err := h.Caller(t.Context(), person("github/1815|Countess")); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a code is good once", func(t *testing.T) {
		first := h.prove(t, "github", "", "", "/")
		if _, err := h.Finish(t.Context(), "github", first.cookie, first.answer); err != nil {
			t.Fatal(err)
		}
		second := h.prove(t, "github", "", "", "/")
		second.answer.Set("code", first.answer.Get("code"))
		if _, err := h.Finish(t.Context(), "github", second.cookie, second.answer); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMozillasProviderHasFormsOfItsOwn(t *testing.T) {
	h := newHouse(t, func(c *login.Config) {
		idp := idptest.New(t, rootURL+"/login/auth0/callback")
		idp.Add(idptest.User{Subject: "ad|Mozilla-LDAP|ada", Name: "ada", Password: "correct horse", Groups: []string{"vpn", "mozilliansorg_users", "hris_dept"}})
		c.Providers = append(c.Providers, login.Provider{Name: "mozilla-auth0", Type: "oidc", Issuer: idp.URL, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret})
	})
	address, cookie, err := h.Begin(t.Context(), "mozilla-auth0", "/", false)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	back := post(t, address, url.Values{"query": {u.RawQuery}, "name": {"ada"}, "password": {"correct horse"}, "do": {"allow"}})
	if back.Path != "/login/auth0/callback" {
		t.Fatalf("sent back to %s", back)
	}
	at, err := h.Finish(t.Context(), "auth0", cookie, back.Query())
	if err != nil || at.Identity != "mozilla-auth0/ad|Mozilla-LDAP|ada" {
		t.Fatalf("got %+v, %v", at, err)
	}
	issued, err := h.Credentials(t.Context(), at.Identity)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := h.auth.CheckToken(t.Context(), hawk.Credentials{ClientID: issued.Credentials.ClientID, AccessToken: issued.Credentials.AccessToken, Certificate: issued.Credentials.Certificate})
	if have := strings.Join(caller.Scopes, " "); err != nil || !strings.Contains(have, "assume:mozilla-group:vpn assume:mozilla-hris:dept assume:mozillians-group:users") {
		t.Errorf("got %s, %v", have, err)
	}
}
