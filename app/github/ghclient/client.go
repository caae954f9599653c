// Package ghclient speaks to GitHub as an App: tokens, retries and limits are handled here and nowhere else. It is built on
// go-github, ghinstallation and go-retryablehttp, and works round what those leave open (vcs-integration 1.7, 1.8, 1.15):
// a revoked token is replaced, a token that GitHub does not know yet is waited for, only requests that can be repeated are
// repeated, and all forms of refusals for too many requests are told alike, by Limited.
//
// Nothing here logs or repeats a key or a token.
package ghclient

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
)

// PublicAPI is the root of the API of github.com.
const PublicAPI = "https://api.github.com/"

// Config says which App we are, and where.
type Config struct {
	AppID int64
	Key   []byte // private key in PEM, PKCS#1 or PKCS#8
	// API is the root of the REST API: PublicAPI when "", https://HOST/api/v3/ for GitHub Enterprise Server.
	API string
	// Timeout bounds one request with its repetitions; a minute when 0.
	Timeout time.Duration
	// Transport carries the requests; one of its own when nil.
	Transport http.RoundTripper
}

// App is the App as a client. It is safe for concurrent use.
type App struct {
	config Config
	api    *url.URL
	base   http.RoundTripper // with repetitions
	app    *ghinstallation.AppsTransport

	mu    sync.Mutex
	known map[int64]*github.Client // by installation
	blobs *blobs
	trees *trees
}

// New makes a client. It speaks to nobody.
func New(c Config) (*App, error) {
	if c.API == "" {
		c.API = PublicAPI
	}
	api, err := url.Parse(strings.TrimSuffix(c.API, "/") + "/")
	if err != nil || api.Host == "" || api.Scheme != "https" && api.Scheme != "http" {
		return nil, fmt.Errorf("the API's address %q must be like https://HOST/api/v3/", c.API)
	}
	key, err := readKey(c.Key)
	if err != nil {
		return nil, err
	}
	if c.AppID <= 0 {
		return nil, errors.New("the App's id must be a positive number; the App's page shows it")
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Transport == nil {
		t, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			t = &http.Transport{}
		}
		t = t.Clone()
		t.MaxIdleConnsPerHost = 32
		c.Transport = t
	}
	a := &App{config: c, api: api, base: patient(c.Transport), known: map[int64]*github.Client{}, blobs: newBlobs(), trees: newTrees()}
	a.app = ghinstallation.NewAppsTransportFromPrivateKey(a.base, c.AppID, key)
	a.app.BaseURL = strings.TrimSuffix(api.String(), "/")
	return a, nil
}

// readKey reads a private key of either form. Its errors do not repeat it.
func readKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(string(text), `\n`, "\n"))) // one line, as environment variables have it
	if block == nil {
		return nil, errors.New("the App's private key must be in PEM (-----BEGIN RSA PRIVATE KEY-----); GitHub gives it for download on the App's page")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("the App's private key must be an RSA key without a password")
	}
	return key, nil
}

// ID returns the App's id.
func (a *App) ID() int64 { return a.config.AppID }

// AsApp returns a client that acts as the App itself: about its installations and its deliveries.
func (a *App) AsApp() *github.Client { return a.client(a.app) }

// Installation returns the client of an installation. It is always the same: what go-github remembers of limits is then
// remembered for all.
func (a *App) Installation(id int64) *github.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.known[id]
	if c == nil {
		c = a.client(&installation{app: a, id: id})
		a.known[id] = c
	}
	return c
}

// Forget drops what is remembered of an installation that has gone or changed: its token above all.
func (a *App) Forget(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, id)
}

func (a *App) client(t http.RoundTripper) *github.Client {
	c := github.NewClient(&http.Client{Transport: t, Timeout: a.config.Timeout})
	c.BaseURL = a.api
	c.UserAgent = "treeline"
	return c
}

// installation is the transport of an installation: ghinstallation, which mints tokens, and what it lacks.
type installation struct {
	app *App
	id  int64

	mu    sync.Mutex
	token *ghinstallation.Transport
	since time.Time // when token was made
}

// freshFor is how long after minting GitHub may not know a token yet.
const freshFor = 5 * time.Second

func (t *installation) current() (*ghinstallation.Transport, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == nil {
		// An apps transport of its own: ghinstallation writes to it.
		own := *t.app.app
		t.token = ghinstallation.NewFromAppsTransport(&own, t.id)
		t.since = time.Now()
	}
	return t.token, time.Since(t.since)
}

func (t *installation) drop(old *ghinstallation.Transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == old {
		t.token = nil
	}
}

// RoundTrip sends a request with a token. When GitHub does not take the token, it is sent once more: after a moment when
// the token is fresh, with another when it is not.
func (t *installation) RoundTrip(r *http.Request) (*http.Response, error) {
	token, age := t.current()
	answer, err := t.send(token, r)
	if err != nil || answer.StatusCode != http.StatusUnauthorized || r.Body != nil && r.GetBody == nil {
		return answer, err
	}
	_ = answer.Body.Close() // nothing in it matters
	if age < freshFor {
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(time.Second):
		}
	} else {
		t.drop(token)
		token, _ = t.current()
	}
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	answer, err = t.send(token, again)
	if err == nil && answer.StatusCode == http.StatusUnauthorized {
		t.drop(token)
	}
	return answer, err
}

// send is ghinstallation's, which leaves the body of a refused request for a token open.
func (t *installation) send(token *ghinstallation.Transport, r *http.Request) (*http.Response, error) {
	answer, err := token.RoundTrip(r)
	if refused, ok := errors.AsType[*ghinstallation.HTTPError](err); ok && refused.Response != nil {
		_ = refused.Response.Body.Close() // the status says all
		return nil, &TokenError{Installation: t.id, Status: refused.Response.StatusCode, Header: refused.Response.Header}
	}
	return answer, err
}

// TokenError is GitHub's refusal to give a token.
type TokenError struct {
	Installation int64
	Status       int
	Header       http.Header
}

// Error implements error.
func (e *TokenError) Error() string {
	return fmt.Sprintf("GitHub gives no token for installation %d: status %d", e.Installation, e.Status)
}
