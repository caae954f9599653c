// Package setup makes the GitHub App that a server is, and says how it stands: what it may do, where it is installed,
// and whether its webhooks arrive.
//
// An App is made from a manifest (vcs-integration 1.8): a browser takes a form to GitHub, a person presses the button
// there, and GitHub leads back with a code, which is exchanged, once and within an hour, for the App's id and secrets.
package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/github/ghclient"
)

// Need is a permission that the App asks for.
type Need struct{ Permission, Level, Why string }

// Needs are all permissions of the App, and what each is for.
func Needs() []Need {
	return []Need{
		{"checks", "write", "check runs, their text and their buttons"},
		{"contents", "read", "`.taskcluster.yml`, and the files that graphs are made from"},
		{"issues", "write", "reactions to commands, and comments that answer them"},
		{"members", "read", "changes of who belongs to an organization, which may change who may write"},
		{"merge_queues", "read", "the groups that a merge queue wants checked"},
		{"metadata", "read", "who may write: trust in pull requests, commands and buttons depend on it"},
		{"pull_requests", "write", "the files that a pull request changes; comments about what could not be built"},
		{"statuses", "write", "how builds stand, where check runs are not wanted; `createStatus`"},
	}
}

// Events are the webhooks that the App subscribes, with what each is for. Those about installations come anyway.
func Events() []Need {
	return []Need{
		{"check_run", "", "buttons and Re-run"}, {"check_suite", "", "Re-run all checks"}, {"create", "", "new branches and tags"},
		{"delete", "", "branches that are gone"}, {"issue_comment", "", "commands"}, {"member", "", "who may write"},
		{"merge_group", "", "merge queues"}, {"pull_request", "", "pull requests"}, {"push", "", "pushes and tags"}, {"release", "", "releases"},
		{"repository", "", "renames, new default branches, archives"},
	}
}

// Plan says which App is to be made.
type Plan struct {
	Name    string // 34 characters at most; unique at GitHub
	RootURL string // of the server
	Org     string // whose App it is; "" for the person's own
	Site    string // https://github.com when "", or GitHub Enterprise Server's
}

func (p Plan) site() string {
	if p.Site == "" {
		return "https://github.com"
	}
	return strings.TrimSuffix(p.Site, "/")
}

// API is the root of the API, as ghclient.Config has it: "" for github.com.
func (p Plan) API() string {
	if p.Site == "" || p.site() == "https://github.com" {
		return ""
	}
	return p.site() + "/api/v3/"
}

// Check says what is wrong with a plan.
func (p Plan) Check() error {
	for what, address := range map[string]string{"the server's root URL": p.RootURL, "the address of GitHub": p.site()} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
			return fmt.Errorf("%s %q: give scheme and host, such as https://ci.example.com", what, address)
		}
	}
	if n := len([]rune(p.Name)); n == 0 || n > 34 {
		return fmt.Errorf("the name %q has %d characters; GitHub takes 1 to 34", p.Name, n)
	}
	return nil
}

// Form is what a browser posts to GitHub: where, and the manifest.
func (p Plan) Form(state, back string) (action, manifest string, err error) {
	permissions, events := map[string]string{}, []string{}
	for _, n := range Needs() {
		permissions[n.Permission] = n.Level
	}
	for _, n := range Events() {
		events = append(events, n.Permission)
	}
	root := strings.TrimSuffix(p.RootURL, "/")
	text, err := json.Marshal(map[string]any{
		"name": p.Name, "url": root, "hook_attributes": map[string]any{"url": root + "/api/github/v1/github", "active": true}, "redirect_url": back, "public": false,
		"description": "Builds what happens in repositories, and says how it went.", "default_permissions": permissions, "default_events": events,
	})
	if err != nil {
		return "", "", fmt.Errorf("setup: manifest: %w", err)
	}
	action = p.site() + "/settings/apps/new"
	if p.Org != "" {
		action = p.site() + "/organizations/" + url.PathEscape(p.Org) + "/settings/apps/new"
	}
	return action + "?" + url.Values{"state": {state}}.Encode(), string(text), nil
}

// App is an App that was made.
type App struct {
	ID            int64  `json:"id"`
	Slug          string `json:"slug"`
	Name          string `json:"name"`
	HTMLURL       string `json:"html_url"`
	Key           string `json:"pem"`
	WebhookSecret string `json:"webhook_secret"`
}

// maxAnswer bounds the answer to Exchange, in bytes.
const maxAnswer = 1 << 20

// Exchange gives the code back for the App and its secrets. A code counts once and for an hour.
func (p Plan) Exchange(ctx context.Context, code string) (App, error) {
	api := p.API()
	if api == "" {
		api = ghclient.PublicAPI
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"app-manifests/"+url.PathEscape(code)+"/conversions", bytes.NewReader(nil))
	if err != nil {
		return App{}, fmt.Errorf("setup: %w", err)
	}
	r.Header.Set("Accept", "application/vnd.github+json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return App{}, fmt.Errorf("setup: GitHub could not be asked for the App's secrets: %w; the App is there: delete it at GitHub and begin anew", withoutCode(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return App{}, fmt.Errorf("setup: the answer of GitHub: %w", err)
	}
	switch answer.StatusCode {
	case http.StatusCreated:
	case http.StatusNotFound:
		return App{}, errors.New("setup: GitHub does not know the code: it counts once, and for an hour; begin anew")
	default:
		return App{}, fmt.Errorf("setup: GitHub answers %s to the exchange of the code; begin anew", answer.Status)
	}
	var a App
	if err := json.Unmarshal(text, &a); err != nil || a.ID == 0 || a.Key == "" {
		return App{}, errors.New("setup: the answer of GitHub lacks the App's id or key; is the address that of GitHub?")
	}
	if a.WebhookSecret == "" {
		return App{}, errors.New("setup: GitHub gave the App no webhook secret; set one on its page, and write it into the file of secrets")
	}
	return a, nil
}

// withoutCode takes the address out of an error: it holds the code, which is a secret for an hour.
func withoutCode(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
