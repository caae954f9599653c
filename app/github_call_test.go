package app

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
)

func TestWhatGitHubRefusesIsNoMissingScope(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	sha := h.push("main", map[string]string{"a": "1"})
	_, p := h.fork(map[string]string{"x": "1"})
	c, err := client.New(client.Config{RootURL: h.config.RootURL, Credentials: hawk.Credentials{ClientID: RootClient, AccessToken: h.config.Secrets.RootToken}})
	h.must(err)
	status := func() error {
		return c.Call(t.Context(), "github", http.MethodPost, "/repository/acme/app/statuses/"+sha, nil, map[string]any{"state": "success", "context": "mine"}, nil)
	}
	comment := func() error {
		return c.Call(t.Context(), "github", http.MethodPost, "/repository/acme/app/issues/1/comments", nil, map[string]any{"body": "Hello."}, nil)
	}
	h.must(status())
	h.must(comment())
	if state, _, _, err := h.repo.Status(sha, "mine"); err != nil || state != "success" || len(h.repo.Comments(p.Number)) != 1 {
		t.Errorf("%s %v %+v", state, err, h.repo.Comments(p.Number))
	}
	h.in.Suspend()
	h.settle()
	for name, call := range map[string]func() error{"createStatus": status, "createComment": comment} {
		e, ok := errors.AsType[*client.Error](call())
		if !ok || e.Code != "ForbiddenByGithub" || e.Status != http.StatusForbidden || !strings.Contains(e.Message, "GitHub") {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
