package ui

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
)

var revisionRule = regexp.MustCompile(`^[0-9a-f]{6,40}$`)

// search leads to what was typed into the header: a task, a task group, a revision, and otherwise
// the tasks of the repository that match.
func (u *UI) search(v *visit) error {
	text := strings.TrimSpace(v.r.FormValue("q"))
	repo := v.r.FormValue("repo")
	ctx := v.r.Context()
	if id := slugIn(text); id != "" {
		to, err := u.findID(ctx, id)
		if err != nil || to != "" {
			if err != nil {
				return err
			}
			return v.redirect(to)
		}
		return fault.New(fault.NotFound, "There is no task and no task group %s.", id)
	}
	if err := v.allow(seePushes); err != nil {
		return err
	}
	repos, err := u.deps.Push.Repositories(ctx)
	if err != nil {
		return err
	}
	if revisionRule.MatchString(strings.ToLower(text)) {
		for _, r := range repos {
			p, err := u.deps.Push.ByRevision(ctx, r.Name, strings.ToLower(text))
			if err == nil {
				return v.redirect("/jobs?repo=" + url.QueryEscape(r.Name) + "&revision=" + p.Revision)
			}
			if !errors.Is(err, fault.NotFound) {
				return err
			}
		}
	}
	if repo == "" && len(repos) > 0 {
		repo = repos[0].Name
	}
	if repo == "" || text == "" {
		return v.redirect("/")
	}
	return v.redirect("/jobs?repo=" + url.QueryEscape(repo) + "&searchStr=" + url.QueryEscape(text))
}

var slugRule = regexp.MustCompile(`(?:^|[^A-Za-z0-9_-])([A-Za-z0-9_-]{22})(?:$|[^A-Za-z0-9_-])`)

// slugIn finds a task id in what was typed, which may be a whole address; "" when there is none.
func slugIn(text string) string {
	m := slugRule.FindStringSubmatch(text)
	if m == nil || !slug.Valid(m[1]) {
		return ""
	}
	return m[1]
}

func (u *UI) findID(ctx context.Context, id string) (string, error) {
	_, err := u.deps.Queue.Status(ctx, id)
	if err == nil {
		return "/tasks/" + id, nil
	}
	if !errors.Is(err, fault.NotFound) {
		return "", err
	}
	if _, err = u.deps.Queue.Group(ctx, id); err == nil {
		return "/tasks/groups/" + id, nil
	}
	if !errors.Is(err, fault.NotFound) {
		return "", err
	}
	return "", nil
}
