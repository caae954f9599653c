package ui_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const ada = "example/ada-1|ada"

// gate is a site where people sign in at an identity provider.
type gate struct {
	*uitest.Site
	idp *idptest.IDP
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{}
	g.Site = uitest.New(t, uitest.SignInAt(func(root string) login.Config {
		g.idp = idptest.New(t, root+"/login/example/callback")
		return login.Config{
			Providers: []login.Provider{{Name: "example", Type: "oidc", Title: "Example", Issuer: g.idp.URL, ClientID: g.idp.ClientID, ClientSecret: g.idp.ClientSecret}},
			RegisteredClients: []login.Site{
				{ClientID: "herder", Title: "Tree Herder", ResponseType: "code", Scope: []string{"queue:rerun-task:*", "queue:cancel-task:*"}, RedirectURI: []string{"http://localhost:1/herder"}, MaxExpires: "3 days"},
				{ClientID: "quick", ResponseType: "code", Whitelisted: true, Scope: []string{"queue:rerun-task:*"}, RedirectURI: []string{"http://localhost:1/quick"}, MaxExpires: "1 hour"},
			},
		}
	}))
	g.idp.Add(idptest.User{Subject: "ada-1", Name: "ada", Password: "correct horse", Groups: []string{"devs"}})
	g.idp.Add(idptest.User{Subject: "bob-1", Name: "bob", Password: "battery staple"})
	if err := g.Auth.EnsureRole(t.Context(), "example-group:devs", []string{"queue:rerun-task:*", "hooks:trigger-hook:*"}, "of a test"); err != nil {
		t.Fatal(err)
	}
	return g
}

// walker is a browser that takes each redirect by itself.
type walker struct {
	t    testing.TB
	g    *gate
	http http.Client
}

func (g *gate) walker(t testing.TB) *walker {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &walker{t, g, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type step struct {
	status int
	to     string
	body   string
	header http.Header
}

func (w *walker) send(method, address string, form url.Values, headers ...string) step {
	w.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = w.g.URL + address
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return step{answer.StatusCode, answer.Header.Get("Location"), string(body), answer.Header}
}

func (w *walker) get(address string) step { w.t.Helper(); return w.send(http.MethodGet, address, nil) }
func (w *walker) post(address string, form url.Values) step {
	w.t.Helper()
	return w.send(http.MethodPost, address, form)
}

// prove begins a sign-in and returns the address at which the provider sends the browser back.
func (w *walker) prove(name, password, next string) string {
	w.t.Helper()
	at := w.get("/login/example?" + url.Values{"next": {next}}.Encode())
	u, err := url.Parse(at.to)
	if err != nil || at.status != http.StatusSeeOther {
		w.t.Fatalf("got status %d to %s: %s", at.status, at.to, at.body)
	}
	back := w.post(at.to, url.Values{"query": {u.RawQuery}, "name": {name}, "password": {password}, "do": {"allow"}})
	if back.status != http.StatusFound {
		w.t.Fatalf("the provider answers %d: %s", back.status, back.body)
	}
	return back.to
}

func (w *walker) signIn(name, password string) {
	w.t.Helper()
	if at := w.get(w.prove(name, password, "/")); at.status != http.StatusSeeOther {
		w.t.Fatalf("got status %d: %s", at.status, at.body)
	}
}

// user is who the site takes the browser for.
func (w *walker) user() string {
	w.t.Helper()
	_, rest, ok := strings.Cut(w.get("/tasks/groups").body, "Signed in as <b>")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "</b>")
	return html.UnescapeString(name)
}

func (w *walker) cookie(name string) string {
	u, err := url.Parse(w.g.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range w.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// fields are the inputs of a page's form, as a browser sends them.
func fields(t testing.TB, page string) url.Values {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	out := url.Values{}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && uitest.Attr(n, "name") != "q" {
			out.Add(uitest.Attr(n, "name"), uitest.Attr(n, "value"))
		}
	}
	return out
}

func TestSignInWithAProvider(t *testing.T) {
	g := newGate(t)
	for _, c := range []struct{ next, want string }{
		{"/tasks/groups?x=1", "/tasks/groups?x=1"}, {"https://example.com/", "/"}, {"//example.com/", "/"}, {`/\example.com`, "/"}, {"/\t/example.com", "/"}, {"javascript:alert(1)", "/"}, {"", "/"},
	} {
		t.Run(fmt.Sprintf("open redirect: with next=%q one is sent to %s", c.next, c.want), func(t *testing.T) {
			w := g.walker(t)
			if at := w.get(w.prove("ada", "correct horse", c.next)); at.status != http.StatusSeeOther || at.to != c.want {
				t.Errorf("got status %d to %s", at.status, at.to)
			}
			if got := w.user(); got != ada {
				t.Errorf("signed in as %q", got)
			}
		})
	}
	t.Run("login CSRF: a link of an attacker does not sign a victim in as the attacker", func(t *testing.T) {
		link := g.walker(t).prove("bob", "battery staple", "/")
		victim := g.walker(t)
		if at := victim.get(link); at.status != http.StatusUnauthorized || victim.user() != "" {
			t.Errorf("got status %d, signed in as %q", at.status, victim.user())
		}
		victim.signIn("ada", "correct horse")
		if at := victim.get(link); at.status != http.StatusUnauthorized || victim.user() != ada {
			t.Errorf("got status %d, signed in as %q", at.status, victim.user())
		}
	})
	t.Run("login CSRF: a form of another site signs nobody in", func(t *testing.T) {
		w := g.walker(t)
		at := w.send(http.MethodPost, "/login", url.Values{"clientId": {uitest.Admin}, "accessToken": {uitest.AdminToken}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com")
		if at.status != http.StatusForbidden || w.user() != "" {
			t.Errorf("got status %d, signed in as %q", at.status, w.user())
		}
	})
	t.Run("fixation: a session that somebody planted is not the one that is signed in", func(t *testing.T) {
		attacker := g.walker(t)
		attacker.signIn("bob", "battery staple")
		planted := attacker.cookie("treeline_session")
		for _, token := range []string{planted, strings.Repeat("A", 43)} {
			victim := g.walker(t)
			u, err := url.Parse(g.URL)
			if err != nil {
				t.Fatal(err)
			}
			victim.http.Jar.SetCookies(u, []*http.Cookie{{Name: "treeline_session", Value: token, Path: "/"}})
			victim.signIn("ada", "correct horse")
			if got := victim.cookie("treeline_session"); got == token || victim.user() != ada {
				t.Errorf("the session is %q of %q", got, victim.user())
			}
		}
		if got := attacker.user(); got != "" {
			t.Errorf("the planted session is that of %q", got)
		}
	})
	t.Run("replay: the address that the provider sent to is good once", func(t *testing.T) {
		w := g.walker(t)
		cookie := ""
		link := w.prove("ada", "correct horse", "/")
		cookie = w.cookie("treeline_login")
		w.get(link)
		u, err := url.Parse(g.URL)
		if err != nil {
			t.Fatal(err)
		}
		thief := g.walker(t)
		thief.http.Jar.SetCookies(u, []*http.Cookie{{Name: "treeline_login", Value: cookie, Path: "/"}})
		if at := thief.get(link); at.status != http.StatusUnauthorized || thief.user() != "" {
			t.Errorf("got status %d, signed in as %q", at.status, thief.user())
		}
	})
	t.Run("the cookies cannot be read by scripts nor sent from other sites", func(t *testing.T) {
		w := g.walker(t)
		link := w.prove("ada", "correct horse", "/")
		cookies := w.get(link).header.Values("Set-Cookie")
		for _, c := range cookies {
			if !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") {
				t.Errorf("got %s", strings.SplitN(c, "=", 2)[0])
			}
		}
		if len(cookies) != 2 {
			t.Errorf("%d cookies are set", len(cookies))
		}
	})
	t.Run("a provider that is not there is not found", func(t *testing.T) {
		if at := g.walker(t).get("/login/nowhere"); at.status != http.StatusNotFound {
			t.Errorf("got status %d", at.status)
		}
	})
	t.Run("a provider that is down is told", func(t *testing.T) {
		other := newGate(t)
		other.idp.Misbehave(idptest.Faults{Down: true})
		if at := other.walker(t).get("/login/example"); at.status != http.StatusServiceUnavailable || !strings.Contains(at.body, "cannot be asked") {
			t.Errorf("got status %d", at.status)
		}
	})
}

func TestSessions(t *testing.T) {
	g := newGate(t)
	w := g.walker(t)
	w.signIn("ada", "correct horse")
	t.Run("scripts of the page get temporary credentials, with the page's proof only", func(t *testing.T) {
		if at := w.post("/login/credentials", nil); at.status != http.StatusForbidden {
			t.Errorf("without the proof: got status %d", at.status)
		}
		csrf := fields(t, w.get("/profile").body).Get("csrf")
		at := w.send(http.MethodPost, "/login/credentials", nil, "X-CSRF", csrf)
		var issued login.Issued
		if err := json.Unmarshal([]byte(at.body), &issued); err != nil || at.status != http.StatusOK {
			t.Fatalf("got status %d: %v", at.status, err)
		}
		caller, err := g.Auth.CheckToken(t.Context(), hawk.Credentials{ClientID: issued.Credentials.ClientID, AccessToken: issued.Credentials.AccessToken, Certificate: issued.Credentials.Certificate})
		if err != nil || caller.ClientID != ada || !slices.Contains(caller.Scopes, "queue:rerun-task:*") {
			t.Errorf("got %+v, %v", caller, err)
		}
		if at.header.Get("Cache-Control") != "no-store" {
			t.Error("the answer may be kept")
		}
	})
	t.Run("who brought credentials gets no others", func(t *testing.T) {
		b := g.walker(t)
		b.post("/login", url.Values{"clientId": {uitest.Dev}, "accessToken": {uitest.DevToken}})
		csrf := fields(t, b.get("/profile").body).Get("csrf")
		if at := b.send(http.MethodPost, "/login/credentials", nil, "X-CSRF", csrf); at.status != http.StatusConflict {
			t.Errorf("got status %d", at.status)
		}
	})
	t.Run("a session can be ended from another browser", func(t *testing.T) {
		phone := g.walker(t)
		phone.signIn("ada", "correct horse")
		page := w.get("/profile").body
		if n := strings.Count(page, `name="id"`); n != 1 {
			t.Fatalf("the profile shows %d other sessions", n)
		}
		_, rest, _ := strings.Cut(page, `name="id" value="`)
		id, _, _ := strings.Cut(rest, `"`)
		w.post("/profile/sessions", url.Values{"csrf": {fields(t, page).Get("csrf")}, "id": {id}})
		if phone.user() != "" || w.user() != ada {
			t.Errorf("signed in are %q and %q", phone.user(), w.user())
		}
	})
	t.Run("but not somebody else's", func(t *testing.T) {
		bob := g.walker(t)
		bob.signIn("bob", "battery staple")
		var id string
		if err := g.Pool.QueryRow(t.Context(), `SELECT encode(token_hash, 'hex') FROM ui_sessions WHERE client_id = $1`, ada).Scan(&id); err != nil {
			t.Fatal(err)
		}
		bob.post("/profile/sessions", url.Values{"csrf": {fields(t, bob.get("/profile").body).Get("csrf")}, "id": {id}})
		if got := w.user(); got != ada {
			t.Errorf("signed in is %q", got)
		}
	})
	t.Run("signing out everywhere ends all, and needs the page's proof", func(t *testing.T) {
		phone := g.walker(t)
		phone.signIn("ada", "correct horse")
		if at := w.post("/profile/sessions", url.Values{"all": {"1"}}); at.status != http.StatusForbidden || phone.user() != ada {
			t.Errorf("without the proof: got status %d", at.status)
		}
		w.post("/profile/sessions", url.Values{"csrf": {fields(t, w.get("/profile").body).Get("csrf")}, "all": {"1"}})
		if phone.user() != "" || w.user() != "" {
			t.Errorf("signed in are %q and %q", phone.user(), w.user())
		}
	})
	t.Run("who the provider has dropped is a visitor, and finds the way out", func(t *testing.T) {
		w.signIn("ada", "correct horse")
		g.idp.Remove("ada")
		if _, err := g.Pool.Exec(t.Context(), `UPDATE login_people SET checked = checked - interval '16 minutes'`); err != nil {
			t.Fatal(err)
		}
		if got := w.user(); got != "" {
			t.Errorf("signed in is %q", got)
		}
		if at := w.get("/profile"); at.status != http.StatusSeeOther || at.to != "/login?next=%2Fprofile" {
			t.Errorf("got status %d to %s", at.status, at.to)
		}
	})
	t.Run("a session has an end", func(t *testing.T) {
		w.signIn("bob", "battery staple")
		if _, err := g.Pool.Exec(t.Context(), `UPDATE ui_sessions SET expires = now()`); err != nil {
			t.Fatal(err)
		}
		if got := w.user(); got != "" {
			t.Errorf("signed in is %q", got)
		}
	})
}
