package setup

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
)

// Status is how the App stands at GitHub.
type Status struct {
	ID            int64          `json:"id"`
	Name          string         `json:"name"`
	Page          string         `json:"page"`
	Webhook       string         `json:"webhook"` // where webhooks go
	Installations []Installation `json:"installations"`
	Deliveries    Deliveries     `json:"deliveries"`
	Problems      []string       `json:"problems"` // what is not as it ought to be, with what to do about it
}

// Installation is where the App is installed.
type Installation struct {
	ID           int64    `json:"id"`
	Account      string   `json:"account"`
	Suspended    bool     `json:"suspended"`
	Repositories []string `json:"repositories"` // none of a suspended one
	All          bool     `json:"all"`          // every repository of the account, new ones too
}

// Deliveries are the newest webhooks in the App's log.
type Deliveries struct {
	Looked    int       `json:"looked"`
	Failed    int       `json:"failed"`
	LastError string    `json:"lastError,omitempty"`
	LastEvent string    `json:"lastEvent,omitempty"`
	LastAt    time.Time `json:"lastAt,omitzero"`
}

// Look asks GitHub how the App stands. rootURL is the server's, "" when it is not known.
func Look(ctx context.Context, c ghclient.Config, rootURL string) (Status, error) {
	client, err := ghclient.New(c)
	if err != nil {
		return Status{}, fmt.Errorf("setup: %w", err)
	}
	as := client.AsApp()
	var app described
	if _, err := get(ctx, as, "app", &app); err != nil {
		return Status{}, explain(err, c)
	}
	s := Status{ID: app.ID, Name: app.Name, Page: app.Page, Installations: []Installation{}, Problems: []string{}}
	s.permissions(app.Permissions, "The App", "grant it on the App's page (Permissions & events); each owner is then asked to agree")
	for _, n := range Events() {
		if !slices.Contains(app.Events, n.Permission) {
			s.problem("The App does not subscribe %s events (%s): tick it on the App's page (Permissions & events).", n.Permission, n.Why)
		}
	}
	if err := s.hook(ctx, as, rootURL); err != nil {
		return s, explain(err, c)
	}
	if err := s.installations(ctx, client, as); err != nil {
		return s, explain(err, c)
	}
	return s, nil
}

func (s *Status) problem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

// explain says what to do about the errors that a wrong setting leads to.
func explain(err error, c ghclient.Config) error {
	at := cmp.Or(c.API, ghclient.PublicAPI)
	switch ghclient.Status(err) {
	case http.StatusUnauthorized:
		return fmt.Errorf("setup: GitHub (%s) does not take the key for App %d: is it the App's newest key, the id the App's, and this machine's clock right? %w", at, c.AppID, err)
	case http.StatusNotFound:
		return fmt.Errorf("setup: %s knows no App %d: was it deleted, or is TREELINE_GITHUB_API of another GitHub? %w", at, c.AppID, err)
	case 0:
		return fmt.Errorf("setup: GitHub (%s) could not be reached: %w", at, err)
	}
	return fmt.Errorf("setup: %w", err)
}

// levels orders what permissions allow.
var levels = []string{"", "read", "write", "admin"}

func (s *Status) permissions(have map[string]string, who, remedy string) {
	for _, n := range Needs() {
		if slices.Index(levels, have[n.Permission]) < slices.Index(levels, n.Level) {
			s.problem("%s lacks the permission %s: %s (%s): %s.", who, strings.ReplaceAll(n.Permission, "_", " "), n.Level, n.Why, remedy)
		}
	}
}

// described is an App or an installation as GitHub tells of it. The client's own type leaves out some permissions.
type described struct {
	ID          int64             `json:"id"`
	Name        string            `json:"name"`
	Page        string            `json:"html_url"`
	Permissions map[string]string `json:"permissions"`
	Events      []string          `json:"events"`
	Account     struct {
		Login string `json:"login"`
	} `json:"account"`
	Selection string     `json:"repository_selection"`
	Suspended *time.Time `json:"suspended_at"`
}

func get(ctx context.Context, c *github.Client, path string, into any) (*github.Response, error) {
	r, err := c.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(ctx, r, into)
}

func (s *Status) hook(ctx context.Context, as *github.Client, rootURL string) error {
	hook, _, err := as.Apps.GetHookConfig(ctx)
	if err != nil {
		return err
	}
	s.Webhook = hook.GetURL()
	if want := strings.TrimSuffix(rootURL, "/") + "/api/github/v1/github"; rootURL != "" && s.Webhook != want {
		s.problem("Webhooks go to %s, and this server hears at %s: change the Webhook URL on the App's page.", s.Webhook, want)
	}
	if kind := hook.GetContentType(); kind != "" && kind != "json" {
		s.problem("Webhooks are sent as %s: set the content type application/json on the App's page.", kind)
	}
	list, _, err := as.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: 100})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, d := range list { // newest first: one that failed and was made again counts as it ended
		if seen[d.GetGUID()] {
			continue
		}
		seen[d.GetGUID()] = true
		s.Deliveries.Looked++
		if d.GetStatus() != "OK" {
			if s.Deliveries.Failed++; s.Deliveries.Failed == 1 {
				s.Deliveries.LastError, s.Deliveries.LastEvent, s.Deliveries.LastAt = d.GetStatus(), d.GetEvent(), d.GetDeliveredAt().Time
			}
		}
	}
	if n := s.Deliveries.Failed; n > 0 {
		s.problem("%d of the last %d webhooks did not arrive, the newest (%s) with: %s. The server has them sent again while it runs; does GitHub reach %s?",
			n, s.Deliveries.Looked, s.Deliveries.LastEvent, s.Deliveries.LastError, s.Webhook)
	}
	return nil
}

func (s *Status) installations(ctx context.Context, client *ghclient.App, as *github.Client) error {
	for page := 1; page > 0; {
		var list []described
		answer, err := get(ctx, as, fmt.Sprintf("app/installations?per_page=100&page=%d", page), &list)
		if err != nil {
			return err
		}
		for _, in := range list {
			if err := s.installation(ctx, client, in); err != nil {
				return err
			}
		}
		page = answer.NextPage
	}
	if len(s.Installations) == 0 {
		s.problem("The App is installed nowhere: install it at %s/installations/new.", s.Page)
	}
	return nil
}

func (s *Status) installation(ctx context.Context, client *ghclient.App, in described) error {
	i := Installation{ID: in.ID, Account: in.Account.Login, Suspended: in.Suspended != nil, All: in.Selection == "all", Repositories: []string{}}
	defer func() { s.Installations = append(s.Installations, i) }()
	if i.Suspended {
		s.problem("The installation at %s is suspended: its owner ends that in the settings there.", i.Account)
		return nil
	}
	s.permissions(in.Permissions, "The installation at "+i.Account, "its owner has to agree to what the App asks for, in the settings there")
	o := &github.ListOptions{PerPage: 100}
	for {
		page, answer, err := client.Installation(in.ID).Apps.ListRepos(ctx, o)
		if err != nil {
			return err
		}
		for _, r := range page.Repositories {
			i.Repositories = append(i.Repositories, r.GetFullName())
		}
		if answer.NextPage == 0 {
			return nil
		}
		o.Page = answer.NextPage
	}
}
