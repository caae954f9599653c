package trace

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/task"
)

// What a span stands for.
type What string

// The root is the push, or the task group of something else. A task has a span for each of its runs; one that cannot run
// yet has one, too. What a run waited for, the work on it and its artifacts are below.
const (
	OfPush     What = "push"
	OfWebhook  What = "webhook"
	OfDecision What = "decision"
	OfTask     What = "task"
	OfNeeds    What = "needs"  // waits for the tasks that it needs
	OfWorker   What = "worker" // waits for a worker
	OfRun      What = "run"
	OfUpload   What = "artifacts"
	OfReport   What = "report"
)

// Span is a part of a trace. Task, Run and Report point to what it stands for.
type Span struct {
	ID, Parent traceid.Span
	What       What
	Name       string
	Start, End time.Time
	Open       bool // it has not ended: End is the end of what is known
	Task       *Task
	Run        *Run
	Report     *Report
	Reason     Reason // of waiting
}

// Trace is all that happened for a push.
type Trace struct {
	ID         traceid.Trace
	Title      string
	Facts      *Facts
	Start, End time.Time
	// Settled says that nothing more happens by itself: what is open is stuck behind something that failed.
	Settled  bool
	Spans    []Span // the root first, each behind its parent
	Critical []Step // from Start to End, without gaps
}

// builder is a trace in the making.
type builder struct {
	*Trace
	f     *Facts
	byID  map[string]*Task
	line  line
	stuck map[string]bool
}

// Build makes the trace. Times that contradict each other, as those of several clocks do, are moved so that nothing ends
// before it begins, and children lie within their parents. It changes f in doing so.
func Build(f *Facts) *Trace {
	b := &builder{Trace: &Trace{Facts: f, Title: title(f)}, f: f, byID: make(map[string]*Task, len(f.Tasks))}
	for i := range f.Tasks {
		b.byID[f.Tasks[i].ID] = &f.Tasks[i]
	}
	b.ID = traceid.OfGroup(f.GroupID)
	if f.GroupID == "" && f.Push != nil {
		b.ID = traceid.OfPush(f.Push.Repository, f.Push.ID)
	}
	b.findStuck()
	b.straighten()
	b.bound()
	b.line = lineOf(f)
	root := Span{ID: b.ID.Of("push"), What: OfPush, Name: rootName(f), Start: b.Start, End: b.End, Open: !b.Settled}
	b.Spans = append(make([]Span, 0, 4*len(f.Tasks)+len(f.Reports)+3), root)
	b.addDecision()
	for i := range f.Tasks {
		b.addTask(&f.Tasks[i])
	}
	b.addReports()
	b.critical()
	return b.Trace
}

func title(f *Facts) string {
	text := "Task group " + f.GroupID
	switch {
	case f.Change != nil && f.Change.Title != "":
		text = f.Change.Title
	case f.Push != nil:
		text = f.Push.Message
	}
	first, _, _ := strings.Cut(text, "\n")
	return first
}

// findStuck finds the tasks that can never run unless somebody does something, and whether that is all that is open.
func (b *builder) findStuck() {
	b.stuck, b.Settled = map[string]bool{}, true
	if p := b.f.Push; p != nil && p.Decided.IsZero() {
		b.Settled = false
	}
	const looking, free, caught = 1, 2, 3
	seen := make(map[string]int, len(b.f.Tasks))
	var look func(t *Task) bool
	look = func(t *Task) bool {
		if t.State != task.Unscheduled || seen[t.ID] != 0 {
			return seen[t.ID] == caught
		}
		seen[t.ID] = looking
		for _, id := range t.Needs {
			if need := b.byID[id]; need != nil && (need.State.Resolved() && !t.Requires.Met(need.State) || look(need)) {
				seen[t.ID], b.stuck[t.ID] = caught, true
				return true
			}
		}
		seen[t.ID] = free
		return false
	}
	for i := range b.f.Tasks {
		if t := &b.f.Tasks[i]; !t.State.Resolved() && !look(t) {
			b.Settled = false
		}
	}
}

// straighten makes the times of each thing follow one another.
func (b *builder) straighten() {
	f := b.f
	if d := f.Told; d != nil {
		d.Built = later(d.Received, d.Built)
	}
	floor := f.Created
	if p := f.Push; p != nil {
		p.Decided = later(p.Received, p.Decided)
		p.Dated = earlier(p.Dated, p.Received)
		floor = p.Received
	} else if d := f.Told; d != nil {
		floor = d.Received
	}
	for i := range f.Tasks {
		t := &f.Tasks[i]
		// Who made the task says when; it was not before there was a reason, and not after it could run.
		t.Created = later(floor, cmp.Or(t.Created, floor, f.Now))
		if len(t.Runs) > 0 {
			t.Created = earlier(t.Created, t.Runs[0].Scheduled)
		} else if t.Created.After(f.Now) {
			t.Created = f.Now
		}
		last := t.Created
		for k := range t.Runs {
			r := &t.Runs[k]
			r.Scheduled = later(last, r.Scheduled)
			r.Started = later(r.Scheduled, r.Started)
			r.Resolved = later(cmp.Or(r.Started, r.Scheduled), r.Resolved)
			last = cmp.Or(r.Resolved, r.Started, r.Scheduled)
		}
	}
	for i := range f.Reports {
		f.Reports[i].Sent = later(f.Reports[i].Wanted, f.Reports[i].Sent)
	}
}

// later is t, or what it must not be before. A time that is not known stays so.
func later(floor, t time.Time) time.Time {
	if !t.IsZero() && t.Before(floor) {
		return floor
	}
	return t
}

// earlier is t, or what it must not be after. A time that is not known stays so.
func earlier(t, ceiling time.Time) time.Time {
	if !t.IsZero() && !ceiling.IsZero() && t.After(ceiling) {
		return ceiling
	}
	return t
}

// bound finds the first and the last moment.
func (b *builder) bound() {
	see := func(times ...time.Time) {
		for _, t := range times {
			if t.IsZero() {
				continue
			}
			if b.Start.IsZero() || t.Before(b.Start) {
				b.Start = t
			}
			if t.After(b.End) {
				b.End = t
			}
		}
	}
	f := b.f
	if p := f.Push; p != nil {
		see(p.Dated, p.Received, p.Decided)
	}
	if d := f.Told; d != nil {
		see(d.Received, d.Built)
	}
	for i := range f.Tasks {
		t := &f.Tasks[i]
		see(t.Created)
		for k := range t.Runs {
			see(t.Runs[k].Scheduled, t.Runs[k].Started, t.Runs[k].Resolved)
		}
	}
	for i := range f.Reports {
		see(f.Reports[i].Wanted, f.Reports[i].Sent)
	}
	if b.Start.IsZero() {
		b.Start = f.Now
	}
	if !b.Settled {
		see(f.Now)
	}
	if b.End.Before(b.Start) {
		b.End = b.Start
	}
}

func (b *builder) add(s Span) *Span {
	s.Open = s.End.IsZero()
	if s.Open {
		s.End = b.End
	}
	b.Spans = append(b.Spans, s)
	return &b.Spans[len(b.Spans)-1]
}

// addDecision adds how a push became tasks.
func (b *builder) addDecision() {
	root := b.Spans[0].ID
	p, d := b.f.Push, b.f.Told
	if d != nil {
		end := d.Built
		if p != nil {
			end = later(d.Received, p.Received)
		}
		b.add(Span{ID: b.ID.Of("webhook"), Parent: root, What: OfWebhook, Name: "webhook " + d.Event, Start: d.Received, End: cmp.Or(end, d.Received)})
	} else if p != nil && !p.Dated.IsZero() && p.Dated.Before(p.Received) {
		b.add(Span{ID: b.ID.Of("webhook"), Parent: root, What: OfWebhook, Name: "noticed", Start: p.Dated, End: p.Received})
	}
	if p != nil {
		b.add(Span{ID: b.ID.Of("decision"), Parent: root, What: OfDecision, Name: "decision", Start: p.Received, End: p.Decided})
	}
}

// addTask adds the runs of a task, and that it waits for one.
func (b *builder) addTask(t *Task) {
	root := b.Spans[0].ID
	if len(t.Runs) == 0 {
		s := b.add(Span{ID: b.ID.Of("task", t.ID, "0"), Parent: root, What: OfTask, Name: t.Name, Start: t.Created, Task: t}).ID
		b.add(Span{ID: b.ID.Of("needs", t.ID), Parent: s, What: OfNeeds, Name: "wait for tasks", Start: t.Created, Task: t, Reason: b.unmet(t)})
		return
	}
	for k := range t.Runs {
		r := &t.Runs[k]
		n := strconv.Itoa(r.ID)
		start := r.Scheduled
		if k == 0 && len(t.Needs) > 0 && !t.Created.IsZero() {
			start = t.Created
		}
		whole := b.add(Span{ID: b.ID.Of("task", t.ID, n), Parent: root, What: OfTask, Name: t.Name, Start: start, End: r.Resolved, Task: t, Run: r}).ID
		if start.Before(r.Scheduled) {
			b.add(Span{ID: b.ID.Of("needs", t.ID), Parent: whole, What: OfNeeds, Name: "wait for tasks", Start: start, End: r.Scheduled, Task: t, Run: r, Reason: b.met(t)})
		}
		// A run that stands for a task that never ran, or was cancelled before, waited until that.
		waited := cmp.Or(r.Started, r.Resolved)
		if r.Created != task.CreatedException {
			b.add(Span{ID: b.ID.Of("worker", t.ID, n), Parent: whole, What: OfWorker, Name: "wait for a worker", Start: r.Scheduled, End: waited, Task: t, Run: r, Reason: b.line.reason(t, r, cmp.Or(waited, b.End))})
		}
		if r.Started.IsZero() {
			continue
		}
		work := b.add(Span{ID: b.ID.Run(t.ID, r.ID), Parent: whole, What: OfRun, Name: "run", Start: r.Started, End: r.Resolved, Task: t, Run: r})
		b.addUpload(*work)
	}
}

// addUpload adds from the first artifact that a run stored to the last; those that came by another clock or before and
// after the run are not told by the time.
func (b *builder) addUpload(work Span) {
	var first, last time.Time
	for i := range work.Run.Artifacts {
		a := &work.Run.Artifacts[i]
		a.Created = later(work.Start, a.Created)
		if a.Created.After(work.End) {
			a.Created = work.End
		}
		if !a.Stored {
			continue
		}
		if first.IsZero() || a.Created.Before(first) {
			first = a.Created
		}
		last = later(last, a.Created)
	}
	if first.IsZero() {
		return
	}
	b.add(Span{ID: b.ID.Of("artifacts", work.Task.ID, strconv.Itoa(work.Run.ID)), Parent: work.ID, What: OfUpload, Name: "artifacts", Start: first, End: last, Task: work.Task, Run: work.Run})
}

func (b *builder) addReports() {
	for i := range b.f.Reports {
		r := &b.f.Reports[i]
		b.add(Span{ID: b.ID.Of("report", r.ID), Parent: b.Spans[0].ID, What: OfReport, Name: "report " + r.Name, Start: r.Wanted, End: r.Sent, Report: r})
	}
}
