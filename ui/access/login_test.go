package access_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// town is a site with an identity provider, a GitHub, and another site that asks for credentials.
type town struct {
	*uitest.Site
	idp    *idptest.IDP
	github *idptest.GitHub
	visits chan url.Values // what the other site and programs of this machine are brought
	other  string
}

func newTown(t *testing.T, options ...uitest.Option) *town {
	t.Helper()
	w := &town{visits: make(chan url.Values, 10)}
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.visits <- r.URL.Query()
		}
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, `<!doctype html><html lang="en"><title>Arrived</title><link rel="icon" href="data:,"><h1 id="arrived">Arrived</h1></html>`)
	}))
	t.Cleanup(other.Close)
	w.other = strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	w.Site = uitest.New(t, append(options, uitest.SignInAt(func(root string) login.Config {
		w.idp = idptest.New(t, root+"/login/example/callback")
		w.github = idptest.NewGitHub(t, root+"/login/github/callback", idptest.Account{ID: 1815, Login: "Ada-L", Teams: []string{"acme/release-managers"}})
		return login.Config{
			Providers: []login.Provider{
				{Name: "example", Type: "oidc", Title: "Example Identity", Issuer: w.idp.URL, ClientID: w.idp.ClientID, ClientSecret: w.idp.ClientSecret},
				{Name: "github", Type: "github", Title: "GitHub", URL: w.github.URL, ClientID: w.github.ClientID, ClientSecret: w.github.ClientSecret},
			},
			RegisteredClients: []login.Site{{
				ClientID: "herder", Title: "Tree Herder", ResponseType: "code", RedirectURI: []string{w.other + "/"}, MaxExpires: "3 days",
				Scope: []string{"queue:rerun-task:*", "queue:cancel-task:*", "hooks:trigger-hook:release/*", "secrets:get:project/x", "assume:repo:github.com/acme/site:*"},
			}},
		}
	}))...)
	w.idp.Add(idptest.User{Subject: "ada-1", Name: "ada", Email: "ada@example.com", Password: "correct horse", Groups: []string{"readers"}})
	for role, scopes := range map[string][]string{
		"example-group:readers":             {"queue:rerun-task:*", "assume:repo:github.com/acme/site:*"},
		"github-team:acme/release-managers": {"queue:rerun-task:*", "queue:cancel-task:*", "hooks:trigger-hook:release/*", "assume:repo:github.com/acme/site:*"},
	} {
		if err := w.Auth.EnsureRole(t.Context(), role, scopes, "of a test"); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// tab opens a browser that may go to the town's other places.
func (w *town) tab(t *testing.T) *uitest.Tab {
	tab := w.Tab(t)
	for _, place := range []string{w.idp.URL, w.github.URL, w.other} {
		tab.Expect("foreign request: " + place)
	}
	tab.Expect("favicon.ico")
	tab.Expect("404 (Not Found)") // the providers have no icon
	return tab
}

func (w *town) signInAtIDP(t *testing.T, tab *uitest.Tab) {
	t.Helper()
	tab.Go(t, "/login")
	tab.Click(t, `[data-provider="example"]`)
	tab.Wait(t, `document.title === "Example Identity"`)
	tab.Type(t, "input[name=name]", "ada")
	tab.Type(t, "input[name=password]", "correct horse\r")
	tab.Wait(t, `document.querySelector("#user") !== null && document.body.dataset.ready === "true"`)
}

func (w *town) signInAtGitHub(t *testing.T, tab *uitest.Tab) {
	t.Helper()
	tab.Go(t, "/login?next=%2Fprofile")
	tab.Click(t, `[data-provider="github"]`)
	tab.Wait(t, `document.title === "Authorize"`)
	tab.Click(t, `button[value="1"]`)
	tab.Wait(t, `location.pathname === "/profile" && document.body.dataset.ready === "true"`)
}

func TestPeopleSignInWithTheBrowser(t *testing.T) {
	w := newTown(t)
	tab := w.tab(t)
	t.Run("at an OpenID provider", func(t *testing.T) {
		w.signInAtIDP(t, tab)
		tab.Go(t, "/profile")
		if got := tab.Text(t, "#identity"); got != "example/ada-1|ada" {
			t.Errorf("got %q", got)
		}
		if got := tab.Text(t, "#roles"); got != "example-group:readers" {
			t.Errorf("got %q", got)
		}
		tab.Shot(t, "profile")
	})
	t.Run("scripts of a page get credentials that the server takes", func(t *testing.T) {
		got := uitest.Eval[string](t, tab, `(async () => {
			const csrf = JSON.parse(document.querySelector("#boot").textContent).csrf;
			const r = await fetch("/login/credentials", {method: "POST", headers: {"X-CSRF": csrf}});
			const {credentials} = await r.json();
			globalThis.creds = credentials;
			return credentials.clientId;
		})(), ""`)
		if got != "" {
			t.Errorf("got %q", got)
		}
		tab.Wait(t, `globalThis.creds !== undefined`)
		caller, err := w.Auth.CheckToken(t.Context(), hawk.Credentials{
			ClientID: uitest.Eval[string](t, tab, `creds.clientId`), AccessToken: uitest.Eval[string](t, tab, `creds.accessToken`), Certificate: uitest.Eval[string](t, tab, `creds.certificate`),
		})
		if err != nil || caller.ClientID != "example/ada-1|ada" {
			t.Errorf("got %+v, %v", caller.ClientID, err)
		}
	})
	t.Run("scopes are searched", func(t *testing.T) {
		tab.Type(t, "main input[type=search]", "rerun\r")
		tab.Wait(t, `new URLSearchParams(location.search).get("q") === "rerun" && document.body.dataset.ready === "true"`)
		if got := tab.Text(t, "#scopes .area"); !strings.Contains(got, "run tasks again: any") {
			t.Errorf("got %q", got)
		}
		if got := tab.Text(t, "#scope-count"); !strings.HasPrefix(got, "1 of ") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("at GitHub, in another browser, which signs out everywhere", func(t *testing.T) {
		other := w.tab(t)
		w.signInAtGitHub(t, other)
		if got := other.Text(t, "#identity"); got != "github/1815|Ada-L" {
			t.Errorf("got %q", got)
		}
		other.Click(t, "#everywhere")
		other.Wait(t, `location.pathname === "/" && document.querySelector("#sign-in") !== null`)
		tab.Go(t, "/profile") // of somebody else
		if got := tab.Text(t, "#identity"); got != "example/ada-1|ada" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("and out again", func(t *testing.T) {
		tab.Click(t, "#user summary")
		tab.Click(t, "#sign-out")
		tab.Wait(t, `document.querySelector("#sign-in") !== null`)
	})
}

// signin is the address that the field's command line opens.
func (w *town) signin() string {
	return "/auth/clients/create?" + url.Values{
		"scope": {"*"}, "name": {"cli-AbCd12"}, "expires": {"1d"}, "callback_url": {w.other}, "description": {"Temporary client for use on the command line"},
	}.Encode()
}

func TestConsent(t *testing.T) {
	w := newTown(t)
	tab := w.tab(t)
	t.Run("for a program on this machine, as the field's asks: with the keyboard, one scope taken back", func(t *testing.T) {
		w.signInAtGitHub(t, tab)
		tab.Go(t, w.signin())
		tab.Shot(t, "consent-cli")
		if got := tab.Text(t, "#asked-client"); got != "github/1815|Ada-L/cli-AbCd12" {
			t.Errorf("got %q", got)
		}
		uitest.Eval[bool](t, tab, `document.querySelector('input[value="queue:cancel-task:*"]').focus(), true`)
		tab.Keys(t, " ")
		uitest.Eval[bool](t, tab, `document.querySelector('button[value=allow]').focus(), true`)
		tab.Keys(t, kb.Enter)
		tab.Wait(t, `document.querySelector("#arrived") !== null`)
		q := <-w.visits
		caller, err := w.Auth.CheckToken(t.Context(), hawk.Credentials{ClientID: q.Get("clientId"), AccessToken: q.Get("accessToken")})
		if err != nil {
			t.Fatal(err)
		}
		have := strings.Join(caller.Scopes, " ")
		if caller.ClientID != "github/1815|Ada-L/cli-AbCd12" || !strings.Contains(have, "queue:rerun-task:*") || strings.Contains(have, "queue:cancel-task:*") {
			t.Errorf("got %s with %s", caller.ClientID, have)
		}
	})
	ask := func(redirect string) string {
		return "/login/oauth/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"herder"}, "redirect_uri": {redirect}, "state": {"xyz"}, "expires": {"1 day"},
			"scope": {"queue:rerun-task:* queue:cancel-task:* hooks:trigger-hook:release/* secrets:get:project/x assume:repo:github.com/acme/site:*"},
		}.Encode()
	}
	t.Run("for another site: in words, in whose name, until when, and what cannot be given", func(t *testing.T) {
		tab.Go(t, ask(w.other+"/"))
		tab.Shot(t, "consent-site")
		want := "Tree Herder asks for a part of your rights"
		if got := tab.Text(t, "h1"); got != want {
			t.Errorf("got %q", got)
		}
		text := tab.Text(t, ".consent")
		for _, want := range []string{"github/1815|Ada-L", w.other, "run tasks again: any", "start hooks: release/…", "do what repositories may: github.com/acme/site:…", "1 asked for that you do not have"} {
			if !strings.Contains(text, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		if got := tab.Count(t, ".grave"); got != 1 {
			t.Errorf("%d areas can do lasting harm", got)
		}
		uitest.Eval[bool](t, tab, `document.querySelector('input[value="assume:repo:github.com/acme/site:*"]').click(), true`)
		tab.Click(t, "button[value=allow]")
		tab.Wait(t, `document.querySelector("#arrived") !== null`)
		q := <-w.visits
		token, _, err := w.Login.Exchange(t.Context(), q.Get("code"), w.other+"/", "herder", "")
		if err != nil || q.Get("state") != "xyz" {
			t.Fatalf("got %v, %v", q, err)
		}
		f, err := w.Login.SiteCredentials(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.Auth.Client(t.Context(), f.ClientID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"hooks:trigger-hook:release/*", "queue:cancel-task:*", "queue:rerun-task:*"}, c.Scopes); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("denied: the site hears so", func(t *testing.T) {
		tab.Go(t, ask(w.other+"/"))
		tab.Click(t, "button[value=deny]")
		tab.Wait(t, `document.querySelector("#arrived") !== null`)
		if diff := cmp.Diff(url.Values{"error": {"access_denied"}, "state": {"xyz"}}, <-w.visits); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the profile lists what was given", func(t *testing.T) {
		tab.Go(t, "/profile")
		if got := tab.Count(t, "#clients tbody tr"); got != 2 {
			t.Errorf("%d clients are listed", got)
		}
		tab.Click(t, "#clients tbody tr button")
		tab.Wait(t, `document.body.dataset.ready === "true" && document.querySelectorAll("#clients tbody tr").length === 1`)
	})
	t.Run("an address that is not registered: the page stays here", func(t *testing.T) {
		tab.Expect("400 (Bad Request)")
		tab.Go(t, ask("https://evil.example.com/"))
		if got := tab.Text(t, "main"); !strings.Contains(got, "you are not sent there") {
			t.Errorf("got %q", got)
		}
	})
}

// TestLoginPages looks at each of the pages as Inspect does.
func TestLoginPages(t *testing.T) {
	w := newTown(t)
	visitor, tab := w.tab(t), w.tab(t)
	w.signInAtGitHub(t, tab)
	visitor.Expect("401 (Unauthorized)")
	tab.Expect("403 (Forbidden)")
	pages := []struct {
		tab        *uitest.Tab
		name, path string
	}{
		{visitor, "sign-in", "/login"},
		{visitor, "sign-in-refused", "/login/example/callback?state=x&code=y"},
		{tab, "profile-github", "/profile"},
		{tab, "profile-nothing-found", "/profile?q=nothing-of-this-name"},
		{tab, "consent-program", w.signin()},
		{tab, "client-form", "/auth/clients/create?name=bot&scope=queue:rerun-task:*"},
	}
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			p.tab.Go(t, p.path)
			p.tab.Inspect(t, p.name)
		})
	}
	t.Run("a client made by hand shows its token once", func(t *testing.T) {
		tab.Go(t, "/auth/clients/create?name=bot&scope=queue:rerun-task:*&expires=1+week")
		tab.Click(t, "main button.primary")
		tab.Wait(t, `document.querySelector("#token") !== null && document.body.dataset.ready === "true"`)
		tab.Shot(t, "client-made")
		creds := hawk.Credentials{ClientID: tab.Text(t, "#client"), AccessToken: tab.Text(t, "#token")}
		if caller, err := w.Auth.CheckToken(t.Context(), creds); err != nil || caller.ClientID != "github/1815|Ada-L/bot" {
			t.Errorf("got %v, %v", caller.ClientID, err)
		}
	})
}
