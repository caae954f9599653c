package pools

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
)

// result is what became of an act on one worker.
type result struct {
	Worker string `json:"worker"` // group and id
	Href   string `json:"href"`
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
}

const maxChosen = 5000 // workers of one act

// deed is what a form asks for to be done to workers.
type deed struct {
	pool   *subject
	act    string
	keys   []manager.Key
	until  time.Time
	reason string
}

// readDeed reads a form; its workers are group/id each.
func (ps *Pages) readDeed(v *page.Visit, id string) (d deed, err error) {
	if err := v.R.ParseForm(); err != nil {
		return d, fault.New(fault.BadArguments, "The form cannot be read: %v.", err)
	}
	form := v.R.PostForm
	d = deed{act: form.Get("act"), reason: strings.TrimSpace(form.Get("reason"))}
	if d.pool, err = ps.find(v, id); err != nil {
		return d, err
	}
	for _, name := range form["worker"] {
		group, worker, ok := strings.Cut(name, "/")
		if !ok {
			return d, fault.New(fault.BadArguments, "%q is no worker: it must be group/id", name)
		}
		d.keys = append(d.keys, manager.Key{WorkerPoolID: id, WorkerGroup: group, WorkerID: worker})
	}
	switch {
	case len(d.keys) == 0:
		return d, fault.New(fault.Invalid, "No worker is chosen: tick some first.")
	case len(d.keys) > maxChosen:
		return d, fault.New(fault.Invalid, "%d workers are chosen; at most %d can be done at once.", len(d.keys), maxChosen)
	}
	switch d.act {
	case "lift":
		d.until = time.Now().Add(-time.Second)
	case "quarantine":
		if d.until, err = readUntil(form); err != nil {
			return d, err
		}
		if d.reason == "" {
			return d, fault.New(fault.Invalid, "A quarantine needs a reason: whoever comes later wants to know.")
		}
	case "terminate":
	default:
		return d, fault.New(fault.BadArguments, "act must be quarantine, lift or terminate, not %q", d.act)
	}
	return d, nil
}

// readUntil reads when a quarantine ends: a time of UTC, or of the zone so many minutes from it that the script names.
func readUntil(form url.Values) (time.Time, error) {
	text := form.Get("until")
	for _, layout := range []string{time.RFC3339, untilPattern, "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			if at.Before(time.Now()) {
				return at, fault.New(fault.Invalid, "The quarantine would end at %s, which has passed. To lift one there is a button.", at.UTC().Format("2 Jan 2006 15:04"))
			}
			return at, nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "%q is no time: write it as %s (UTC).", text, untilPattern)
}

// do does it, for each worker as far as the visitor may.
func (ps *Pages) do(v *page.Visit, d deed) ([]result, error) {
	out := make([]result, len(d.keys))
	var keys []manager.Key
	var at []int
	need := holdScope
	if d.act == "terminate" {
		need = endScope
		if d.pool.Pool == nil {
			return nil, fault.New(fault.Invalid, "%s has no pool: its workers are ended where they run.", d.pool.ID)
		}
	}
	for i, k := range d.keys {
		out[i] = result{Worker: k.WorkerGroup + "/" + k.WorkerID, Href: WorkerPath(k.WorkerPoolID, k.WorkerGroup, k.WorkerID)}
		if err := v.Allow(need(k.WorkerPoolID, k.WorkerGroup, k.WorkerID)); err != nil {
			out[i].Text = fault.Message(err)
			continue
		}
		keys, at = append(keys, k), append(at, i)
	}
	defer ps.tables.changed(d.pool.ID)
	errs, err := ps.carryOut(v.R.Context(), d, keys, v.Session.ClientID)
	if err != nil {
		return nil, err
	}
	for j, err := range errs {
		r := &out[at[j]]
		if r.OK = err == nil; r.OK {
			r.Text = d.words()
			continue
		}
		r.Text = fault.Message(err)
		if fault.KindOf(err) == fault.Internal {
			ps.Log.ErrorContext(v.R.Context(), "an act on a worker failed", "act", d.act, "worker", keys[j].String(), "error", err)
		}
	}
	return out, nil
}

func (ps *Pages) carryOut(ctx context.Context, d deed, keys []manager.Key, actor string) (errs []error, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if d.act == "terminate" {
		reason := "ended by " + actor
		if d.reason != "" {
			reason += ": " + d.reason
		}
		for _, k := range keys {
			noting := auth.Noting(ctx, auth.Record{EntityType: "worker", EntityID: k.String(), ClientID: actor, Action: "removed", After: map[string]string{"reason": reason}})
			errs = append(errs, ps.Pools.RemoveWorker(noting, k, reason))
		}
		return errs, nil
	}
	names := make([]roster.Key, len(keys))
	for i, k := range keys {
		names[i] = roster.Key{TaskQueueID: k.WorkerPoolID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID}
	}
	list, err := ps.Queue.Roster().QuarantineAll(ctx, names, task.At(d.until), actor, d.reason)
	for _, r := range list {
		errs = append(errs, r.Err)
	}
	return errs, err
}

func (d deed) words() string {
	switch d.act {
	case "quarantine":
		return "in quarantine until " + d.until.UTC().Format("2 Jan 2006 15:04") + " UTC"
	case "lift":
		return "quarantine lifted"
	}
	return "told to end"
}

// post does what a form on a pool's page asks for.
func (ps *Pages) post(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 2<<20)
	if err := v.Post(); err != nil {
		return err
	}
	id, part := split(v.R.PathValue("pool"))
	if part != "" {
		return page.ErrNoPage
	}
	ctx, form := v.R.Context(), v.R.PostForm
	switch asked(form) {
	case "review", "save", "again", "provider", "yaml", "fields", "more":
		return ps.edit(v, id)
	case "archive":
		return ps.change(v, id, "launch-configs&done=archived", func(p *manager.Pool) scope.Expr { return editScope(id, p.ProviderID) },
			func() (manager.Pool, error) {
				return ps.Pools.Archive(ctx, v.Session.ClientID, id, form.Get("config"))
			})
	case "delete":
		return ps.remove(v, id)
	}
	d, err := ps.readDeed(v, id)
	var results []result
	if err == nil {
		results, err = ps.do(v, d)
	}
	if kind := fault.KindOf(err); err != nil && kind != fault.Invalid {
		return err
	}
	status := http.StatusOK
	if err != nil {
		status, results = http.StatusBadRequest, []result{{Text: fault.Message(err)}}
	}
	if len(results) == 1 && results[0].OK {
		return v.Redirect(Path(id) + "?tab=workers&done=" + map[string]string{"quarantine": "quarantined", "lift": "lifted", "terminate": "terminated"}[d.act])
	}
	return ps.show(v, status, id, "workers", func(b *poolBody) {
		var err error
		if b.Workers, err = ps.workersTab(v, b.subject); err == nil {
			b.Workers.Results, b.Workers.Reason = results, d.reason
		}
	})
}

// change does something to a pool itself.
func (ps *Pages) change(v *page.Visit, id, next string, need func(*manager.Pool) scope.Expr, f func() (manager.Pool, error)) error {
	s, err := ps.find(v, id)
	if err != nil {
		return err
	}
	if s.Pool == nil {
		return page.ErrNoPage
	}
	if err := v.Allow(need(s.Pool)); err != nil {
		return err
	}
	if _, err := f(); err != nil {
		return err
	}
	return v.Redirect(Path(id) + "?tab=" + next)
}

// actData does something to many workers, for the script.
func (ps *Pages) actData(v *page.Visit) (any, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 2<<20)
	if err := v.Post(); err != nil {
		return nil, err
	}
	d, err := ps.readDeed(v, v.R.URL.Query().Get("pool"))
	if err != nil {
		return nil, err
	}
	results, err := ps.do(v, d)
	return map[string]any{"results": results}, err
}
