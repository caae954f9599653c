package app

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/push"
)

// hookYML fires hooks, and makes no task of its own.
func hookYML(names ...string) string {
	text := "version: 1\npolicy: {pullRequests: public_restricted}\nhooks:\n"
	for _, name := range names {
		text += "  - name: " + name + "\n    context: {flavor: \"${not.rendered}\", n: 1}\n"
	}
	return text
}

func TestGitHubFilesFireHooks(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": hookYML("project-a/one")})
	lend(t, h.server)
	declining := testHook("declines")
	declining.Task = json.RawMessage(`{"$if": "payload.tasks_for == 'cron'", "then": {}}`)
	for _, hook := range []hooks.Hook{testHook("one"), testHook("two"), testHook("three"), declining} {
		_, err := h.server.hooks.Create(t.Context(), RootClient, hook)
		h.must(err)
	}
	h.must(h.server.role(t.Context(), "repo:github.com/acme/app:branch:main", []string{
		"github:trigger-hook:project-a/one", "github:trigger-hook:project-a/two", "github:trigger-hook:project-a/declines", "github:trigger-hook:project-a/gone",
	}, "test"))

	t.Run("a push fires them, each once, with what they are told", func(t *testing.T) {
		sha := h.push("main", map[string]string{".taskcluster.yml": hookYML("project-a/one", "project-a/two")})
		h.settle()
		for _, d := range h.gh.Delivered() {
			if d.Event == "push" {
				h.must(h.gh.Redeliver(d.ID))
			}
		}
		h.settle()
		if got := h.outcomes("push"); !slices.Contains(got, "2 hooks") {
			t.Error(got)
		}
		list := h.builds()
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		flavors := map[string]bool{}
		for _, b := range list {
			d, err := h.server.queue.Task(t.Context(), b.TaskGroupID)
			h.must(err)
			var p struct {
				Context struct {
					Flavor string
					N      int
				}
				Event struct{ After string }
				For   string `json:"tasks_for"`
				ID    string `json:"taskId"`
				Root  string `json:"taskcluster_root_url"`
			}
			h.must(json.Unmarshal(d.Payload, &p))
			if p.Context.Flavor != "${not.rendered}" || p.Context.N != 1 || p.Event.After != sha || p.For != "github-push" || p.ID != b.TaskGroupID || p.Root != h.config.RootURL {
				t.Errorf("%s", d.Payload)
			}
			if b.SHA != sha || b.State != "pending" || d.TaskGroupID != b.TaskGroupID || !slices.Equal(d.Scopes, []string{"secrets:get:x"}) {
				t.Errorf("%+v %+v", b, d) // what the hook's role has, which the repository's lacks
			}
			fires, err := h.server.hooks.LastFires(t.Context(), "project-a", "one", hooks.Mark{}, 10)
			h.must(err)
			if len(fires) != 1 {
				t.Errorf("one was fired %d times", len(fires))
			}
			flavors[d.TaskGroupID] = true
		}
		if len(flavors) != 2 {
			t.Errorf("%v", flavors)
		}
		h.until("the status", func() bool {
			state, _, _, err := h.repo.Status(sha, "Treeline (push)")
			return err == nil && state == "pending"
		})
	})

	for name, c := range map[string]struct{ hook, want string }{
		"one that the repository's role may not fire": {"project-a/three", "github:trigger-hook:project-a/three"},
		"one that is not there":                       {"project-a/gone", "Hook project-a/gone could not be fired"},
	} {
		t.Run(name+" is told of in a comment and makes no build", func(t *testing.T) {
			before := len(h.builds())
			sha := h.push("main", map[string]string{".taskcluster.yml": hookYML(c.hook)})
			h.settle()
			list := h.repo.Comments(0)
			if len(list) == 0 || list[len(list)-1].Revision != sha || !strings.Contains(list[len(list)-1].Body, c.want) || !strings.Contains(list[len(list)-1].Body, ".taskcluster.yml:4") {
				t.Errorf("%+v", list)
			}
			if n := len(h.builds()); n != before {
				t.Errorf("%d builds more", n-before)
			}
			last, err := h.server.push.List(t.Context(), "acme.app", 0, 1)
			h.must(err)
			if last[0].State != push.Failed || last[0].Error == nil || last[0].Error.Line != 4 {
				t.Errorf("%+v", last[0])
			}
		})
	}

	t.Run("one that declines makes no build", func(t *testing.T) {
		before := len(h.builds())
		h.push("main", map[string]string{".taskcluster.yml": hookYML("project-a/declines")})
		h.settle()
		if n := len(h.builds()); n != before {
			t.Errorf("%d builds more", n-before)
		}
	})

	t.Run("a stranger's pull request fires none with the trusted role", func(t *testing.T) {
		_, p := h.fork(map[string]string{".taskcluster.yml": hookYML("project-a/one")})
		list := h.repo.Comments(p.Number)
		if len(list) != 1 || !strings.Contains(list[0].Body, "pull-request-untrusted") {
			t.Errorf("%+v %v", list, h.outcomes("pull_request"))
		}
		fires, err := h.server.hooks.LastFires(t.Context(), "project-a", "one", hooks.Mark{}, 10)
		h.must(err)
		if len(fires) != 1 {
			t.Errorf("one was fired %d times", len(fires))
		}
	})
}
