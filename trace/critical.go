package trace

import (
	"cmp"
	"slices"
	"time"
)

// Step is a part of the critical path: what the end waited for then.
type Step struct {
	What       What // OfPush: nothing of what is known
	Task       *Task
	Run        *Run
	Report     *Report
	Start, End time.Time
	Text       string
}

// walk goes from the end of a trace to its beginning.
type walk struct {
	*builder
	at   time.Time // up to here it is still to be said what was waited for
	seen map[*Run]bool
}

// critical finds why the push ended when it did and not before: from the last thing that happened back to what that had
// waited for. The steps follow one another without gaps, so what they take is what the push took.
func (b *builder) critical() {
	w := walk{builder: b, at: b.End, seen: map[*Run]bool{}}
	t, r := b.last(b.End)
	if report := b.lastReport(); report != nil && (r == nil || !b.end(r).Equal(b.End)) {
		t, r = b.last(later(report.Wanted, report.Sent))
		from := b.Start
		if r != nil {
			from = b.end(r)
		}
		w.step(Step{What: OfReport, Report: report, Text: "told " + report.Name}, from)
	}
	if r == nil {
		t = b.waiting()
	}
	w.from(t, r)
	slices.Reverse(b.Critical)
}

// end is when a run ended, or the end of the trace.
func (b *builder) end(r *Run) time.Time { return cmp.Or(r.Resolved, b.End) }

// last is the run that ended last by a time.
func (b *builder) last(by time.Time) (task *Task, run *Run) {
	for i := range b.f.Tasks {
		t := &b.f.Tasks[i]
		for k := range t.Runs {
			r := &t.Runs[k]
			end := b.end(r)
			if end.After(by) {
				continue
			}
			// Of those that end together, that which is at work, then that which began last.
			if run == nil || cmp.Or(end.Compare(b.end(run)), compareBool(!r.Started.IsZero(), !run.Started.IsZero()), r.Scheduled.Compare(run.Scheduled), cmp.Compare(task.ID, t.ID)) > 0 {
				task, run = t, r
			}
		}
	}
	return task, run
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// waiting is a task that waits for others, which end outside of the group.
func (b *builder) waiting() *Task {
	for i := range b.f.Tasks {
		if t := &b.f.Tasks[i]; len(t.Runs) == 0 && !b.stuck[t.ID] {
			return t
		}
	}
	return nil
}

func (b *builder) lastReport() (last *Report) {
	for i := range b.f.Reports {
		if r := &b.f.Reports[i]; !r.Sent.IsZero() && (last == nil || r.Sent.After(last.Sent)) {
			last = r
		}
	}
	return last
}

// step says what was waited for from a moment on.
func (w *walk) step(s Step, from time.Time) {
	if from.Before(w.Start) {
		from = w.Start
	}
	if !from.Before(w.at) {
		return
	}
	s.Start, s.End = from, w.at
	w.Critical = append(w.Critical, s)
	w.at = from
}

// from goes back from a run, or from a task that has none.
func (w *walk) from(t *Task, r *Run) {
	for r != nil && !w.seen[r] {
		w.seen[r] = true
		if end := w.end(r); end.Before(w.at) {
			w.idle(end)
		}
		if !r.Started.IsZero() {
			w.step(Step{What: OfRun, Task: t, Run: r, Text: "ran"}, r.Started)
		}
		w.step(Step{What: OfWorker, Task: t, Run: r, Text: w.line.reason(t, r, cmp.Or(r.Started, w.end(r))).Text}, r.Scheduled)
		t, r = w.before(t, r)
	}
	if t != nil && r == nil {
		w.step(Step{What: OfNeeds, Task: t, Text: w.waitText(t)}, t.Created)
	}
	w.toDecision()
}

// idle says that no run was at work from a moment on.
func (w *walk) idle(from time.Time) {
	s := Step{What: OfPush, Text: "nothing was at work"}
	if t := w.waiting(); t != nil && w.at.Equal(w.End) {
		s = Step{What: OfNeeds, Task: t, Text: w.unmet(t).Text}
	}
	w.step(s, from)
}

func (w *walk) waitText(t *Task) string {
	if len(t.Runs) == 0 {
		return w.unmet(t).Text
	}
	return w.met(t).Text
}

// before is what a run had waited for until it could begin: the run before it, the last task that it needs, or what made
// the task. A task without a run: what it needs is elsewhere. Nothing: there is no more to know.
func (w *walk) before(t *Task, r *Run) (*Task, *Run) {
	if r != &t.Runs[0] {
		i := slices.IndexFunc(t.Runs, func(x Run) bool { return x.ID == r.ID })
		return t, &t.Runs[i-1]
	}
	if id, _, at := w.lastNeed(t); id != "" {
		need := w.byID[id]
		if need == nil {
			return t, nil
		}
		for k := range slices.Backward(need.Runs) {
			if n := &need.Runs[k]; n.Resolved.Equal(at) {
				w.step(Step{What: OfNeeds, Task: t, Run: r, Text: w.met(t).Text}, at)
				return need, n
			}
		}
	}
	decision := w.byID[w.f.GroupID]
	if decision == nil || decision == t {
		return nil, nil
	}
	// The decision's run made it, the last that had begun by then.
	for k := range slices.Backward(decision.Runs) {
		d := &decision.Runs[k]
		if !d.Started.IsZero() && !d.Started.After(w.at) {
			if end := w.end(d); end.Before(w.at) {
				w.step(Step{What: OfNeeds, Task: t, Run: r, Text: "was made after the decision"}, end)
			}
			return decision, d
		}
	}
	return nil, nil
}

// toDecision goes from the first task back to the webhook.
func (w *walk) toDecision() {
	if p := w.f.Push; p != nil {
		w.step(Step{What: OfDecision, Text: "the push was decided"}, p.Received)
		if !p.Dated.IsZero() {
			w.step(Step{What: OfWebhook, Text: "until the push was noticed"}, p.Dated)
		}
	}
	if d := w.f.Told; d != nil {
		w.step(Step{What: OfWebhook, Text: "the webhook was handled"}, d.Received)
	}
	w.step(Step{What: OfPush, Text: "nothing is known of this time"}, w.Start)
}
