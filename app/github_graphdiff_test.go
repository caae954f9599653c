package app

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/internal/ghfake"
)

const lintKind = "taskcluster/kinds/lint/kind.yml"

const awkTask = `
  awk:
    description: Runs the Markdown program on nothing.
    symbol: awk
    scopes: ["secrets:get:garbage/app"]
    run:
      command: awk -f bin/markdown.awk /dev/null
`

// graphRuns are the check runs "task graph" at a revision.
func (h *hub) graphRuns(sha string) (out []ghfake.CheckRun) {
	for _, r := range h.repo.CheckRuns(sha) {
		if r.Name == graphdiff.Name {
			out = append(out, r)
		}
	}
	return out
}

// graphOutcome waits until the graphs of a pull request's revision were compared and says what became of that.
func (h *hub) graphOutcome(p *ghfake.Pull) (text string) {
	h.t.Helper()
	h.until("the comparison", func() bool {
		rows, err := h.server.pool.Query(h.t.Context(), `SELECT outcome FROM github_deliveries WHERE guid LIKE $1 AND state = 'done'`, fmt.Sprintf("graph-%%-%d-%s-%%", p.Number, p.Head()))
		h.must(err)
		defer rows.Close()
		if !rows.Next() {
			return false
		}
		h.must(rows.Scan(&text))
		return true
	})
	return text
}

func TestAPullRequestSaysWhatItDoesToTheTaskGraph(t *testing.T) {
	files := graphFiles(t)
	h := newHub(t, files)
	open := func(login, branch string, changes map[string]string) *ghfake.Pull {
		t.Helper()
		from := h.repo
		if login != "ada" {
			var err error
			from, err = h.repo.Fork(login)
			h.must(err)
		}
		_, err := from.Push(login, branch, ghfake.Change{Files: changes})
		h.must(err)
		p, err := h.repo.OpenPull(login, from, branch, "main", "a change")
		h.must(err)
		h.settle()
		return p
	}
	run := func(p *ghfake.Pull) ghfake.CheckRun {
		t.Helper()
		h.until("the check run", func() bool { return len(h.graphRuns(p.Head())) == 1 })
		return h.graphRuns(p.Head())[0]
	}

	t.Run("a stranger's pull request is compared, in red what it gains, with a page", func(t *testing.T) {
		p := open("stranger", "patch", map[string]string{lintKind: files[lintKind] + awkTask})
		r := run(p)
		if r.Conclusion != "neutral" || !strings.HasPrefix(r.Title, "🔴 1 new scope; github-pull-request: 1 added") || !strings.Contains(r.Summary, "```diff\n- secrets:get:garbage/app\n```") {
			t.Errorf("%+v", r)
		}
		page := h.get(r.DetailsURL)
		for _, want := range []string{"lint-awk", `<li class="new"><code>secrets:get:garbage/app</code>`, "Critical path"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %s:\n%s", want, page)
			}
		}
		if text := h.get(r.DetailsURL + "?format=json"); !strings.HasPrefix(text, `{"repository":"acme/app"`) {
			t.Errorf("%.200s", text)
		}
		var took int
		if _, err := fmt.Sscanf(h.graphOutcome(p)[strings.LastIndex(h.graphOutcome(p), "(in "):], "(in %d ms)", &took); err != nil || took > 2000 {
			t.Errorf("%v: %s", err, h.graphOutcome(p))
		}
	})
	t.Run("what the generator does not read makes no check", func(t *testing.T) {
		p := open("ada", "pages", map[string]string{"pages/index.md": "other\n"})
		if got := h.graphOutcome(p); got != "nothing that the graph is made from differs" || len(h.graphRuns(p.Head())) != 0 {
			t.Error(got)
		}
	})
	t.Run("faults of the head stand at their lines, and a new revision is compared anew", func(t *testing.T) {
		p := open("ada", "broken", map[string]string{lintKind: strings.Replace(files[lintKind], "description:", "descripton:", 1)})
		r := run(p)
		if r.Conclusion != "neutral" || !strings.HasPrefix(r.Title, "No graph: "+lintKind) || r.Annotations != 1 {
			t.Errorf("%+v", r)
		}
		_, err := h.repo.Push("ada", "broken", ghfake.Change{Files: map[string]string{lintKind: files[lintKind] + "\n# words\n"}})
		h.must(err)
		h.settle()
		if r := run(p); r.Title != "No task differs" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a redelivered webhook and a reopened pull request make no second one", func(t *testing.T) {
		p := open("ada", "again", map[string]string{lintKind: files[lintKind] + "\n# again\n"})
		run(p)
		p.Close("ada")
		p.Reopen("ada")
		h.settle()
		h.gh.Deliveries(ghfake.Double)
		p.Close("ada")
		p.Reopen("ada")
		h.gh.Deliveries(ghfake.Deliver)
		h.settle()
		if n := len(h.graphRuns(p.Head())); n != 1 {
			t.Errorf("%d check runs", n)
		}
	})
}

// Two servers of one database take the same comparisons.
func TestTwoServersCompareGraphsOnce(t *testing.T) {
	files := graphFiles(t)
	h := newHub(t, files)
	second := h.config
	second.Listener, second.Listen = nil, "127.0.0.1:0"
	other, err := Start(t.Context(), second)
	h.must(err)
	defer func() { h.must(other.Stop(t.Context())) }()
	var pulls []*ghfake.Pull
	for i := range 6 {
		branch := fmt.Sprintf("topic-%d", i)
		h.push(branch, map[string]string{lintKind: files[lintKind] + strings.ReplaceAll(awkTask, "awk:\n", fmt.Sprintf("awk-%d:\n", i))})
		p, err := h.repo.OpenPull("ada", h.repo, branch, "main", "a change")
		h.must(err)
		pulls = append(pulls, p)
	}
	h.settle()
	for _, p := range pulls {
		h.graphOutcome(p)
	}
	for _, p := range pulls {
		h.until("the check run", func() bool { return len(h.graphRuns(p.Head())) > 0 })
		if n := len(h.graphRuns(p.Head())); n != 1 {
			t.Errorf("%d check runs", n)
		}
	}
}

func TestAComparisonEndsWhenThePullRequestMovesOn(t *testing.T) {
	files := graphFiles(t)
	h := newHub(t, files)
	h.push("topic", map[string]string{lintKind: files[lintKind] + "\n# first\n"})
	h.gh.Slow(2 * time.Second) // the comparison is at work, asking GitHub for trees
	p, err := h.repo.OpenPull("ada", h.repo, "topic", "main", "a change")
	h.must(err)
	old := p.Head()
	h.until("the comparison begins", func() bool {
		var tries int
		err := h.server.pool.QueryRow(t.Context(), `SELECT coalesce(max(tries), 0) FROM github_deliveries WHERE event = 'treeline.graph-diff'`).Scan(&tries)
		return err == nil && tries > 0
	})
	_, err = h.repo.Push("ada", "topic", ghfake.Change{Files: map[string]string{lintKind: files[lintKind] + awkTask}})
	h.must(err)
	var outcome string
	h.until("the older one ends", func() bool {
		err := h.server.pool.QueryRow(t.Context(), `SELECT coalesce(max(outcome), '') FROM github_deliveries WHERE guid LIKE 'graph-%' AND guid LIKE '%' || $1 || '%' AND state = 'done'`, old).Scan(&outcome)
		return err == nil && outcome != ""
	})
	h.gh.Slow(0)
	if outcome != "the pull request has a newer revision" || len(h.graphRuns(old)) != 0 {
		t.Errorf("%s, %d check runs", outcome, len(h.graphRuns(old)))
	}
	h.until("the newer one", func() bool { return len(h.graphRuns(p.Head())) == 1 })
}

// get reads a page of the server.
func (h *hub) get(address string) string {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, address, nil)
	h.must(err)
	answer, err := http.DefaultClient.Do(r)
	h.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	h.must(err)
	if answer.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s\n%s", address, answer.Status, text)
	}
	return string(text)
}
