package app

import (
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/queue"
)

// told is a file that is told by check runs, and in the way that more says.
func toldYML(policy, more string) string {
	return strings.Replace(plainYML(policy), "version: 1\n", "version: 1\nreporting: checks-v1\n"+more, 1)
}

// check waits until the newest check run of a name at a revision has ended so, and returns it.
func (h *hub) check(sha, name, conclusion string) (found ghfake.CheckRun) {
	h.t.Helper()
	h.until("check "+name+" is "+conclusion, func() bool {
		for _, r := range h.repo.CheckRuns(sha) {
			if r.Name == name {
				found = r
			}
		}
		return found.Conclusion == conclusion && (conclusion != "" || found.ID != 0)
	})
	return found
}

// names are the check runs at a revision.
func (h *hub) names(sha string) (out []string) {
	for _, r := range h.repo.CheckRuns(sha) {
		out = append(out, r.Name)
	}
	return out
}

func TestGitHubBuildsAreToldByCheckRuns(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "")})
	sha := h.push("main", map[string]string{"a": "1"})
	h.check(sha, "github-push", "")
	h.check(sha, "Treeline (push)", "")
	h.finish(true)
	r := h.check(sha, "github-push", "success")
	if r.DetailsURL != h.config.RootURL+"/tasks/"+h.build("push").TaskGroupID || !strings.Contains(r.Summary, "A task") {
		t.Errorf("%+v", r)
	}
	h.check(sha, "Treeline (push)", "success")
	if _, _, _, err := h.repo.Status(sha, "Treeline (push)"); err == nil {
		t.Error("it is told by a status, too")
	}
	_, p := h.fork(map[string]string{"x": "1"})
	h.check(p.Head(), "Treeline", "")
	h.finish(false)
	h.check(p.Head(), "github-pull-request", "failure")
	h.check(p.Head(), "Treeline", "failure")

	// The server dies between the end of a task and its check run: another ends it.
	sha = h.push("main", map[string]string{"a": "2"})
	h.check(sha, "github-push", "")
	h.gh.Outage(true) // GitHub hears nothing of the end
	h.finish(true)
	h.stop()
	h.gh.Outage(false)
	listener := h.config.Listener
	h.config.Listener, h.config.Listen = nil, listener.Addr().String()
	h.start()
	h.check(sha, "github-push", "success")
	h.check(sha, "Treeline (push)", "success")
}

func TestGitHubIsToldAsTheFileAsks(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "treeline: {reporting: {by: [checks, statuses], name: Everything, tasks: none}}\n")})
	sha := h.push("main", map[string]string{"a": "1"})
	h.status(sha, "Everything (push)", "pending")
	h.finish(true)
	h.status(sha, "Everything (push)", "success")
	h.check(sha, "Everything (push)", "success")
	if n := h.names(sha); len(n) != 1 {
		t.Error(n)
	}
	sha = h.push("main", map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "treeline: {reporting: {by: []}}\n")})
	h.settle()
	h.finish(true)
	h.until("the build", func() bool { return h.build("push").SHA == sha && h.build("push").State == "success" })
	h.until("the look", func() bool { return h.marks() == 0 })
	if n := h.names(sha); len(n) != 0 {
		t.Error(n)
	}
	if _, _, _, err := h.repo.Status(sha, "Everything (push)"); err == nil {
		t.Error("it is told by a status")
	}
}

// marks is how many revisions are to be looked at.
func (h *hub) marks() (n int) {
	h.t.Helper()
	h.must(h.server.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM github_check_marks`).Scan(&n))
	return n
}

func TestGitHubIsToldWhyNothingIsBuilt(t *testing.T) {
	const none = "version: 1\nreporting: checks-v1\npolicy: {pullRequests: public}\ntasks: []\n"
	h := newHub(t, map[string]string{".taskcluster.yml": none})
	sha := h.push("main", map[string]string{"a": "1"})
	if r := h.check(sha, "Treeline (push)", "success"); r.Title != "Nothing to do" || !strings.Contains(r.Summary, "asks for no task on github-push") {
		t.Errorf("%+v", r)
	}
	_, p := h.fork(map[string]string{"x": "1"})
	h.check(p.Head(), "Treeline", "success")

	// By a commit status, as the peer tells of builds.
	sha = h.push("main", map[string]string{".taskcluster.yml": "version: 1\ntasks: []\n"})
	h.status(sha, "Treeline (push)", "success")

	sha, err := h.repo.Push("ada", "main", ghfake.Change{Files: map[string]string{".taskcluster.yml": toldYML("{pullRequests: collaborators}", "")}, Message: "words [skip ci]"})
	h.must(err)
	if r := h.check(sha, "Treeline (push)", "success"); !strings.Contains(r.Summary, "says to skip it") {
		t.Errorf("%+v", r)
	}

	// A stranger's pull request waits for somebody.
	_, p = h.fork(map[string]string{"y": "1"})
	if r := h.check(p.Head(), "Treeline", "action_required"); !strings.Contains(r.Summary, "may not write to acme/app") || r.Title != "Somebody who may write must act" {
		t.Errorf("%+v", r)
	}
	// A mistake has a file and a line.
	sha = h.push("main", map[string]string{".taskcluster.yml": "version: 1\nreporting: checks-v1\npolicy: {pullRequests: public}\ntusks: []\n"})
	r := h.check(sha, "Treeline (push)", "failure")
	if !strings.HasPrefix(r.Title, ".taskcluster.yml:4: ") {
		t.Errorf("%+v", r)
	}
	if got := h.gh.Annotations(r.ID); len(got) != 1 || got[0][0] != ".taskcluster.yml" {
		t.Errorf("%v", got)
	}
	h.settle()
	if got := h.made(); len(got) != 0 {
		t.Error(got)
	}
}

func TestGitHubIsToldHowDecisionsEnd(t *testing.T) {
	files := graphFiles(t)
	h := newHub(t, files)
	work := []string{"queue:create-task:highest:local/*", "queue:create-task:highest:built-in/*", "queue:create-task:project:none", "queue:scheduler-id:*", "queue:route:*", "queue:get-artifact:*", "in-tree:hook-action:*"}
	h.must(h.server.role(t.Context(), "repo:github.com/acme/app:branch:main", work, "test"))
	const kind = "taskcluster/kinds/test/kind.yml"
	sha := h.push("main", map[string]string{kind: files[kind] + "\nno-such-key: [\n"})
	r := h.check(sha, "Treeline (push)", "failure")
	if !strings.HasPrefix(r.Title, kind+":") || !strings.Contains(r.Summary, "No tasks were made, because of a mistake") {
		t.Errorf("%+v", r)
	}
	h.check(sha, "Decision", "failure")
	sha = h.push("main", map[string]string{kind: files[kind]})
	h.check(sha, "Decision", "success")
	h.until("tasks", func() bool { return len(h.names(sha)) > 2 })
	found := ghfake.CheckRun{}
	h.until("why a task is there", func() bool {
		for _, r := range h.repo.CheckRuns(sha) {
			if strings.Contains(r.Summary, "**Why it runs:** made from `taskcluster/") {
				found = r
			}
		}
		return found.ID != 0
	})
	_, err := h.server.github.CancelBuilds(t.Context(), github.Filter{Organization: "acme", Repository: "app", SHA: sha})
	h.must(err)
	h.check(sha, "Treeline (push)", "cancelled")
	h.until("all ended", func() bool {
		for _, r := range h.repo.CheckRuns(sha) {
			if r.Status != "completed" {
				return false
			}
		}
		return true
	})
}

func TestGitHubChecksEndWithTheirRepository(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "")})
	sha := h.push("main", map[string]string{"a": "1"})
	h.check(sha, "github-push", "")
	check, err := h.server.github.Checks.OfSuite(t.Context(), "acme/app", sha)
	h.must(err)
	if len(check) != 2 || check[0].Kind != checks.Aggregate {
		t.Errorf("%+v", check)
	}
	h.in.Delete()
	h.settle()
	claims, err := h.server.queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: "proj/linux", WorkerGroup: "g", WorkerID: "w", Tasks: 1, Wait: 10 * time.Second})
	h.must(err)
	_, err = h.server.queue.ReportCompleted(t.Context(), claims[0].Status.TaskID, claims[0].RunID)
	h.must(err)
	h.until("the look", func() bool { return h.marks() == 0 })
	var open int
	h.must(h.server.pool.QueryRow(t.Context(), `SELECT count(*) FROM github_checks WHERE ended = ''`).Scan(&open))
	if open != 0 {
		t.Errorf("%d checks go on", open)
	}
}
