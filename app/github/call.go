package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Installed reports whether the App is installed at a repository.
func (g *GitHub) Installed(ctx context.Context, owner, repo string) (bool, error) {
	r, err := g.named(ctx, owner, repo)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	return r.Enabled, err
}

// Newest returns the newest build of a push to a branch; nil when there is none.
func (g *GitHub) Newest(ctx context.Context, owner, repo, branch string) (*Build, error) {
	list, err := g.builds(ctx, branchSQL, owner, repo, branch)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// Status is a commit status.
type Status struct {
	State       string `json:"state"`
	TargetURL   string `json:"target_url"`
	Description string `json:"description"`
	Context     string `json:"context"`
}

// maxDescription is how many characters GitHub takes.
const maxDescription = 140

// CreateStatus sets a status of a revision in the App's name.
func (g *GitHub) CreateStatus(ctx context.Context, owner, repo, sha string, s Status) error {
	r, err := g.named(ctx, owner, repo)
	if err != nil {
		return err
	}
	if runes := []rune(s.Description); len(runes) > maxDescription {
		s.Description = string(runes[:maxDescription-1]) + "…"
	}
	in := &github.RepoStatus{State: &s.State}
	for _, m := range []struct {
		into  **string
		value *string
	}{{&in.TargetURL, &s.TargetURL}, {&in.Description, &s.Description}, {&in.Context, &s.Context}} {
		if *m.value != "" {
			*m.into = m.value
		}
	}
	_, _, err = g.client.Installation(r.Installation).Repositories.CreateStatus(ctx, r.Owner, r.Repo, sha, in)
	return asFault(err)
}

// CreateComment writes a comment in the App's name.
func (g *GitHub) CreateComment(ctx context.Context, owner, repo string, number int, text string) error {
	r, err := g.named(ctx, owner, repo)
	if err != nil {
		return err
	}
	return asFault(g.comment(ctx, r, number, "", text))
}

// ErrRefused is in errors of what GitHub does not let the App do: a permission that it lacks, or a list of addresses
// from which an organization may be reached.
var ErrRefused = errors.New("GitHub refuses it")

// asFault is an answer of GitHub's for whoever called us.
func asFault(err error) error {
	if err == nil {
		return nil
	}
	said := "GitHub could not be reached."
	if e, ok := errors.AsType[*github.ErrorResponse](err); ok {
		said = "GitHub says: " + e.Message
	}
	switch ghclient.Status(err) {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", ErrRefused, fault.Wrap(fault.Forbidden, err, "%s", said))
	case http.StatusNotFound, http.StatusGone:
		return fault.Wrap(fault.NotFound, err, "%s", said)
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return fault.Wrap(fault.BadInput, err, "%s", said)
	}
	return fmt.Errorf("github: %w", err)
}

var branchSQL = pg.Statement{Name: "github.newest-of-branch", Text: `
	SELECT ` + buildColumns + ` FROM github_builds
	WHERE lower(organization) = lower($1) AND lower(repository) = lower($2) AND branch = $3 AND event_type = 'push' ORDER BY created DESC LIMIT 1`}
