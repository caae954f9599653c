package ghclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Comment makes a comment on a pull request or an issue, or on a commit when number is 0.
func (f *Forge) Comment(ctx context.Context, number int, sha, text string) error {
	if number > 0 {
		_, _, err := f.client.Issues.CreateComment(ctx, f.owner, f.name, number, &github.IssueComment{Body: &text})
		return err
	}
	_, _, err := f.client.Repositories.CreateComment(ctx, f.owner, f.name, sha, &github.RepositoryComment{Body: &text})
	return err
}

// React answers a comment with a sign: +1, confused or eyes.
func (f *Forge) React(ctx context.Context, comment int64, sign string) error {
	_, _, err := f.client.Reactions.CreateIssueCommentReaction(ctx, f.owner, f.name, comment, sign)
	return err
}

// CommitStatus is what a revision shows of one context.
type CommitStatus struct {
	State       string `json:"state"`
	TargetURL   string `json:"target_url"`
	Description string `json:"description"` // what is beyond 140 characters is cut
	Context     string `json:"context"`
}

// maxDescription is how many characters GitHub takes.
const maxDescription = 140

// SetStatus sets a status of a revision.
func (f *Forge) SetStatus(ctx context.Context, sha string, s CommitStatus) error {
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
	_, _, err := f.client.Repositories.CreateStatus(ctx, f.owner, f.name, sha, in)
	return err
}

// ErrRefused is in errors of what GitHub does not let the App do: a permission that it lacks, or a list of addresses
// from which an organization may be reached.
var ErrRefused = errors.New("GitHub refuses it")

// AsFault makes an answer of GitHub's a fault for whoever called us.
func AsFault(err error) error {
	if err == nil {
		return nil
	}
	said := "GitHub could not be reached."
	if e, ok := errors.AsType[*github.ErrorResponse](err); ok {
		said = "GitHub says: " + e.Message
	}
	switch Status(err) {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", ErrRefused, fault.Wrap(fault.Forbidden, err, "%s", said))
	case http.StatusNotFound, http.StatusGone:
		return fault.Wrap(fault.NotFound, err, "%s", said)
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return fault.Wrap(fault.BadInput, err, "%s", said)
	}
	return fmt.Errorf("github: %w", err)
}
