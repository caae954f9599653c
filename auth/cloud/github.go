package cloud

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// GitHubToken is a token of an installation of a GitHub App.
type GitHubToken struct {
	Token   string
	Expires time.Time
}

// RateLimited is the error when GitHub takes no more requests of an app for now.
type RateLimited struct{ App string }

// Error implements error.
func (e *RateLimited) Error() string {
	return "The GitHub App " + e.App + " has used up its requests for now; try again later."
}

const (
	githubAPI        = "https://api.github.com"
	githubAPIVersion = "2022-11-28"
	installationFor  = time.Hour // how long an installation's id is remembered
	maxInstallations = 1000
)

var appNamePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// githubApps are the apps by name.
type githubApps map[string]*githubApp

type githubApp struct {
	name   string
	id     int64
	key    *rsa.PrivateKey
	api    string
	client *http.Client

	mu    sync.Mutex
	known map[string]installation // by owner, in lower case
}

type installation struct {
	id    int64
	until time.Time
}

func newGitHub(c GitHubConfig, client *http.Client) (githubApps, error) {
	api, err := address(c.API, githubAPI)
	if err != nil {
		return nil, fmt.Errorf("github: api: %w", err)
	}
	out := githubApps{}
	for name, app := range c.Apps {
		key, err := rsaKey(app.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("github: app %q: privateKey: %w", name, err)
		}
		if app.AppID <= 0 || !appNamePattern.MatchString(name) {
			return nil, fmt.Errorf("github: app %q: it needs an appId, and a name that matches %s", name, appNamePattern)
		}
		out[name] = &githubApp{name: name, id: app.AppID, key: key, api: api, client: client, known: map[string]installation{}}
	}
	return out, nil
}

// GitHub returns a token of an app for some repositories of an owner, with no more than the
// permissions given. Owner and repositories are in lower case.
func (c *Cloud) GitHub(ctx context.Context, now time.Time, app, owner string, repositories []string, permissions map[string]string) (GitHubToken, error) {
	if len(c.github) == 0 {
		return GitHubToken{}, notConfigured("GitHub", "github")
	}
	a := c.github[app]
	if a == nil {
		return GitHubToken{}, fault.New(fault.NotFound, "This deployment knows no GitHub App named %s.", app)
	}
	id, err := a.installation(ctx, now, owner)
	if err != nil {
		return GitHubToken{}, a.explain(err, owner)
	}
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	at := "/app/installations/" + strconv.FormatInt(id, 10) + "/access_tokens"
	err = a.call(ctx, now, http.MethodPost, at, map[string]any{"repositories": repositories, "permissions": permissions}, &answer)
	if statusOf(err) == http.StatusNotFound {
		a.forget(owner)
	}
	if err != nil {
		return GitHubToken{}, a.explain(err, owner)
	}
	return GitHubToken(answer), nil
}

// installation finds where the app is installed: at an organization or else at a user.
func (a *githubApp) installation(ctx context.Context, now time.Time, owner string) (int64, error) {
	a.mu.Lock()
	known, ok := a.known[owner]
	a.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.id, nil
	}
	var answer struct {
		ID      int64 `json:"id"`
		Account struct {
			Login string `json:"login"`
		} `json:"account"`
	}
	err := a.call(ctx, now, http.MethodGet, "/orgs/"+url.PathEscape(owner)+"/installation", nil, &answer)
	if statusOf(err) == http.StatusNotFound {
		err = a.call(ctx, now, http.MethodGet, "/users/"+url.PathEscape(owner)+"/installation", nil, &answer)
	}
	if err != nil {
		return 0, err
	}
	if !strings.EqualFold(answer.Account.Login, owner) {
		// A renamed owner is found by the old name too, but scopes speak of the new one.
		return 0, fault.New(fault.Invalid, "GitHub calls the owner %.100q, not %.100q; was it renamed?", answer.Account.Login, owner)
	}
	a.remember(owner, installation{answer.ID, now.Add(installationFor)})
	return answer.ID, nil
}

func (a *githubApp) remember(owner string, found installation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxInstallations {
		clear(a.known)
	}
	a.known[owner] = found
}

func (a *githubApp) forget(owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, owner)
}

// call makes a request as the app. GitHub wants tokens of ten minutes at most, and forgives a clock
// that is a minute ahead.
func (a *githubApp) call(ctx context.Context, now time.Time, method, path string, in, out any) error {
	token, err := signRS256(a.key, struct {
		Issuer   string `json:"iss"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{strconv.FormatInt(a.id, 10), now.Add(-time.Minute).Unix(), now.Add(9 * time.Minute).Unix()})
	if err != nil {
		return err
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.api+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("cloud: github: %w", err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", githubAPIVersion)
	req.Header.Set("Authorization", "Bearer "+token)
	_, err = exchange(a.client, "GitHub", req, out)
	return err
}

// explain gives GitHub's answers the meaning they have for who asked for a token.
func (a *githubApp) explain(err error, owner string) error {
	answer, ok := errors.AsType[*answerError](err)
	switch {
	case !ok:
		return err
	case answer.Status == http.StatusNotFound:
		return fault.New(fault.NotFound, "The GitHub App %s is not installed at %s.", a.name, owner)
	case answer.Status == http.StatusUnprocessableEntity:
		var body struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(answer.Body, &body) != nil {
			return fault.New(fault.Invalid, "GitHub refused the request without a reason.")
		}
		return fault.New(fault.Invalid, "GitHub refused the request: %.500s", body.Message)
	case answer.limited():
		return &RateLimited{a.name}
	}
	return err
}

// limited reports whether an answer of GitHub means that there were too many requests. The secondary
// limits have no header of their own.
func (e *answerError) limited() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusForbidden &&
		(e.Header.Get("Retry-After") != "" || e.Header.Get("X-RateLimit-Remaining") == "0" || bytes.Contains(e.Body, []byte("secondary rate")))
}
