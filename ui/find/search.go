// Package find leads from what somebody types to what they mean: the header's search, and the hits of the palette.
package find

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/page"
)

// Pages are the search and its data. They are safe for concurrent use.
type Pages struct {
	Queue *queue.Queue
	Push  *push.Log
	// More are further rooms that know names; each is asked for at most n hits that hold the text, which is in lower case.
	More []func(v *page.Visit, text string, n int) ([]Hit, error)
}

// Hit is something that was found; shell/palette.tsx shows it.
type Hit struct {
	Kind   string `json:"kind"` // such as "task"
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Href   string `json:"href"`
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /search", ps.search)
	k.Data("GET /ui/api/find", ps.find)
	return nil
}

var revisionRule = regexp.MustCompile(`^[0-9a-f]{6,40}$`)

// search leads to what was typed into the header: a task, a task group, a revision, and otherwise
// the tasks of the repository that match.
func (ps *Pages) search(v *page.Visit) error {
	text := strings.TrimSpace(v.R.FormValue("q"))
	repo := v.R.FormValue("repo")
	ctx := v.R.Context()
	if id := slugIn(text); id != "" {
		to, err := ps.findID(ctx, id)
		if err != nil || to != "" {
			if err != nil {
				return err
			}
			return v.Redirect(to)
		}
		return fault.New(fault.NotFound, "There is no task and no task group %s.", id)
	}
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	repos, err := ps.Push.Repositories(ctx)
	if err != nil {
		return err
	}
	if revisionRule.MatchString(strings.ToLower(text)) {
		for _, r := range repos {
			p, err := ps.Push.ByRevision(ctx, r.Name, strings.ToLower(text))
			if err == nil {
				return v.Redirect("/jobs?repo=" + url.QueryEscape(r.Name) + "&revision=" + p.Revision)
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
		return v.Redirect("/")
	}
	return v.Redirect("/jobs?repo=" + url.QueryEscape(repo) + "&searchStr=" + url.QueryEscape(text))
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

func (ps *Pages) findID(ctx context.Context, id string) (string, error) {
	_, err := ps.Queue.Status(ctx, id)
	if err == nil {
		return "/tasks/" + id, nil
	}
	if !errors.Is(err, fault.NotFound) {
		return "", err
	}
	if _, err = ps.Queue.Group(ctx, id); err == nil {
		return "/tasks/groups/" + id, nil
	}
	if !errors.Is(err, fault.NotFound) {
		return "", err
	}
	return "", nil
}
