package trace

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// Why something waited.
type Why string

// Why tasks and runs wait.
const (
	ForTasks    Why = "dependencies" // for tasks that it needs
	ForPriority Why = "priority"     // tasks of higher priority were taken first
	ForTurn     Why = "turn"         // others were before it in line
	ForBusy     Why = "workers-busy" // the worker that took it was at work until then
	ForNew      Why = "no-worker"    // there was no worker, or none asked
	ForClaim    Why = "claim"        // a worker took it at once
)

// Reason is why something waited, for programs and for people.
type Reason struct {
	Why   Why
	Text  string
	Task  string // that was waited for last, of ForTasks
	Ahead int    // runs that began meanwhile, of ForPriority and ForTurn
}

// atOnce is how long it may take that a worker asks for work.
const atOnce = time.Second

// resolvedBefore is when the last run of a task that ended by a time ended; zero when none did.
func resolvedBefore(t *Task, by time.Time) (at time.Time) {
	for k := range t.Runs {
		if r := &t.Runs[k]; !r.Resolved.IsZero() && !r.Resolved.After(by) {
			at = later(at, r.Resolved)
		}
	}
	return at
}

// lastNeed is the task that one had waited for last when it could run: inside the group or outside; "" for none.
func (b *builder) lastNeed(t *Task) (id, name string, at time.Time) {
	by := t.Runs[0].Scheduled
	for _, need := range t.Needs {
		var when time.Time
		called := need
		if n := b.byID[need]; n != nil {
			when, called = resolvedBefore(n, by), n.Name
		} else if o, ok := b.f.Outside[need]; ok {
			when, called = o.Resolved, cmp.Or(o.Name, need)
			if when.After(by) {
				when = by
			}
		}
		if !when.IsZero() && (id == "" || when.After(at) || when.Equal(at) && need < id) {
			id, name, at = need, called, when
		}
	}
	return id, name, at
}

// met is why a task had waited that can run now.
func (b *builder) met(t *Task) Reason {
	id, name, _ := b.lastNeed(t)
	switch {
	case id == "":
		return Reason{Why: ForTasks, Text: fmt.Sprintf("waited until it was let run: of the %s it needs none had ended", tasks(len(t.Needs)))}
	case len(t.Needs) == 1:
		return Reason{Why: ForTasks, Task: id, Text: "waited for " + name}
	}
	return Reason{Why: ForTasks, Task: id, Text: fmt.Sprintf("waited for %s, the last of %s it needs", name, tasks(len(t.Needs)))}
}

// unmet is why a task cannot run yet.
func (b *builder) unmet(t *Task) Reason {
	open, first, failed := 0, "", ""
	for _, id := range t.Needs {
		n := b.byID[id]
		switch {
		case n == nil:
			if b.f.Outside[id].Resolved.IsZero() {
				open, first = open+1, cmp.Or(first, b.f.Outside[id].Name, id)
			}
		case b.stuck[id] || n.State.Resolved() && !t.Requires.Met(n.State):
			failed = cmp.Or(failed, n.Name)
		case !n.State.Resolved():
			open, first = open+1, cmp.Or(first, n.Name)
		}
	}
	switch {
	case failed != "":
		return Reason{Why: ForTasks, Text: "cannot run: " + failed + " did not pass"}
	case open == 1:
		return Reason{Why: ForTasks, Text: "waits for " + first}
	case open > 1:
		return Reason{Why: ForTasks, Text: fmt.Sprintf("waits for %s, among them %s", tasks(open), first)}
	}
	return Reason{Why: ForTasks, Text: "waits until it is scheduled"}
}

func tasks(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// line is what began when in the task queues of a group.
type line struct {
	starts  map[string]*[8][]int64 // by queue and priority: when runs began, sorted, in nanoseconds since 1970
	work    map[Worker][][2]int64  // when workers were at work, sorted
	workers map[Worker]time.Time   // when they first asked
}

func lineOf(f *Facts) line {
	l := line{starts: map[string]*[8][]int64{}, work: map[Worker][][2]int64{}, workers: f.Workers}
	see := func(w Worker, priority int, started, resolved time.Time) {
		if started.IsZero() {
			return
		}
		q := l.starts[w.Queue]
		if q == nil {
			q = new([8][]int64)
			l.starts[w.Queue] = q
		}
		p := min(7, max(0, priority))
		q[p] = append(q[p], started.UnixNano())
		l.work[w] = append(l.work[w], [2]int64{started.UnixNano(), cmp.Or(resolved, f.Now).UnixNano()})
	}
	for i := range f.Tasks {
		t := &f.Tasks[i]
		for k := range t.Runs {
			see(t.Runs[k].Worker, t.Priority, t.Runs[k].Started, t.Runs[k].Resolved)
		}
	}
	for _, o := range f.Others {
		see(o.Worker, o.Priority, o.Started, o.Resolved)
	}
	for _, q := range l.starts {
		for _, list := range q {
			slices.Sort(list)
		}
	}
	for _, list := range l.work {
		slices.SortFunc(list, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	}
	return l
}

// between counts the numbers of a sorted list that lie between two, without these.
func between(list []int64, from, to int64) int {
	return max(0, sort.Search(len(list), func(i int) bool { return list[i] >= to })-sort.Search(len(list), func(i int) bool { return list[i] > from }))
}

// reason is why a run waited for a worker until then.
func (l *line) reason(t *Task, r *Run, until time.Time) Reason {
	taken := !r.Started.IsZero()
	if taken && until.Sub(r.Scheduled) < atOnce {
		return Reason{Why: ForClaim, Text: "a worker took it at once"}
	}
	from, to := r.Scheduled.UnixNano(), until.UnixNano()
	higher, ahead := 0, 0
	if q := l.starts[t.Queue]; q != nil {
		for p, list := range q {
			n := between(list, from, to)
			if ahead += n; p > t.Priority {
				higher += n
			}
		}
	}
	switch {
	case higher > 0 && 2*higher >= ahead:
		return Reason{Why: ForPriority, Ahead: ahead, Text: tasks(higher) + " of higher priority went first" + others(ahead-higher)}
	case ahead > 0:
		return Reason{Why: ForTurn, Ahead: ahead, Text: "every worker was at work: " + tasks(ahead) + " came before it"}
	case !taken && r.State == task.Pending:
		return Reason{Why: ForNew, Text: "no worker has taken a task of this queue since"}
	case !taken:
		return Reason{Why: ForNew, Text: "no worker took it"}
	case l.workers[r.Worker].After(r.Scheduled):
		return Reason{Why: ForNew, Text: "there was no worker: the one that took it first asked for work " + seconds(l.workers[r.Worker].Sub(r.Scheduled)) + " later"}
	case l.busy(r.Worker, from, to):
		return Reason{Why: ForBusy, Text: "every worker was at work: the one that took it was done with another task then"}
	}
	return Reason{Why: ForNew, Text: "no worker asked for work"}
}

func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d others", n)
}

// busy reports whether a worker ended some work between two moments, the last one included.
func (l *line) busy(w Worker, from, to int64) bool {
	return slices.ContainsFunc(l.work[w], func(span [2]int64) bool { return span[0] < from && span[1] > from && span[1] <= to })
}

// seconds writes a duration for people.
func seconds(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
}
