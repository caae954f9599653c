// Package issues is a repository's issues on GitHub as the bug tracker of the pages. Where GitHub stands is configuration
// alone; redirects are not followed.
package issues

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/triage/bugs"
)

// Config says which repository it is.
type Config struct {
	URL         string // of the forge's root, such as https://github.com
	Owner, Name string // of the repository
	Token       string // that may read and write its issues; "" to file by hand only
}

const requestTime = 10 * time.Second

// Tracker is the issues of a repository. It is safe for concurrent use.
type Tracker struct {
	config Config
	host   string
	client *github.Client
}

// New makes the tracker. It asks nobody.
func New(c Config) (*Tracker, error) {
	root, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("github issues: %w", err)
	}
	c.URL = root.String()
	api := ghclient.PublicAPI
	if root.Host != "github.com" {
		api = c.URL + "/api/v3/"
	}
	client := github.NewClient(&http.Client{
		Timeout:       requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	if c.Token != "" {
		client = client.WithAuthToken(c.Token)
	}
	if client.BaseURL, err = url.Parse(api); err != nil {
		return nil, fmt.Errorf("github issues: %w", err)
	}
	client.UserAgent = "treeline"
	return &Tracker{config: c, host: root.Host, client: client}, nil
}

// Name is bugs.Tracker's.
func (t *Tracker) Name() string { return t.config.Owner + "/" + t.config.Name + " on " + t.host }

// CanFile is bugs.Tracker's.
func (t *Tracker) CanFile() bool { return t.config.Token != "" }

func (t *Tracker) at() string {
	return t.config.URL + "/" + t.config.Owner + "/" + t.config.Name + "/issues"
}

// Form is bugs.Tracker's.
func (t *Tracker) Form() bugs.Form {
	return bugs.Form{URL: t.at() + "/new", Summary: "title", Description: "body"}
}

var number = regexp.MustCompile(`^(?:#|[Bb]ug )?(\d{1,9})$`)

// Link is bugs.Tracker's.
func (t *Tracker) Link(bug string) string {
	m := number.FindStringSubmatch(bug)
	if m == nil {
		return ""
	}
	return t.at() + "/" + m[1]
}

// Search is bugs.Tracker's. Words are quoted, so that none of them is taken for an instruction of the search.
func (t *Tracker) Search(ctx context.Context, words string) ([]bugs.Bug, error) {
	q := "repo:" + t.config.Owner + "/" + t.config.Name + " is:issue in:title"
	for _, word := range strings.Fields(strings.ReplaceAll(words, `"`, " ")) {
		q += ` "` + word + `"`
	}
	found, _, err := t.client.Search.Issues(ctx, q, &github.SearchOptions{Sort: "updated", ListOptions: github.ListOptions{PerPage: 4 * bugs.MaxFound}})
	if err != nil {
		return nil, t.refused(err)
	}
	out := []bugs.Bug{}
	for _, open := range []bool{true, false} {
		for _, i := range found.Issues {
			if open == (i.GetState() == "open") && len(out) < bugs.MaxFound {
				out = append(out, t.bugOf(i))
			}
		}
	}
	return out, nil
}

// File is bugs.Tracker's.
func (t *Tracker) File(ctx context.Context, n bugs.New) (bugs.Bug, error) {
	made, _, err := t.client.Issues.Create(ctx, t.config.Owner, t.config.Name, &github.IssueRequest{Title: &n.Summary, Body: &n.Description})
	var answer *github.ErrorResponse
	var limited *github.RateLimitError
	switch {
	case errors.As(err, &limited), errors.As(err, &answer) && answer.Response.StatusCode < http.StatusInternalServerError:
		return bugs.Bug{}, errors.Join(t.refused(err), bugs.ErrRefused)
	case err != nil:
		return bugs.Bug{}, t.refused(err)
	}
	return t.bugOf(made), nil
}

// Recent is bugs.Tracker's. It looks at the hundred newest issues: a search would know new ones only after a while.
func (t *Tracker) Recent(ctx context.Context, summary string, since time.Time) (bugs.Bug, error) {
	list, _, err := t.client.Issues.ListByRepo(ctx, t.config.Owner, t.config.Name, &github.IssueListByRepoOptions{
		State: "all", Sort: "created", Direction: "desc", Since: since, ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return bugs.Bug{}, t.refused(err)
	}
	for _, i := range list {
		if i.GetTitle() == summary && !i.IsPullRequest() && !i.GetCreatedAt().Before(since) {
			return t.bugOf(i), nil
		}
	}
	return bugs.Bug{}, bugs.ErrNone
}

// Get is bugs.Tracker's.
func (t *Tracker) Get(ctx context.Context, id string) (bugs.Bug, error) {
	m := number.FindStringSubmatch(id)
	if m == nil {
		return bugs.Bug{}, bugs.ErrNone
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return bugs.Bug{}, bugs.ErrNone
	}
	i, _, err := t.client.Issues.Get(ctx, t.config.Owner, t.config.Name, n)
	if err != nil {
		return bugs.Bug{}, t.refused(err)
	}
	return t.bugOf(i), nil
}

func (t *Tracker) bugOf(i *github.Issue) bugs.Bug {
	id := strconv.Itoa(i.GetNumber())
	return bugs.Bug{ID: "#" + id, Summary: i.GetTitle(), State: i.GetState(), Open: i.GetState() == "open", URL: t.Link(id)}
}

// refused tells people what GitHub said. No token is in it: that goes in a header.
func (t *Tracker) refused(err error) error {
	var limited *github.RateLimitError
	var abused *github.AbuseRateLimitError
	var answer *github.ErrorResponse
	switch {
	case errors.As(err, &limited), errors.As(err, &abused):
		return fault.Wrap(fault.Conflict, err, "%s takes no more requests for a while.", t.Name())
	case errors.As(err, &answer):
		return fault.Wrap(fault.Conflict, err, "%s refuses: %.300s (%s)", t.Name(), answer.Message, answer.Response.Status)
	}
	return fault.Wrap(fault.Conflict, err, "%s does not answer.", t.Name())
}
