package ghpage

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// markdown renders as GitHub does, near enough; what could act is taken out.
func markdown(text string) template.HTML {
	var out strings.Builder
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(text), &out); err != nil {
		return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped
	}
	policy := bluemonday.UGCPolicy()
	policy.AllowAttrs("class").OnElements("code")
	return template.HTML(colour(policy.Sanitize(out.String()))) //nolint:gosec // sanitized
}

// colour marks the lines of diff blocks, as GitHub does.
func colour(html string) string {
	const begin, end = `<code class="language-diff">`, "</code>"
	before, rest, found := strings.Cut(html, begin)
	if !found {
		return html
	}
	block, after, _ := strings.Cut(rest, end)
	var out strings.Builder
	for line := range strings.Lines(block) {
		class := map[byte]string{'-': "del", '+': "ins", '!': "warn"}[line[0]]
		fmt.Fprintf(&out, `<span class="%s">%s</span>`, class, line)
	}
	return before + begin + out.String() + end + colour(after)
}

// runView is a check run as people see it.
type runView struct {
	ghfake.CheckRun
	Word, Class string
	Buttons     []ghfake.Button
	Remarks     []ghfake.Remark
	Took        string
	Repo        string
	Open        bool // its text shows at once
}

type checksView struct {
	Repo, SHA string
	Runs      []runView
	Older     int // runs that a newer of their name replaced
	Statuses  []ghfake.StatusView
	Verdict   string
	Class     string
}

// words says how a run is shown: GitHub's words, and the class of its sign.
func words(status, conclusion string) (word, class string) {
	if status != "completed" {
		return map[string]string{"queued": "Queued", "in_progress": "In progress"}[status], "going"
	}
	class = map[string]string{"success": "good", "failure": "bad", "timed_out": "bad", "action_required": "bad", "neutral": "plain", "skipped": "plain", "cancelled": "plain", "stale": "plain"}[conclusion]
	word = map[string]string{
		"success": "Successful", "failure": "Failing", "timed_out": "Timed out", "action_required": "Action required", "neutral": "Neutral", "skipped": "Skipped",
		"cancelled": "Cancelled", "stale": "Stale",
	}[conclusion]
	return word, class
}

func (s *Site) checks(repo *ghfake.Repository, sha string) checksView {
	v := checksView{Repo: repo.FullName(), SHA: sha, Statuses: repo.Statuses(sha), Verdict: "No checks yet", Class: "plain"}
	all := repo.CheckRuns(sha)
	newest := map[string]int64{}
	for _, r := range all {
		newest[r.Name] = r.ID
	}
	rank := map[string]int{"bad": 0, "going": 1, "plain": 2, "good": 3}
	worst := 4
	for _, r := range all {
		if newest[r.Name] != r.ID {
			v.Older++
			continue
		}
		x := runView{CheckRun: r, Repo: v.Repo}
		x.Word, x.Class = words(r.Status, r.Conclusion)
		buttons, remarks := s.gh.Details(r.ID)
		if x.Remarks = remarks; r.Status == "completed" {
			x.Buttons = buttons
			if !r.Started.IsZero() {
				x.Took = r.Completed.Sub(r.Started).Round(time.Second).String()
			}
		}
		x.Open = x.Class == "bad" || r.Name == "task graph"
		if n := rank[x.Class]; n < worst && (x.Class != "plain" || worst >= 4) {
			worst = n
		}
		v.Runs = append(v.Runs, x)
	}
	slices.SortStableFunc(v.Runs, func(a, b runView) int {
		return cmp.Or(rank[a.Class]-rank[b.Class], strings.Compare(a.Name, b.Name))
	})
	for _, st := range v.Statuses {
		if n, ok := map[string]int{"failure": 0, "error": 0, "pending": 1, "success": 3}[st.State]; ok {
			worst = min(worst, n)
		}
	}
	switch worst {
	case 0:
		v.Verdict, v.Class = "Some checks were not successful", "bad"
	case 1:
		v.Verdict, v.Class = "Some checks haven’t completed yet", "going"
	case 2, 3:
		v.Verdict, v.Class = "All checks have passed", "good"
	}
	return v
}

type homeView struct {
	Repos      []*ghfake.Repository
	Apps       []*ghfake.App
	Deliveries []ghfake.Delivery
	Calls      []ghfake.Call
	Complaints []string
}

func (s *Site) home(*http.Request) (string, string, any, error) {
	v := homeView{Repos: s.gh.Repositories(), Apps: s.gh.Apps(), Deliveries: s.gh.Delivered(), Calls: s.gh.Calls(), Complaints: s.gh.Complaints()}
	slices.Reverse(v.Deliveries)
	slices.Reverse(v.Calls)
	v.Deliveries, v.Calls = v.Deliveries[:min(len(v.Deliveries), 30)], v.Calls[:min(len(v.Calls), 30)]
	return "GitHub, the double", "home", v, nil
}

type repoView struct {
	Repo     string
	Branch   string
	Branches []string
	Clone    string
	Role     string
	Pulls    []ghfake.PullView
	Commits  []bare.Commit
	Files    []string
}

func (s *Site) repository(r *http.Request) (string, string, any, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", "", nil, err
	}
	v := repoView{Repo: repo.FullName(), Branch: r.FormValue("branch"), Clone: repo.CloneURL(), Role: repo.Role(s.me(r).Login), Pulls: repo.Pulls()}
	if v.Branch == "" {
		v.Branch = repo.DefaultBranch()
	}
	if repo.Head(v.Branch) == "" {
		return "", "", nil, errNothing
	}
	if v.Branches, err = repo.Branches(); err != nil {
		return "", "", nil, err
	}
	if v.Commits, err = repo.Log(v.Branch, 10); err != nil {
		return "", "", nil, err
	}
	v.Files, err = repo.Files(v.Branch)
	return v.Repo, "repository", v, err
}

type editView struct {
	Repo, File, Ref, Text string
	Pull                  int // whose branch is changed; 0 for none
	Fork                  bool
	MayWrite              bool
	New                   string // a branch that is free
}

func (s *Site) edit(r *http.Request) (string, string, any, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", "", nil, err
	}
	v := editView{Repo: repo.FullName(), File: r.PathValue("rest"), Ref: r.FormValue("ref")}
	from := repo
	if _, p := repo.Pull(atoi(r.FormValue("pull"))); p.Number > 0 {
		v.Pull, v.Ref, v.Fork = p.Number, p.Branch, p.Fork
		if from = s.gh.Repository(p.From); from == nil {
			return "", "", nil, problem{http.StatusUnprocessableEntity, "The repository that the pull request came from is gone."}
		}
	}
	if v.Ref == "" {
		v.Ref = repo.DefaultBranch()
	}
	if v.Text, err = from.File(v.Ref, v.File); err != nil {
		v.Text = "" // a new file
	}
	me := s.me(r)
	v.MayWrite = slices.Contains([]string{"admin", "maintain", "write"}, repo.Role(me.Login))
	v.New = fmt.Sprintf("%s-patch-%d", me.Login, len(repo.Pulls())+1)
	return "Edit " + v.File, "edit", v, nil
}

type pullView struct {
	ghfake.PullView
	Repo     string
	Checks   checksView
	Queue    checksView // of the merge group
	Queued   bool
	Comments []ghfake.Comment
	Files    []string
	MayWrite bool
}

func (s *Site) pull(r *http.Request) (string, string, any, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", "", nil, err
	}
	p, shown := repo.Pull(number(r))
	if p == nil {
		return "", "", nil, errNothing
	}
	v := pullView{PullView: shown, Repo: repo.FullName(), Checks: s.checks(repo, shown.Head), Comments: repo.Comments(shown.Number)}
	v.MayWrite = slices.Contains([]string{"admin", "maintain", "write"}, repo.Role(s.me(r).Login))
	if g := s.group(repo, shown.Number); g != nil && shown.State == "open" {
		v.Queued, v.Queue = true, s.checks(repo, g.Head)
	}
	if from := s.gh.Repository(shown.From); from != nil {
		if v.Files, err = from.Files(shown.Head); err != nil {
			return "", "", nil, err
		}
	}
	return fmt.Sprintf("%s #%d", shown.Title, shown.Number), "pull", v, nil
}

type commitView struct {
	Repo   string
	Commit bare.Commit
	Checks checksView
}

func (s *Site) commitPage(r *http.Request) (string, string, any, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", "", nil, err
	}
	list, err := repo.Log(r.PathValue("sha"), 1)
	if err != nil || len(list) == 0 {
		return "", "", nil, errNothing
	}
	return list[0].SHA[:10], "commit", commitView{repo.FullName(), list[0], s.checks(repo, list[0].SHA)}, nil
}
