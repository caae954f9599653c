package jobs

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

// pushJSON is a push for the script; shell/data.ts describes it.
type pushJSON struct {
	ID             int64          `json:"id"`
	Revision       string         `json:"revision"`
	Base           string         `json:"base"`
	Branch         string         `json:"branch"`
	Author         string         `json:"author"`
	Email          string         `json:"email"`
	Message        string         `json:"message"`
	Commits        []push.Commit  `json:"commits"`
	Time           int64          `json:"time"`
	State          push.State     `json:"state"`
	GroupID        string         `json:"groupId"`
	Groups         []string       `json:"groups"` // its own first, then those of cron
	Error          *push.Error    `json:"error"`
	DecisionMillis int64          `json:"decisionMillis"`
	Counts         map[string]int `json:"counts"`  // tasks by state
	Columns        *cell.Columns  `json:"columns"` // its tasks; nil: to be asked for
	Classes        []classJSON    `json:"classes"` // what was said of its tasks
	Known          []string       `json:"known"`   // names of what failed in the push before, as far as that was looked at

	cells []cell.Cell
}

// classJSON is what was said of a task; shell/data.ts describes it.
type classJSON struct {
	ID    int64        `json:"id"`
	Task  string       `json:"task"`
	Class triage.Class `json:"class"`
	Bug   string       `json:"bug"`
	Note  string       `json:"note"`
	By    string       `json:"by"`
	Time  int64        `json:"time"`
}

type jobsJSON struct {
	Repo   string     `json:"repo"`
	Pushes []pushJSON `json:"pushes"`
	Older  bool       `json:"older"`
}

// eager is how many tasks go out at once: those of the pushes that one sees first. The others are asked for as they
// come near the view.
const eager = 12_000

func (ps *Pages) readJobs(v *page.Visit) (jobsJSON, push.Repository, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return jobsJSON{}, push.Repository{}, err
	}
	ctx, q := v.R.Context(), v.R.URL.Query()
	repo, err := ps.Push.Repository(ctx, q.Get("repo"))
	if err != nil {
		if errors.Is(err, fault.NotFound) {
			err = fault.New(fault.NotFound, "There is no repository %q here.", q.Get("repo"))
		}
		return jobsJSON{}, repo, err
	}
	c, err := ps.choosePushes(ctx, repo.Name, q)
	if err != nil {
		return jobsJSON{}, repo, err
	}
	data := jobsJSON{Repo: repo.Name, Older: c.older, Pushes: make([]pushJSON, len(c.list))}
	byCron, err := ps.cronGroups(v, repo.Name, c.list)
	if err != nil {
		return data, repo, err
	}
	for i, p := range c.list {
		data.Pushes[i] = pushOf(p, byCron[p.ID])
		for _, group := range data.Pushes[i].Groups {
			if err := v.Allow(scope.String("queue:list-task-group:" + group)); err != nil {
				return data, repo, err
			}
		}
	}
	if q.Get("nojobs") != "" {
		return data, repo, nil
	}
	r := &reading{Pages: ps, repo: repo.Name, chosen: c, pushes: data.Pushes, all: q.Get("push") != "" && q.Get("cells") != "0", none: q.Get("cells") == "0"}
	return data, repo, r.read(ctx)
}

func pushOf(p push.Push, byCron []string) pushJSON {
	out := pushJSON{
		ID: p.ID, Revision: p.Revision, Base: p.Base, Branch: p.Branch, Author: p.Author, Email: p.Email, Message: p.Message, Commits: p.Commits,
		Time: p.Time.UnixMilli(), State: p.State, GroupID: p.TaskGroupID, Error: p.Error, DecisionMillis: p.DecisionMillis,
		Groups: []string{}, Counts: map[string]int{}, Classes: []classJSON{}, Known: []string{},
	}
	if p.Commits == nil {
		out.Commits = []push.Commit{}
	}
	if p.TaskGroupID != "" {
		out.Groups = append(out.Groups, p.TaskGroupID)
	}
	out.Groups = append(out.Groups, byCron...)
	return out
}

// cronGroups are the task groups that jobs of .cron.yml made at pushes, by push.
func (ps *Pages) cronGroups(v *page.Visit, repo string, list []push.Push) (map[int64][]string, error) {
	if ps.Cron == nil || len(list) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	runs, err := ps.Cron.OfPushes(v.R.Context(), repo, ids)
	out := map[int64][]string{}
	for _, r := range runs {
		out[r.PushID] = append(out[r.PushID], r.TaskGroupID)
	}
	return out, err
}

// reading fills pushes with their tasks. However many there are, it takes the same few statements.
type reading struct {
	*Pages
	repo      string
	chosen    chosen
	pushes    []pushJSON
	all, none bool // with every push's tasks, or with counts only

	mu    sync.Mutex
	cells map[string][]cell.Cell // by group
}

func (r *reading) read(ctx context.Context) error {
	groups := r.groups(0, len(r.pushes))
	if len(groups) == 0 {
		for i := range r.pushes {
			r.pushes[i].Columns = cell.Pack(nil)
		}
		return nil
	}
	r.cells = map[string][]cell.Cell{}
	var counts map[string]queue.Counts
	var classes map[string]triage.Classification
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { counts, err = r.Queue.GroupCounts(gctx, groups); return err })
	g.Go(func() (err error) { classes, err = r.Triage.InGroups(gctx, groups); return err })
	first := r.firstTasks()
	g.Go(func() error { return r.load(gctx, r.groups(0, first)) })
	if err := g.Wait(); err != nil {
		return err
	}
	taken := r.take(counts, first)
	if err := r.load(ctx, r.groups(first, taken)); err != nil {
		return err
	}
	for i := range r.pushes {
		p := &r.pushes[i]
		if i < taken {
			p.fill(r.cells)
		} else {
			p.count(counts)
		}
		for _, c := range classes {
			if contains(p.Groups, c.TaskGroupID) {
				p.Classes = append(p.Classes, classOf(c))
			}
		}
	}
	g, gctx = errgroup.WithContext(ctx)
	g.Go(func() error { return r.cancelled(gctx, taken) })
	g.Go(func() error { return r.known(gctx, taken) })
	return g.Wait()
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func classOf(c triage.Classification) classJSON {
	return classJSON{c.ID, c.TaskID, c.Class, c.Bug, c.Note, c.By, c.Time.UnixMilli()}
}

// groups are the task groups of the pushes from one to before another.
func (r *reading) groups(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, r.pushes[i].Groups...)
	}
	return list
}

// firstTasks is up to which push tasks are read before all are counted: the first that has any.
func (r *reading) firstTasks() int {
	if r.none {
		return 0
	}
	for i := range r.pushes {
		if len(r.pushes[i].Groups) > 0 {
			return i + 1
		}
	}
	return 0
}

// take is up to which push tasks go out.
func (r *reading) take(counts map[string]queue.Counts, first int) int {
	if r.all {
		return len(r.pushes)
	}
	if r.none {
		return 0
	}
	total := 0
	for i := range r.pushes {
		for _, group := range r.pushes[i].Groups {
			for _, n := range counts[group] {
				total += n
			}
		}
		if total > eager && i >= first {
			return i
		}
	}
	return len(r.pushes)
}

func (r *reading) load(ctx context.Context, groups []string) error {
	cells, err := r.shelf.List(ctx, groups)
	r.mu.Lock()
	defer r.mu.Unlock()
	for group, list := range cells {
		r.cells[group] = list
	}
	return err
}

// fill gives a push its tasks.
func (p *pushJSON) fill(cells map[string][]cell.Cell) {
	for _, group := range p.Groups {
		p.cells = append(p.cells, cells[group]...)
	}
	for i := range p.cells {
		p.Counts[p.cells[i].State]++
	}
	p.Columns = cell.Pack(p.cells)
}

// count gives a push its numbers alone.
func (p *pushJSON) count(counts map[string]queue.Counts) {
	for _, group := range p.Groups {
		for state, n := range counts[group] {
			name := string(state)
			if state == task.Completed {
				name = "passed"
			}
			p.Counts[name] += n
		}
	}
}

// cancelled tells, of pushes that are only counted, what was cancelled from what else ended without an outcome.
func (r *reading) cancelled(ctx context.Context, taken int) error {
	of := map[string]*pushJSON{}
	var groups []string
	for i := taken; i < len(r.pushes); i++ {
		p := &r.pushes[i]
		if p.Counts["exception"] > 0 {
			groups = append(groups, p.Groups...)
			for _, g := range p.Groups {
				of[g] = p
			}
		}
	}
	return r.Queue.Cells(ctx, cells.Look{Groups: groups, States: []task.State{task.Exception}, Bare: true}, func(c *cells.Cell) {
		if c.Last != nil && (c.Last.ReasonResolved == task.ReasonCanceled) {
			of[c.TaskGroupID].Counts["exception"]--
			of[c.TaskGroupID].Counts["cancelled"]++
		}
	})
}

// known names, for each push whose tasks go out, what failed in the push before.
func (r *reading) known(ctx context.Context, taken int) error {
	before := map[string][]*pushJSON{} // by group of the push before
	var groups []string
	for i := range taken {
		p := &r.pushes[i]
		if p.Counts["failed"]+p.Counts["exception"] == 0 {
			continue
		}
		group, err := r.before(ctx, p)
		if err != nil {
			return err
		}
		if group != "" {
			before[group] = append(before[group], p)
			groups = append(groups, group)
		}
	}
	return r.Queue.Cells(ctx, cells.Look{Groups: groups, States: []task.State{task.Failed, task.Exception}}, func(c *cells.Cell) {
		for _, p := range before[c.TaskGroupID] {
			p.Known = append(p.Known, cell.Name(c.Name, c.TaskID))
		}
	})
}

// before finds the task group of the push that a push follows; "" where it was not looked at.
func (r *reading) before(ctx context.Context, p *pushJSON) (string, error) {
	for _, lists := range [][]push.Push{r.chosen.list, r.chosen.near} {
		for _, b := range lists {
			if b.Revision == p.Base && b.ID < p.ID {
				return b.TaskGroupID, nil
			}
		}
	}
	// A page of many pushes has read those before along the way; one push alone asks for the one before it.
	if p.Base == "" || len(r.pushes) != 1 {
		return "", nil
	}
	b, err := r.Push.ByRevision(ctx, r.repo, p.Base)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	return b.TaskGroupID, err
}
