package app

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// page reads a page as everybody can.
func (h *hub) page(path string) string {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.config.RootURL+path, nil)
	h.must(err)
	answer, err := http.DefaultClient.Do(r)
	h.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	h.must(err)
	if answer.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s %s", path, answer.Status, text)
	}
	return string(text)
}

func TestPagesSayWhatAGroupIsForAtGitHub(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public, allowComments: collaborators}")})
	sha := h.push("main", map[string]string{"a": "1"})
	_, p := h.fork(map[string]string{"x": "1"})
	h.settle()
	h.repo.Comment("ada", p.Number, "/taskcluster test")
	_, err := h.repo.Release("ada", "v1", "main")
	h.must(err)
	h.settle()
	at := strings.TrimSuffix(h.repo.CloneURL(), ".git")
	groups := h.page("/tasks/groups")
	for event, want := range map[string]struct{ title, link, list string }{
		"push":                {"a change", at + `/commit/` + sha + `" rel="noopener">Push to main</a> by ada`, "acme.app <code>" + sha[:7]},
		"pull_request.opened": {"a patch", at + `/pull/1" rel="noopener">Pull request #1</a> by stranger`, "acme.app: Pull request #1<"},
		"issue_comment":       {"a patch", at + `/pull/1" rel="noopener">Command on pull request #1</a> by stranger`, "acme.app: Command on pull request #1<"},
		"release":             {"Release v1", at + `/releases/tag/v1" rel="noopener">Release v1</a> by ada`, "acme.app: Release v1<"},
		"tag":                 {"a change", at + `/tree/v1" rel="noopener">Tag v1</a> by ada`, "acme.app: Tag v1<"},
	} {
		text := h.page("/tasks/groups/" + h.build(event).TaskGroupID)
		if !strings.Contains(text, want.link) || !strings.Contains(groups, want.list) || want.title != "" && !strings.Contains(text, "<h1>"+want.title+"</h1>") {
			_, head, _ := strings.Cut(text, `class="task-head"`)
			t.Errorf("%s: %.900s", event, head)
		}
	}
}
