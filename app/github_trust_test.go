package app

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/internal/ghfake"
)

// TestGitHubTrustNeedsOpenerAndSource goes through who opened a pull request, whose repository it comes from, and under
// which policy. All pull requests are of one repository, so that one server tells them all.
func TestGitHubTrustNeedsOpenerAndSource(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	for login, role := range map[string]string{"writer": "write", "maintainer": "maintain", "triager": "triage"} {
		h.repo.Grant(login, role)
	}
	forks := map[string]*ghfake.Repository{"acme": h.repo}
	for _, owner := range []string{"writer", "triager", "stranger"} {
		fork, err := h.repo.Fork(owner)
		h.must(err)
		forks[owner] = fork
	}
	n := 0
	for _, policy := range []string{"collaborators", "collaborators_quiet", "public", "public_restricted"} {
		h.push("main", map[string]string{".taskcluster.yml": plainYML("{pullRequests: " + policy + "}")})
		h.settle()
		for _, opener := range []string{"writer", "maintainer", "triager", "reader", "stranger"} {
			for _, source := range []string{"acme", "writer", "triager", "stranger"} {
				n++
				branch := fmt.Sprintf("b%d", n)
				// The head's file asks for everything, and has the old format's fixed rights in mind; neither counts.
				_, err := forks[source].Push(opener, branch, ghfake.Change{Files: map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}"), "n": branch}})
				h.must(err)
				p, err := h.repo.OpenPull(opener, forks[source], branch, "main", "pull "+branch)
				h.must(err)
				h.settle()
				trusted := slices.Contains([]string{"writer", "maintainer"}, opener) && slices.Contains([]string{"acme", "writer"}, source)
				want := "github-pull-request"
				switch {
				case trusted || policy == "public":
				case policy == "public_restricted":
					want = "github-pull-request-untrusted"
				default:
					want = ""
				}
				got := ""
				for _, b := range h.builds() {
					if b.PullNumber == p.Number {
						made, err := h.server.queue.Task(t.Context(), b.TaskGroupID)
						h.must(err)
						got = made.Metadata.Name
					}
				}
				if got != want {
					t.Errorf("%s, opened by %s from %s: %q, want %q", policy, opener, source, got, want)
				}
				said := len(h.repo.Comments(p.Number))
				if (said > 0) != (want == "" && policy == "collaborators") {
					t.Errorf("%s, opened by %s from %s: %d comments", policy, opener, source, said)
				}
			}
		}
	}
}

// The format before JSON-e gave its tasks fixed rights: a stranger's file of that format gets no more than another.
func TestGitHubOldFormatOfAStrangerIsUntrusted(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public_restricted}")})
	old := `version: 0
allowPullRequests: public
tasks:
  - provisionerId: proj
    workerType: linux
    scopes: ["secrets:get:trusted"]
    metadata: {name: old, description: d, owner: o@example.com, source: "https://example.com/"}
    extra: {github: {events: ["pull_request.*"]}}
    payload: {}
`
	_, p := h.fork(map[string]string{".taskcluster.yml": old})
	h.expect()
	if said := h.repo.Comments(p.Number); len(said) != 1 || !strings.Contains(said[0].Body, "secrets:get:trusted") {
		t.Errorf("%+v %v", said, h.outcomes("pull_request"))
	}
}

// A deleted fork leaves a pull request that is nobody's.
func TestGitHubPullRequestWhoseForkIsGone(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public_restricted}")})
	h.repo.Grant("stranger", "write")
	_, p := h.fork(map[string]string{"x": "1"})
	h.expect("pull_request.opened: github-pull-request")
	p.LoseFork()
	p.Close("ada")
	p.Reopen("ada")
	h.expect("pull_request.opened: github-pull-request", "pull_request.reopened: github-pull-request-untrusted")
}

// TestGitHubWebhooksInAnyOrder delivers the pushes of a branch backwards, to two servers at once.
func TestGitHubWebhooksInAnyOrder(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	second := h.config
	second.Listener, second.Listen = nil, "127.0.0.1:0"
	other, err := Start(t.Context(), second)
	h.must(err)
	t.Cleanup(func() { h.must(other.Stop(t.Context())) })
	h.gh.Deliveries(ghfake.Fail)
	var last string
	for i := range 5 {
		last = h.push("main", map[string]string{"a": fmt.Sprint(i)})
	}
	h.settle()
	h.gh.Deliveries(ghfake.Deliver)
	var ids []int64
	for _, d := range h.gh.Delivered() {
		if d.Event == "push" && d.Status != "OK" {
			ids = append(ids, d.ID)
		}
	}
	slices.Reverse(ids)
	var again sync.WaitGroup
	for _, id := range ids {
		again.Go(func() { // and more than once
			for range 2 {
				if err := h.gh.Redeliver(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	again.Wait()
	h.until("all pushes", func() bool { return len(h.made()) == 5 })
	h.settle()
	h.later()
	h.must(h.server.github.FindMissed(t.Context())) // whatever the order was, the branch ends where it is
	h.until("the branch's head", func() bool {
		heads, err := h.server.push.Heads(t.Context(), "acme.app")
		h.must(err)
		return heads["main"] == last
	})
	if got := h.made(); len(got) != 5 {
		t.Errorf("%v", got)
	}
}
