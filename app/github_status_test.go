package app

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/queue"
)

// finish lets the one pending task of the test's queue end well, or not.
func (h *hub) finish(well bool) {
	h.t.Helper()
	claims, err := h.server.queue.Claim(h.t.Context(), queue.ClaimRequest{TaskQueueID: "proj/linux", WorkerGroup: "g", WorkerID: "w", Tasks: 1, Wait: 10 * time.Second})
	h.must(err)
	if len(claims) != 1 {
		h.t.Fatalf("%d tasks are pending", len(claims))
	}
	end := h.server.queue.ReportFailed
	if well {
		end = h.server.queue.ReportCompleted
	}
	_, err = end(h.t.Context(), claims[0].Status.TaskID, claims[0].RunID)
	h.must(err)
}

func (h *hub) status(sha, context, want string) {
	h.t.Helper()
	h.until("status "+want+" of "+context, func() bool {
		state, _, _, err := h.repo.Status(sha, context)
		return err == nil && state == want
	})
}

func TestGitHubIsToldHowBuildsStand(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	sha := h.push("main", map[string]string{"a": "1"})
	h.status(sha, "Treeline (push)", "pending")
	h.finish(true)
	h.status(sha, "Treeline (push)", "success")
	group := h.build("push").TaskGroupID
	if _, text, target, err := h.repo.Status(sha, "Treeline (push)"); err != nil || text != "all of 1 tasks passed" || target != h.config.RootURL+"/tasks/groups/"+group {
		t.Errorf("%q %q %v", text, target, err)
	}
	_, err := h.server.queue.Rerun(t.Context(), group)
	h.must(err)
	h.status(sha, "Treeline (push)", "pending")
	h.finish(false)
	h.status(sha, "Treeline (push)", "failure")

	_, p := h.fork(map[string]string{"x": "1"})
	h.status(p.Head(), "Treeline (pull_request)", "pending")
	h.gh.Outage(true)
	h.finish(true)
	h.until("the build", func() bool { return h.build("pull_request.opened").State == "success" })
	h.gh.Outage(false)
	h.status(p.Head(), "Treeline (pull_request)", "success")

	second := h.push("main", map[string]string{"a": "2"})
	h.status(second, "Treeline (push)", "pending")
	h.repo.Comment("ada", p.Number, "/treeline cancel") // of the pull request, whose build is over
	h.settle()
	_, err = h.server.github.CancelBuilds(t.Context(), github.Filter{Organization: "acme", Repository: "app", SHA: second})
	h.must(err)
	h.status(second, "Treeline (push)", "error")
	writes := 0
	for _, c := range h.gh.Calls() {
		if c.Route == "POST /repos/{owner}/{repo}/statuses/{sha}" && c.Status == 201 {
			writes++
		}
	}
	if writes > 10 {
		t.Errorf("%d statuses were written", writes)
	}
}
