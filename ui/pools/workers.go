package pools

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// row is a worker in the table; ui/src/pools/workers.ts describes it. Times are milliseconds since 1970, 0 for none.
type row struct {
	Group    string `json:"g"`
	ID       string `json:"i"`
	State    string `json:"s"` // working, idle, away, requested, stopping, stopped
	Held     int64  `json:"q,omitempty"`
	Running  int    `json:"n,omitempty"`
	Capacity int    `json:"c,omitempty"`
	TaskID   string `json:"t,omitempty"`
	RunID    int    `json:"r,omitempty"`
	Task     string `json:"tn,omitempty"`
	Outcome  string `json:"ts,omitempty"` // state of the last task, as cells have it
	Since    int64  `json:"u,omitempty"`  // when it came up
	Last     int64  `json:"l,omitempty"`  // when it asked for work last
	Runs     int    `json:"rn,omitempty"`
	Failed   int    `json:"rf,omitempty"`
	Suspect  bool   `json:"x,omitempty"`
	Errors   int    `json:"e,omitempty"`
	Config   string `json:"lc,omitempty"`

	seen *gauge.Worker // nil: it has not asked for work
}

// Href is the page of the worker.
func (r row) href(pool string) string { return WorkerPath(pool, r.Group, r.ID) }

// table is all workers of a pool.
type table struct {
	Rows    []row  `json:"rows"`
	Pool    string `json:"pool"`
	Rate    string `json:"rate"` // part of the pool's last runs that failed
	Runs    int    `json:"runs"`
	Now     int64  `json:"now"` // when it was read, by this server
	MayHold string `json:"mayHold"`
	MayEnd  string `json:"mayEnd"` // what is missing for it, "" when nothing is
	Late    bool   `json:"late"`   // what the workers did is not there yet: it takes a while to read
}

// fewWorkers is how many may be asked about what they did while a page waits.
const fewWorkers = 1000

// depth is how much a table tells of what its workers did.
type depth int

const (
	tellSoon  depth = iota // of many workers nothing that takes a while: the last tasks of the first, and see table.Late
	tellNamed              // the last task of each, and what is known of their record
	tellWhole              // their record too, however long that takes
)

// workers reads the workers of a pool or task queue: those that asked for work, and those that its provider makes.
func (ps *Pages) workers(ctx context.Context, s *subject, to depth) (*table, error) {
	if err := ps.Queue.Roster().Flush(ctx); err != nil {
		return nil, err
	}
	seen, made, errs, err := ps.everybody(ctx, s)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	did, err := ps.record(ctx, s.ID, len(seen), to == tellWhole)
	if err != nil {
		return nil, err
	}
	late := did == nil
	if late {
		did = &gauge.Record{}
	}
	t := &table{Pool: s.ID, Rate: rate(did.All.Rate()), Runs: did.All.Runs, Late: late, Now: now.UnixMilli(), Rows: make([]row, 0, len(seen)+len(made))}
	for i := range seen {
		w := &seen[i]
		r := rowOf(w, now)
		name := w.Name()
		own := did.Of[name]
		r.Runs, r.Failed, r.Suspect = own.Runs, own.Failed, gauge.Suspect(own, did.All, len(seen))
		r.Errors = errs[name]
		if m := made[name]; m != nil {
			r.join(m)
			delete(made, name)
		}
		t.Rows = append(t.Rows, r)
	}
	for name, m := range made {
		r := row{Group: m.WorkerGroup, ID: m.WorkerID, Errors: errs[name], Since: m.Created.UnixMilli()}
		r.join(m)
		t.Rows = append(t.Rows, r)
	}
	slices.SortFunc(t.Rows, byName)
	first := t.Rows
	if to == tellSoon && len(t.Rows) > fewWorkers {
		first, t.Late = t.Rows[:rowsShown], true
	}
	if err := ps.nameTasks(ctx, first); err != nil {
		return nil, err
	}
	if len(t.Rows) > fewWorkers {
		ps.tables.keep(t, s.Pool != nil)
	}
	return t, nil
}

// everybody reads who asked for work, who was made, and what errors they had, at once.
func (ps *Pages) everybody(ctx context.Context, s *subject) (seen []gauge.Worker, made map[string]*manager.Brief, errs map[string]int, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { seen, err = ps.Gauge.Workers(ctx, s.ID); return err })
	if s.Pool != nil {
		g.Go(func() (err error) { made, err = ps.made(ctx, s); return err })
		g.Go(func() (err error) { errs, err = ps.Pools.WorkerErrors(ctx, s.ID); return err })
	}
	return seen, made, errs, g.Wait()
}

// nameTasks fills in the last tasks of workers of which they are not known yet.
func (ps *Pages) nameTasks(ctx context.Context, list []row) error {
	var at []int
	var of []*gauge.Worker
	for i := range list {
		if w := list[i].seen; w != nil && w.Latest.TaskID != "" && w.Latest.State == "" {
			at, of = append(at, i), append(of, w)
		}
	}
	if len(of) == 0 {
		return nil
	}
	if err := ps.Gauge.Latest(ctx, of); err != nil {
		return err
	}
	for j, i := range at {
		list[i].did(of[j].Latest)
	}
	return nil
}

// tables keeps large tables for a moment: a page's script asks for what its outline was made of.
type tables struct {
	mu   sync.Mutex
	last map[tableKey]lastTable
}

type lastTable struct {
	table
	at time.Time
}

// tableKey tells tables of the same pool apart: not everybody may see what its provider made.
type tableKey struct {
	pool string
	made bool
}

const tableAge = 10 * time.Second

func (ts *tables) of(pool string, made bool) *table {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	key := tableKey{pool, made}
	t, ok := ts.last[key]
	if !ok || time.Since(t.at) > tableAge {
		delete(ts.last, key)
		return nil
	}
	return &t.table
}

func (ts *tables) keep(t *table, made bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.last == nil || len(ts.last) > 20 {
		ts.last = map[tableKey]lastTable{}
	}
	ts.last[tableKey{t.Pool, made}] = lastTable{*t, time.Now()}
}

// changed forgets the table of a pool in which something was done.
func (ts *tables) changed(pool string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.last, tableKey{pool, true})
	delete(ts.last, tableKey{pool, false})
}

// record is what the workers of a task queue did lately; nil when that is not known and nobody waits for it.
func (ps *Pages) record(ctx context.Context, id string, workers int, wait bool) (*gauge.Record, error) {
	if wait || workers <= fewWorkers {
		return ps.Gauge.Record(ctx, id)
	}
	return ps.Gauge.Known(id), nil
}

func byName(a, b row) int { return cmp.Or(natural(a.Group, b.Group), natural(a.ID, b.ID)) }

// natural compares names as people count: "w-2" is before "w-10".
func natural(a, b string) int {
	digits := func(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
	for a != "" && b != "" {
		if n, m := digits(a), digits(b); n > 0 && m > 0 {
			x, y := strings.TrimLeft(a[:n], "0"), strings.TrimLeft(b[:m], "0")
			if c := cmp.Or(len(x)-len(y), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[n:], b[m:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// made are the workers that a pool's provider made, by group and id.
func (ps *Pages) made(ctx context.Context, s *subject) (map[string]*manager.Brief, error) {
	if s.Pool == nil {
		return nil, nil
	}
	list, err := ps.Pools.Briefs(ctx, s.ID)
	made := make(map[string]*manager.Brief, len(list))
	for i := range list {
		made[list[i].WorkerGroup+"/"+list[i].WorkerID] = &list[i]
	}
	return made, err
}

func rowOf(w *gauge.Worker, now time.Time) row {
	r := row{seen: w, Group: w.Group, ID: w.ID, Running: w.Running, Since: w.First.UnixMilli(), Last: w.Last.UnixMilli()}
	if !w.Quarantine.IsZero() {
		r.Held = w.Quarantine.UnixMilli()
	}
	switch {
	case w.Running > 0:
		r.State = "working"
	case now.Sub(w.Last) < gauge.SeenWithin:
		r.State = "idle"
	default:
		r.State = "away"
	}
	return r
}

// did notes a worker's last task.
func (r *row) did(l gauge.Latest) {
	if r.TaskID, r.RunID, r.Task = l.TaskID, l.RunID, l.Name; r.TaskID != "" {
		r.Outcome = stateOf(l.State)
	}
}

// stateOf names a run's state as cells do.
func stateOf(s task.State) string {
	if s == task.Completed {
		return "passed"
	}
	return string(s)
}

// join adds what a worker's pool knows of it.
func (r *row) join(m *manager.Brief) {
	r.Config, r.Capacity = m.LaunchConfigID, m.Capacity
	if !m.Registered.IsZero() {
		r.Since = m.Registered.UnixMilli()
	}
	if m.State != manager.Running {
		r.State = string(m.State)
	} else if r.State == "" {
		r.State = "idle"
	}
}

// workersTab is the workers as far as the page shows them without script.
type workersTab struct {
	table
	Sort, Filter string
	Q            string
	Filters      []string
	Columns      [][2]string
	Shown        []workerRow
	Count        int
	Held         int
	Suspects     []workerRow
	Next, Prev   string
	Until        string // what the form of quarantines proposes
	Reason       string
	Results      []result
	Why          string // they may not be seen
}

type workerRow struct {
	row
	Href              string
	TaskHref          string
	Mark, Word        string // status
	HeldUntil         time.Time
	Up                string
	FailedText        string
	LastSeen          time.Time
	OutcomeWord, Name string
}

const (
	rowsShown    = 100
	defaultHold  = 24 * time.Hour
	untilPattern = "2006-01-02T15:04"
)

func (ps *Pages) workersTab(v *page.Visit, s *subject) (*workersTab, error) {
	q := v.R.URL.Query()
	t := &workersTab{Filters: filters(), Columns: columns(), Sort: q.Get("sort"), Filter: q.Get("show"), Q: q.Get("q"), Until: time.Now().UTC().Add(defaultHold).Format(untilPattern)}
	if err := v.Allow(seeWorkers(s.ID)); err != nil {
		t.Why = fault.Message(err)
		return t, nil
	}
	to := tellSoon
	if strings.TrimPrefix(t.Sort, "-") == "task" {
		to = tellNamed
	}
	all, err := ps.workers(v.R.Context(), s, to)
	if err != nil {
		return nil, err
	}
	t.table, t.Count = *all, len(all.Rows)
	t.MayHold, t.MayEnd = ps.may(v, s, all.Rows)
	now := time.Now()
	var list []row
	for _, r := range all.Rows {
		if r.Held > 0 {
			t.Held++
		}
		if r.Suspect {
			t.Suspects = append(t.Suspects, r.view(s.ID, now))
		}
		if r.fits(t.Filter, strings.ToLower(t.Q)) {
			list = append(list, r)
		}
	}
	sortRows(list, t.Sort)
	from, _ := strconv.Atoi(q.Get("from"))
	from = max(0, min(from, len(list)))
	until := min(len(list), from+rowsShown)
	if err := ps.nameTasks(v.R.Context(), list[from:until]); err != nil {
		return nil, err
	}
	for _, r := range list[from:until] {
		t.Shown = append(t.Shown, r.view(s.ID, now))
	}
	at := func(from int) string {
		next := url.Values{"tab": {"workers"}, "from": {strconv.Itoa(from)}}
		for _, k := range []string{"sort", "show", "q"} {
			if x := q.Get(k); x != "" {
				next.Set(k, x)
			}
		}
		return Path(s.ID) + "?" + next.Encode()
	}
	if until < len(list) {
		t.Next = at(until)
	}
	if from > 0 {
		t.Prev = at(max(0, from-rowsShown))
	}
	return t, nil
}

// filters are what workers can be shown by; "" is all.
func filters() []string {
	return []string{"", "working", "idle", "away", "quarantined", "suspect", "requested", "stopping", "stopped"}
}

// columns are by what they can be sorted, as sortRows has it.
func columns() [][2]string {
	return [][2]string{{"worker", "Worker"}, {"state", "State"}, {"held", "Quarantine"}, {"task", "Last task"}, {"uptime", "Up"}, {"failures", "Failed"}, {"errors", "Errors"}}
}

func (r row) fits(filter, text string) bool {
	if text != "" && !strings.Contains(strings.ToLower(r.Group+"/"+r.ID), text) {
		return false
	}
	switch filter {
	case "", "all":
		return true
	case "quarantined":
		return r.Held > 0
	case "suspect":
		return r.Suspect
	}
	return r.State == filter
}

// sortRows sorts by a column; "-" before it turns the order around.
func sortRows(list []row, by string) {
	key, sign := strings.TrimPrefix(by, "-"), 1
	if key != by {
		sign = -1
	}
	order := map[string]func(a, b row) int{
		"worker":   byName,
		"state":    func(a, b row) int { return strings.Compare(a.State, b.State) },
		"held":     func(a, b row) int { return cmp.Compare(b.Held, a.Held) },
		"task":     func(a, b row) int { return strings.Compare(a.Task, b.Task) },
		"uptime":   func(a, b row) int { return cmp.Compare(a.Since, b.Since) },
		"last":     func(a, b row) int { return cmp.Compare(b.Last, a.Last) },
		"failures": func(a, b row) int { return cmp.Compare(b.failing(), a.failing()) },
		"errors":   func(a, b row) int { return b.Errors - a.Errors },
	}[key]
	if order == nil {
		return
	}
	slices.SortStableFunc(list, func(a, b row) int { return sign * order(a, b) })
}

func (r row) failing() float64 {
	return gauge.Outcomes{Runs: r.Runs, Failed: r.Failed}.Rate() + float64(r.Failed)/1e6
}

// marks are the shapes of a worker's states.
var marks = map[string]string{
	"working": "running", "idle": "passed", "away": "unscheduled", "requested": "pending", "stopping": "cancelled", "stopped": "cancelled",
}

func (r row) view(pool string, now time.Time) workerRow {
	w := workerRow{row: r, Href: r.href(pool), Mark: marks[r.State], Word: r.State, Name: r.Group + "/" + r.ID, OutcomeWord: prose.Word(r.Outcome)}
	if r.TaskID != "" {
		w.TaskHref = "/tasks/" + r.TaskID + "/runs/" + strconv.Itoa(r.RunID)
	}
	if r.Held > 0 {
		w.HeldUntil = time.UnixMilli(r.Held)
	}
	if r.Last > 0 {
		w.LastSeen = time.UnixMilli(r.Last)
	}
	if r.Since > 0 && r.State != "stopped" && r.State != "away" {
		w.Up = length(now.Sub(time.UnixMilli(r.Since)))
	}
	if r.Runs > 0 {
		w.FailedText = strconv.Itoa(r.Failed) + " of " + strconv.Itoa(r.Runs)
	}
	return w
}

func holdScope(pool, group, id string) scope.Expr {
	return scope.String("queue:quarantine-worker:" + pool + "/" + group + "/" + id)
}

func endScope(pool, group, id string) scope.Expr {
	return scope.String("worker-manager:remove-worker:" + pool + "/" + group + "/" + id)
}

// may says what a visitor lacks to act on workers: nothing when they may on any of them.
func (ps *Pages) may(v *page.Visit, s *subject, rows []row) (hold, end string) {
	missing := func(what func(pool, group, id string) scope.Expr) string {
		for _, r := range rows {
			if v.Allow(what(s.ID, r.Group, r.ID)) == nil {
				return ""
			}
		}
		return fault.Message(v.Allow(what(s.ID, "*", "*")))
	}
	if len(rows) == 0 {
		return "", ""
	}
	hold, end = missing(holdScope), "The workers of a task queue without a pool are ended where they run."
	if s.Pool != nil {
		end = missing(endScope)
	}
	return hold, end
}

// workersData is all workers, for the script.
func (ps *Pages) workersData(v *page.Visit) (any, error) {
	id := v.R.FormValue("pool")
	s, err := ps.who(v, id)
	if err != nil {
		return nil, err
	}
	if err := v.Allow(seeWorkers(id)); err != nil {
		return nil, err
	}
	first, to := v.R.FormValue("first") != "", tellNamed
	var t *table
	switch {
	case first:
		to, t = tellSoon, ps.tables.of(id, s.Pool != nil)
	case v.R.FormValue("wait") != "":
		to = tellWhole
	}
	if t == nil {
		if t, err = ps.workers(v.R.Context(), s, to); err != nil {
			return nil, err
		}
	}
	t.MayHold, t.MayEnd = ps.may(v, s, t.Rows)
	return t, nil
}
