package app_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/login"
)

// house starts servers of one deployment, which a proxy would put behind one address.
type house struct {
	config app.Config
}

// start runs one more server and returns where it listens, and what stops it.
func (r house) start(t *testing.T, listener net.Listener) (address string, stop func()) {
	t.Helper()
	c := r.config
	c.Listener = listener
	server, err := app.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}

// browser keeps its cookies, and follows nothing by itself.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil) // cookies do not tell ports apart, as behind one address
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// send returns the answer's text, and where it sends the browser; to is empty when it sends it nowhere.
func (b *browser) send(method, address string, form url.Values, header ...string) (to *url.URL, text string) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := b.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if to, err = a.Location(); err != nil {
		to = &url.URL{}
	}
	return to, string(body)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPeopleAndReplicas signs in through two servers at once: one begins, another takes the answer, any
// knows the session, also after all have been replaced.
func TestPeopleAndReplicas(t *testing.T) {
	dir := t.TempDir()
	secrets, err := app.LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	first := listen(t)
	root := "http://" + first.Addr().String()
	idp := idptest.New(t, root+"/login/example/callback")
	idp.Add(idptest.User{Subject: "1", Name: "ada", Password: "correct horse", Groups: []string{"readers"}})
	r := house{app.Config{
		RootURL: root, DatabaseURL: pgtest.URL(t), DataDir: filepath.Join(dir, "objects"), Secrets: secrets, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Login: login.Config{Providers: []login.Provider{{Name: "example", Type: "oidc", Issuer: idp.URL, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret}}},
	}}
	_, stopFirst := r.start(t, first)
	second, stopSecond := r.start(t, listen(t))

	send := newBrowser(t).send
	signIn := func(server string) {
		t.Helper()
		ask, _ := send(http.MethodGet, server+"/login/example?next=/profile", nil)
		link, _ := send(http.MethodPost, ask.String(), url.Values{"query": {ask.RawQuery}, "name": {"ada"}, "password": {"correct horse"}, "do": {"allow"}})
		if at, body := send(http.MethodGet, link.String(), nil); at.Path != "/profile" {
			t.Fatalf("got %s: %s", at, body)
		}
	}
	signIn(second)
	const ada = "example/1|ada"
	profile := func(server string) string {
		t.Helper()
		_, body := send(http.MethodGet, server+"/profile", nil)
		return body
	}
	for _, server := range []string{root, second} {
		if !strings.Contains(profile(server), ada) {
			t.Errorf("the server at %s does not know the session", server)
		}
	}
	stopFirst()
	stopSecond()
	again, err := net.Listen("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	idp.ClientSecret += "-changed" // docs/operations/keys.md: at the provider, then in the configuration
	r.config.Login.Providers[0].ClientSecret = idp.ClientSecret
	r.start(t, again)
	if !strings.Contains(profile(root), ada) {
		t.Fatal("the session did not survive")
	}
	signIn(root) // with the new secret
	page := profile(root)
	_, rest, _ := strings.Cut(page, `name="csrf" value="`)
	csrf, _, _ := strings.Cut(rest, `"`)
	_, body := send(http.MethodPost, root+"/login/credentials", nil, "X-CSRF", csrf)
	var issued login.Issued
	if err := json.Unmarshal([]byte(body), &issued); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	c, err := client.New(client.Config{RootURL: root, Credentials: hawk.Credentials{
		ClientID: issued.Credentials.ClientID, AccessToken: issued.Credentials.AccessToken, Certificate: issued.Credentials.Certificate,
	}})
	if err != nil {
		t.Fatal(err)
	}
	scopes, err := c.CurrentScopes(t.Context())
	if err != nil || !slices.Contains(scopes, "assume:example-group:readers") || !slices.Contains(scopes, "auth:create-client:"+ada+"/*") {
		t.Errorf("got %v, %v", scopes, err)
	}
}
