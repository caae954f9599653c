package pools

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// workerBody is the page of a worker.
type workerBody struct {
	PoolHref        string
	CSRF, Action    string
	Pool            string
	Group, ID       string
	Row             workerRow
	Known           bool            // it asked for work, and is not forgotten
	Seen            roster.Worker   // as the queue knows it
	Made            *manager.Worker // as its pool knows it; nil: it does not
	Registered      time.Time
	Verdict         string
	Held            bool
	HeldUntil       time.Time
	History         []roster.Quarantine // the latest first
	Strip           []past
	Outcomes        gauge.Outcomes
	Rate, PoolRate  string
	PoolRuns        int
	Suspect         bool
	Errors          []manager.Error
	Until           string
	Problem, Done   string
	WhyHold, WhyEnd string
	HasPool         bool
}

// past is a run in the strip.
type past struct {
	gauge.Past
	Href, Mark, Word, Took string
}

func workerKey(v *page.Visit) roster.Key {
	return roster.Key{
		TaskQueueID: v.R.PathValue("provisioner") + "/" + v.R.PathValue("type"), WorkerGroup: v.R.PathValue("group"), WorkerID: v.R.PathValue("id"),
	}
}

// worker shows a worker.
func (ps *Pages) worker(v *page.Visit) error { return ps.showWorker(v, http.StatusOK, "") }

func (ps *Pages) showWorker(v *page.Visit, status int, problem string) error {
	k := workerKey(v)
	if err := v.Allow(scope.String("queue:get-worker:" + k.TaskQueueID + "/" + k.WorkerGroup + "/" + k.WorkerID)); err != nil {
		return err
	}
	stream := ps.Live.Path(v, "pool="+url.QueryEscape(k.TaskQueueID))
	b := &workerBody{
		PoolHref: Path(k.TaskQueueID), CSRF: v.Session.CSRF(), Action: WorkerPath(k.TaskQueueID, k.WorkerGroup, k.WorkerID), Pool: k.TaskQueueID, Group: k.WorkerGroup, ID: k.WorkerID,
		Until: time.Now().UTC().Add(defaultHold).Format(untilPattern), Problem: problem, Done: done[v.R.URL.Query().Get("done")],
	}
	s, err := ps.find(v, k.TaskQueueID)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return err
	}
	if s == nil {
		s = &subject{ID: k.TaskQueueID}
	}
	if err := ps.readWorker(v.R.Context(), b, s, k); err != nil {
		return err
	}
	if b.HasPool && v.Allow(seeErrors(k.TaskQueueID)) == nil {
		if err := ps.addErrors(v.R.Context(), b); err != nil {
			return err
		}
	}
	if err := v.Allow(holdScope(b.Pool, b.Group, b.ID)); err != nil {
		b.WhyHold = fault.Message(err)
	}
	if err := v.Allow(endScope(b.Pool, b.Group, b.ID)); err != nil {
		b.WhyEnd = fault.Message(err)
	}
	return v.Show(status, page.View{Title: "Worker " + k.WorkerID, Name: "worker", Stream: stream, Body: b}, map[string]string{"pool": k.TaskQueueID})
}

// readWorker reads what the queue and the pool know of a worker, and how it does beside the others.
func (ps *Pages) readWorker(ctx context.Context, b *workerBody, s *subject, k roster.Key) error {
	t, err := ps.workers(ctx, s, tellWhole)
	if err != nil {
		return err
	}
	b.PoolRate, b.PoolRuns = t.Rate, t.Runs
	found := false
	for _, r := range t.Rows {
		if r.Group == k.WorkerGroup && r.ID == k.WorkerID {
			b.Row, found = r.view(s.ID, time.Now()), true
		}
	}
	w, err := ps.Queue.Roster().Worker(ctx, k)
	switch b.Known = err == nil; {
	case b.Known:
		b.Seen = w
		for i := range w.QuarantineDetails {
			b.History = append(b.History, w.QuarantineDetails[len(w.QuarantineDetails)-1-i])
		}
	case !errors.Is(err, fault.NotFound):
		return err
	case !found:
		return err
	}
	b.Suspect, b.Outcomes = b.Row.Suspect, gauge.Outcomes{Runs: b.Row.Runs, Failed: b.Row.Failed}
	b.Rate = rate(b.Outcomes.Rate())
	b.Held, b.HeldUntil = b.Row.Held > 0, b.Row.HeldUntil
	if b.HasPool = s.Pool != nil; b.HasPool {
		m, err := ps.Pools.Worker(ctx, manager.Key{WorkerPoolID: k.TaskQueueID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID})
		if err == nil {
			b.Made = &m
			var at task.Time
			at, b.Verdict = m.Registered()
			b.Registered = at.Time
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
	}
	strip, err := ps.Gauge.Strip(ctx, k)
	for _, p := range strip {
		b.Strip = append(b.Strip, pastOf(p))
	}
	return err
}

func pastOf(p gauge.Past) past {
	state := prose.State(p.State, task.ReasonResolved(p.Reason))
	out := past{Past: p, Href: "/tasks/" + p.TaskID + "/runs/" + strconv.Itoa(p.RunID), Mark: state, Word: prose.Word(state)}
	if p.Reason != "" && p.State == task.Exception {
		out.Word = p.Reason
	}
	if !p.Started.IsZero() && !p.Resolved.IsZero() {
		out.Took = length(p.Resolved.Sub(p.Started))
	}
	return out
}

func (ps *Pages) addErrors(ctx context.Context, b *workerBody) error {
	list, err := ps.Pools.Errors(ctx, b.Pool, manager.ErrorFilter{}, 1000)
	for _, e := range list {
		var by struct {
			Group string `json:"workerGroup"`
			ID    string `json:"workerId"`
		}
		if decode(e.Extra, &by) && by.Group == b.Group && by.ID == b.ID && len(b.Errors) < 20 {
			b.Errors = append(b.Errors, e)
		}
	}
	return err
}

// postWorker does what a form on a worker's page asks for.
func (ps *Pages) postWorker(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	k := workerKey(v)
	if err := v.R.ParseForm(); err != nil {
		return fault.New(fault.BadArguments, "The form cannot be read: %v.", err)
	}
	v.R.PostForm["worker"] = []string{k.WorkerGroup + "/" + k.WorkerID}
	d, err := ps.readDeed(v, k.TaskQueueID)
	var list []result
	if err == nil {
		list, err = ps.do(v, d)
	}
	switch {
	case err != nil && fault.KindOf(err) == fault.Invalid:
		return ps.showWorker(v, http.StatusBadRequest, fault.Message(err))
	case err != nil:
		return err
	case !list[0].OK:
		return ps.showWorker(v, http.StatusConflict, list[0].Text)
	}
	return v.Redirect(WorkerPath(k.TaskQueueID, k.WorkerGroup, k.WorkerID) + "?done=" + map[string]string{"quarantine": "quarantined", "lift": "lifted", "terminate": "terminated"}[d.act])
}
