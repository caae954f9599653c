package app

import (
	"fmt"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/app/github/scopegate"
	"github.com/treeline-ci/treeline/internal/ghfake"
)

const approvingYML = decisionYML + "treeline: {approveNewScopes: maintain, graphDiff: false}\n"

// newOwned is a hub whose repository has its new scopes approved: by mona, who may maintain it, but not by ada, who may
// write.
func newOwned(t *testing.T) (h *hub, files map[string]string) {
	t.Helper()
	files = graphFiles(t)
	files[".taskcluster.yml"] = approvingYML
	h = newHub(t, files)
	h.repo.Grant("mona", "maintain")
	return h, files
}

// propose opens a pull request of somebody.
func (h *hub) propose(login, branch, base string, changes map[string]string) *ghfake.Pull {
	h.t.Helper()
	_, err := h.repo.Push(login, branch, ghfake.Change{Files: changes})
	h.must(err)
	p, err := h.repo.OpenPull(login, h.repo, branch, base, "a change")
	h.must(err)
	h.settle()
	return p
}

// approve presses the button of a held check.
func (h *hub) approve(login string, r ghfake.CheckRun) {
	h.t.Helper()
	h.must(h.gh.ClickAction(login, r.ID, scopegate.Button))
	h.settle()
}

func TestNewScopesWaitForAnOwner(t *testing.T) {
	h, files := newOwned(t)
	grown := map[string]string{lintKind: files[lintKind] + awkTask}
	p := h.propose("ada", "grow", "main", grown)
	r := h.run(p.Head(), graphdiff.Name, "action_required")
	if !strings.HasPrefix(r.Title, "An owner must approve: 🔴 1 new scope") || !strings.Contains(r.Summary, "- scope secrets:get:garbage/app\n") || len(r.Actions) != 1 {
		t.Fatalf("%+v", r)
	}
	h.approve("reader", r)
	h.noted(p.Head(), r.ID, "reader pressed **Approve**: refused, since they may not maintain acme/app.")
	h.repo.Grant("ada", "admin")
	h.approve("ada", r)
	h.noted(p.Head(), r.ID, "Who opened a pull request, or pushed its newest revision, cannot approve")
	h.run(p.Head(), graphdiff.Name, "action_required")
	h.approve("mona", r)
	r = h.run(p.Head(), graphdiff.Name, "success")
	if r.Title != "Approved by mona" || !strings.Contains(r.Summary, "scope secrets:get:garbage/app") || len(r.Actions) != 0 {
		t.Errorf("%+v", r)
	}
	h.approve("mona", r) // the page was open still
	h.run(p.Head(), graphdiff.Name, "success")

	// A later revision that brings no more passes, and one that brings more does not.
	_, err := h.repo.Push("ada", "grow", ghfake.Change{Files: map[string]string{lintKind: grown[lintKind] + "\n# words\n"}})
	h.must(err)
	h.settle()
	if r := h.run(p.Head(), graphdiff.Name, "success"); !strings.HasPrefix(r.Title, "Approved by mona: 🔴 1 new scope") {
		t.Errorf("%+v", r)
	}
	_, err = h.repo.Push("mona", "grow", ghfake.Change{Files: map[string]string{lintKind: strings.Replace(grown[lintKind], "garbage/app", "release/key", 1)}})
	h.must(err)
	h.settle()
	r = h.run(p.Head(), graphdiff.Name, "action_required")
	if !strings.Contains(r.Summary, "- scope secrets:get:release/key\n") {
		t.Errorf("%+v", r)
	}
	h.approve("mona", r) // who pushed it
	h.noted(p.Head(), r.ID, "or pushed its newest revision, cannot approve")
	var records int
	h.must(h.server.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth_audit WHERE entity_type = 'pull-request' AND entity_id = $1 AND client_id LIKE 'github/%|mona'`, fmt.Sprintf("acme/app#%d", p.Number)).Scan(&records))
	if records != 1 {
		t.Errorf("%d records in the audit log", records)
	}
}

func TestWhereOwnersApproveEveryPullRequestHasTheCheck(t *testing.T) {
	h, files := newOwned(t)
	t.Run("one that changes nothing of the graph", func(t *testing.T) {
		p := h.propose("ada", "words", "main", map[string]string{"pages/index.md": "other\n"})
		if r := h.run(p.Head(), graphdiff.Name, "success"); r.Title != "No task differs" || !strings.Contains(r.Summary, "nothing that the graph is made from differs") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("one whose title says to skip it", func(t *testing.T) {
		sha := h.push("skipped", map[string]string{"pages/index.md": "more\n"})
		_, err := h.repo.OpenPull("ada", h.repo, "skipped", "main", "words [skip ci]")
		h.must(err)
		h.settle()
		h.run(sha, graphdiff.Name, "success")
	})
	t.Run("one that changes .taskcluster.yml, and with it what follows from it", func(t *testing.T) {
		p := h.propose("ada", "unguarded", "main", map[string]string{".taskcluster.yml": decisionYML})
		if r := h.run(p.Head(), graphdiff.Name, "action_required"); !strings.Contains(r.Summary, "- .taskcluster.yml as of sha256 ") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("one whose graph cannot be made", func(t *testing.T) {
		p := h.propose("ada", "broken", "main", map[string]string{lintKind: "tasks: ["})
		r := h.run(p.Head(), graphdiff.Name, "action_required")
		if !strings.Contains(r.Summary, "whatever "+p.Head()+" has") {
			t.Errorf("%+v", r)
		}
		h.approve("mona", r)
		h.run(p.Head(), graphdiff.Name, "success")
	})
	t.Run("one of a revision that another one has, with nothing new", func(t *testing.T) {
		wide := h.push("wide", map[string]string{lintKind: files[lintKind] + awkTask})
		_, err := h.repo.ForcePush("ada", "twin", wide, ghfake.Change{Files: map[string]string{"pages/index.md": "twin\n"}})
		h.must(err)
		p, err := h.repo.OpenPull("ada", h.repo, "twin", "main", "a change")
		h.must(err)
		h.settle()
		h.run(p.Head(), graphdiff.Name, "action_required")
		twin, err := h.repo.OpenPull("ada", h.repo, "twin", "wide", "nothing new")
		h.must(err)
		h.settle()
		if got := h.graphOutcome(twin); !strings.HasPrefix(got, "No task differs") {
			t.Error(got)
		}
		h.run(p.Head(), graphdiff.Name, "action_required")
	})
	t.Run("one that is moved to another base and back", func(t *testing.T) {
		_, err := h.repo.ForcePush("ada", "moved", "refs/heads/wide", ghfake.Change{Files: map[string]string{"pages/index.md": "moved\n"}})
		h.must(err)
		p, err := h.repo.OpenPull("ada", h.repo, "moved", "wide", "a change")
		h.must(err)
		h.settle()
		h.run(p.Head(), graphdiff.Name, "success")
		for _, to := range []struct{ base, conclusion string }{{"main", "action_required"}, {"wide", "success"}, {"main", "action_required"}} {
			p.Retarget("ada", to.base)
			h.settle()
			h.run(p.Head(), graphdiff.Name, to.conclusion)
		}
	})
	t.Run("a merge group", func(t *testing.T) {
		p := h.propose("ada", "queued", "main", map[string]string{"pages/index.md": "queued\n"})
		h.run(p.Head(), graphdiff.Name, "success")
		group, err := p.Enqueue("mona")
		h.must(err)
		h.settle()
		h.run(group.Head, graphdiff.Name, "success")
	})
}
