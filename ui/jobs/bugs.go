package jobs

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/triage/bugs"
	"github.com/treeline-ci/treeline/ui/page"
)

// Limits of suggestions.
const (
	maxUsed     = 5 // bugs of a line that were used before
	maxSearched = 5 // lines that the tracker is asked about
)

// usedJSON is a bug that was given for the same failure before; shell/bugs.ts describes it.
type usedJSON struct {
	Bug   string `json:"bug"`
	URL   string `json:"url"` // "" for a bug without an address
	Times int    `json:"times"`
}

// suggestedJSON is what a line of a failure could be; shell/bugs.ts describes it.
type suggestedJSON struct {
	Used  []usedJSON `json:"used"`
	Found []bugs.Bug `json:"found"`
	Why   string     `json:"why"` // the tracker was not asked, or did not answer
}

// trackerJSON is the bug tracker; shell/bugs.ts describes it.
type trackerJSON struct {
	Name    string    `json:"name"` // "" for none
	Form    bugs.Form `json:"form"`
	CanFile bool      `json:"canFile"` // by the server
	Why     string    `json:"why"`     // why the visitor may not have it do that
}

func mayFile(repository string) scope.Expr { return scope.String("triage:file-bug:" + repository) }

// suggest says which bugs the lines of a run's failure could be: those given for the same signature before and, with search=1
// for who has signed in, what the tracker finds.
func (ps *Pages) suggest(v *page.Visit) (any, error) {
	id, ctx := v.R.PathValue("task"), v.R.Context()
	run, err := strconv.Atoi(v.R.FormValue("run"))
	if !slug.Valid(id) || err != nil || run < 0 {
		return nil, page.ErrNoPage
	}
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:get-artifact:public/logs/live.log")); err != nil {
		return nil, err
	}
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	lines, _, err := ps.Failures.OfRun(ctx, id, run)
	if err != nil {
		return nil, err
	}
	lines = lines[:min(len(lines), maxLines)]
	out := make([]suggestedJSON, len(lines))
	if err := ps.used(ctx, id, lines, out); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Found = []bugs.Bug{}
	}
	if ps.Bugs != nil && v.R.FormValue("search") != "" {
		ps.search(ctx, v, lines, out)
	}
	tracker, err := ps.tracker(v, id)
	return map[string]any{"lines": out, "tracker": tracker}, err
}

// used counts the bugs that people gave for tasks that failed in the same way.
func (ps *Pages) used(ctx context.Context, id string, lines []failures.Line, out []suggestedJSON) error {
	signatures := make([]string, len(lines))
	for i, l := range lines {
		signatures[i] = l.Signature
	}
	alike, err := ps.Failures.Alike(ctx, signatures, id)
	if err != nil {
		return err
	}
	var tasks []string
	for _, list := range alike {
		tasks = append(tasks, list...)
	}
	slices.Sort(tasks)
	said, err := ps.Triage.Of(ctx, slices.Compact(tasks))
	if err != nil {
		return err
	}
	for i, signature := range signatures {
		times := map[string]int{}
		for _, t := range alike[signature] {
			if bug := said[t].Bug; bug != "" {
				times[bug]++
			}
		}
		list := make([]usedJSON, 0, len(times))
		for bug, n := range times {
			list = append(list, usedJSON{bug, ps.linkOf(bug), n})
		}
		slices.SortFunc(list, func(a, b usedJSON) int { return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Bug, b.Bug)) })
		out[i].Used = list[:min(len(list), maxUsed)]
	}
	return nil
}

// linkOf is where a bug stands: in the tracker, or where it says itself.
func (ps *Pages) linkOf(bug string) string {
	if ps.Bugs != nil {
		if link := ps.Bugs.Link(bug); link != "" {
			return link
		}
	}
	if page.IsWeb(bug) {
		return bug
	}
	return ""
}

// search asks the tracker about the first lines. It is told when it cannot answer: the page does without.
func (ps *Pages) search(ctx context.Context, v *page.Visit, lines []failures.Line, out []suggestedJSON) {
	var g errgroup.Group
	for i, l := range lines[:min(len(lines), maxSearched)] {
		words := bugs.Words(l.Test, l.Message)
		switch {
		case v.Session.ClientID == "":
			out[i].Why = "Sign in to search the tracker."
		case words != "":
			g.Go(func() error {
				found, err := ps.Bugs.Search(ctx, words)
				if err != nil {
					out[i].Why = fault.Message(err)
					ps.Log.DebugContext(ctx, "the bug tracker was not of help", "err", err)
				} else {
					out[i].Found = found
				}
				return nil
			})
		}
	}
	_ = g.Wait() // each tells of its own error
}

// tracker is the tracker as far as the visitor may use it for a task.
func (ps *Pages) tracker(v *page.Visit, id string) (trackerJSON, error) {
	if ps.Bugs == nil {
		return trackerJSON{}, nil
	}
	out := trackerJSON{Name: ps.Bugs.Name(), Form: ps.Bugs.Form()}
	if !ps.Bugs.CanFile() {
		out.Why = "This server has no token for the tracker: it opens the tracker's form."
		return out, nil
	}
	repo, err := ps.repositoryOfTask(v.R.Context(), id)
	if err != nil {
		return out, err
	}
	if v.Allow(mayFile(repo)) != nil {
		out.Why = "To have the server file it takes the scope triage:file-bug:" + repo + "."
		return out, nil
	}
	out.CanFile = true
	return out, nil
}

func (ps *Pages) repositoryOfTask(ctx context.Context, id string) (string, error) {
	s, err := ps.Queue.Status(ctx, id)
	if err != nil {
		return "", err
	}
	return ps.repositoryOf(ctx, s.TaskGroupID)
}

// file has the tracker make a bug of a failure.
func (ps *Pages) file(v *page.Visit) (any, error) {
	id, ctx := v.R.PathValue("task"), v.R.Context()
	if !slug.Valid(id) {
		return nil, page.ErrNoPage
	}
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 256<<10)
	if err := v.Post(); err != nil {
		return nil, err
	}
	if ps.Bugs == nil || !ps.Bugs.CanFile() {
		return nil, fault.New(fault.Conflict, "This server cannot file bugs: it has no tracker, or no token for it.")
	}
	repo, err := ps.repositoryOfTask(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := v.Allow(mayFile(repo)); err != nil {
		return nil, err
	}
	n := bugs.New{Summary: v.R.PostFormValue("summary"), Description: v.R.PostFormValue("description")}
	made, err := ps.Filings.File(ctx, v.Session.ClientID, bugs.Failure{Repository: repo, TaskID: id}, n)
	if err != nil {
		return nil, err
	}
	ps.Log.InfoContext(ctx, "a person filed a bug", "task", id, "repository", repo, "bug", made.URL, "before", made.Before, "client", v.Session.ClientID)
	return map[string]any{"bug": made.Bug, "message": said(made, ps.Bugs.Name())}, nil
}

// said tells what became of a form.
func said(made bugs.Filed, tracker string) string {
	switch {
	case !made.Before:
		return "Filed " + made.ID + " at " + tracker + "."
	case made.By == "":
		return "It was filed: " + tracker + " has it as " + made.ID + "."
	}
	return made.By + " has filed this before: it is " + made.ID + " at " + tracker + "."
}
