package find

import (
	"errors"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	maxText   = 200 // bytes of what is typed
	maxOfKind = 8   // hits
)

// find answers the palette with what a text may mean, the surest first.
func (ps *Pages) find(v *page.Visit) (any, error) {
	text := strings.TrimSpace(v.R.FormValue("q"))
	hits := []Hit{}
	if len(text) < 2 || len(text) > maxText {
		return map[string]any{"hits": hits}, nil
	}
	sources := append([]func(*page.Visit, string, int) ([]Hit, error){ps.byID, ps.repositories, ps.revisions}, ps.More...)
	for _, source := range sources {
		more, err := source(v, strings.ToLower(text), maxOfKind)
		if err != nil {
			return nil, err
		}
		hits = append(hits, more...)
	}
	return map[string]any{"hits": hits}, nil
}

func (ps *Pages) byID(v *page.Visit, _ string, _ int) ([]Hit, error) {
	id := slugIn(v.R.FormValue("q"))
	if id == "" {
		return nil, nil
	}
	if v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id)) == nil {
		t, err := ps.Queue.Item(v.R.Context(), id)
		if err == nil {
			return []Hit{{"task", cell.Name(t.Task.Metadata.Name, id), id, "/tasks/" + id}}, nil
		}
		if !errors.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	if v.Allow(scope.String("queue:list-task-group:"+id)) != nil {
		return nil, nil
	}
	_, err := ps.Queue.Group(v.R.Context(), id)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return []Hit{{"group", "Task group", id, "/tasks/groups/" + id}}, err
}

func (ps *Pages) repositories(v *page.Visit, text string, n int) ([]Hit, error) {
	if v.Allow(page.SeePushes) != nil {
		return nil, nil
	}
	list, err := ps.Push.Repositories(v.R.Context())
	var hits []Hit
	for _, r := range list {
		if strings.Contains(strings.ToLower(r.Name), text) && len(hits) < n {
			hits = append(hits, Hit{"repository", r.Name, "", "/jobs?" + url.Values{"repo": {r.Name}}.Encode()})
		}
	}
	return hits, err
}

func (ps *Pages) revisions(v *page.Visit, text string, n int) ([]Hit, error) {
	if !revisionRule.MatchString(text) || v.Allow(page.SeePushes) != nil {
		return nil, nil
	}
	list, err := ps.Push.Repositories(v.R.Context())
	if err != nil {
		return nil, err
	}
	var hits []Hit
	for _, r := range list {
		p, err := ps.Push.ByRevision(v.R.Context(), r.Name, text)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		subject, _, _ := strings.Cut(p.Message, "\n")
		hits = append(hits, Hit{"push", subject, r.Name + " " + p.Revision[:min(12, len(p.Revision))], "/jobs?" + url.Values{"repo": {r.Name}, "revision": {p.Revision}}.Encode()})
		if len(hits) == n {
			break
		}
	}
	return hits, nil
}
