package soaktest

import (
	"fmt"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// Evidence is all that a round leaves behind.
type Evidence struct {
	Seed   uint64
	Began  time.Time
	Skew   time.Duration // of the database's clock against the one of Began
	Calls  []Call
	Bodies map[string][]*task.Definition       // by task: every definition that was offered for it
	Events []event.Event                       // the feed as a consumer saw it
	Gaps   []string                            // where its positions did not count up
	Final  map[string]queue.Item               // every task that is left, when all work is done
	Lacks  func(client int, scope string) bool // which scopes a client does not have; nil: none
	Last   string                              // the task that marks the feed's end, the only one that may be open

	Violations []Violation
}

// Violation is a promise that was not kept.
type Violation struct {
	Invariant string `json:"invariant"` // I1 to I11
	Task      string `json:"task,omitempty"`
	Text      string `json:"text"`
}

func (v Violation) String() string {
	if v.Task == "" {
		return v.Invariant + ": " + v.Text
	}
	return v.Invariant + ": task " + v.Task + ": " + v.Text
}

// Check judges a round. It looks at nothing but the evidence:
//
//   - I1: no task is lost. What was acknowledged is there, can be read, and ends resolved.
//   - I2: one winner. Of each run, one outcome is accepted, and it stays.
//   - I3: no run is given out twice, and none begins before the one before it has ended.
//   - I5: a task is pending when what it waits for has happened, neither earlier nor never.
//   - I6: retries stay within their limit, and only what may be retried is.
//   - I7: the same creation again is the same task; another definition is refused.
//   - I8: every answer is a legal state, and no later answer shows an earlier one.
//   - I10: the feed has each change once, in order, without a gap.
//   - I11: a claim's credentials hold the scopes of its task and of its run, and no others; no task has a
//     scope that its creator lacked.
//
// I4, that the tables agree, is for queuetest.Violations to ask of every snapshot.
func Check(e *Evidence) []Violation {
	d := newDocket(e)
	d.checkLost()
	d.checkWinners()
	d.checkClaims()
	d.checkRetries()
	d.checkCreations()
	d.checkCreators()
	d.checkAnswers()
	d.checkOrder()
	d.checkRefusals()
	d.checkFeed()
	d.checkDependencies()
	d.checkGroups()
	return d.found
}

// docket is the evidence, sorted by what is asked of it.
type docket struct {
	*Evidence
	found   []Violation
	acked   map[string]int64          // by task: the end of the first call that acknowledged it
	creates map[string][]*Call        // by task
	touched map[Verb]map[string]int   // by task: how many calls of the verb happened, or may have
	since   map[Verb]map[string]int64 // by task: the start of the first of these
	tracks  map[string][]track        // by task: its events
	reruns  map[string][]*Call        // by task: calls that ran it again, or may have
	sealed  map[string][]*Call        // by group: calls that sealed it, or may have
}

// track is an event of a task.
type track struct {
	kind     string
	run      int
	position int64
}

func newDocket(e *Evidence) *docket {
	d := &docket{
		Evidence: e, acked: map[string]int64{}, creates: map[string][]*Call{}, touched: map[Verb]map[string]int{},
		since: map[Verb]map[string]int64{}, tracks: map[string][]track{}, sealed: map[string][]*Call{}, reruns: map[string][]*Call{},
	}
	for i := range e.Calls {
		d.file(&e.Calls[i])
	}
	for _, ev := range e.Events {
		if ev.TaskID == "" {
			continue
		}
		t := track{kind: ev.Kind, run: -1, position: ev.Position}
		if ev.RunID != nil {
			t.run = *ev.RunID
		}
		d.tracks[ev.TaskID] = append(d.tracks[ev.TaskID], t)
	}
	return d
}

func (d *docket) file(k *Call) {
	if k.Verb == Create {
		for _, id := range k.Tasks {
			d.creates[id] = append(d.creates[id], k)
			if end, ok := d.acked[id]; k.Outcome == OK && (!ok || k.End < end) {
				d.acked[id] = k.End
			}
		}
	}
	if k.Outcome != OK && k.Outcome != Unknown {
		return
	}
	if k.Verb == SealGroup {
		d.sealed[k.Name] = append(d.sealed[k.Name], k)
	}
	if k.Verb == Rerun {
		d.reruns[k.Tasks[0]] = append(d.reruns[k.Tasks[0]], k)
	}
	if d.touched[k.Verb] == nil {
		d.touched[k.Verb], d.since[k.Verb] = map[string]int{}, map[string]int64{}
	}
	for _, id := range k.Tasks {
		d.touched[k.Verb][id]++
		if at, ok := d.since[k.Verb][id]; !ok || k.Start < at {
			d.since[k.Verb][id] = k.Start
		}
	}
}

// gone reports whether the task was let expire, so that it may be removed.
func (d *docket) gone(id string) bool { return d.touched[TasksExpire][id] > 0 }

func (d *docket) violate(invariant, id, format string, args ...any) {
	d.found = append(d.found, Violation{Invariant: invariant, Task: id, Text: fmt.Sprintf(format, args...)})
}

// known reports whether the task must have been there when the call began, and still is.
func (d *docket) mustBeThere(id string, k *Call) bool {
	end, ok := d.acked[id]
	return ok && end < k.Start && !d.gone(id)
}

// checkLost is I1.
func (d *docket) checkLost() {
	for id := range d.acked {
		if _, ok := d.Final[id]; !ok && !d.gone(id) {
			d.violate("I1", id, "it was acknowledged and is lost")
		}
	}
	for id, item := range d.Final {
		if !item.Status.State.Resolved() && id != d.Last {
			d.violate("I1", id, "at the end it is %s", shape(item.Status))
		}
		if len(d.creates[id]) == 0 && id != d.Last {
			d.violate("I1", id, "nobody created it")
		}
	}
	for i := range d.Calls {
		k := &d.Calls[i]
		if k.Outcome == NotFound && k.Verb != ClaimTask && len(k.Tasks) == 1 && d.mustBeThere(k.Tasks[0], k) {
			d.violate("I1", k.Tasks[0], "%s did not find it: %s", k.Verb, k.Error)
		}
		if k.Verb == Items && k.Outcome == OK {
			for _, id := range k.Tasks {
				shown := slices.ContainsFunc(k.Seen, func(s task.Status) bool { return s.TaskID == id })
				if !shown && d.mustBeThere(id, k) {
					d.violate("I1", id, "it is missing where it was asked for")
				}
			}
		}
	}
}

// checkWinners is I2.
func (d *docket) checkWinners() {
	type key struct {
		id  string
		run int
	}
	won := map[key]task.ReasonResolved{}
	for i := range d.Calls {
		k := &d.Calls[i]
		if k.Verb != Report || k.Outcome != OK {
			continue
		}
		at := key{k.Tasks[0], k.Run}
		if before, ok := won[at]; ok && before != k.Reason {
			d.violate("I2", at.id, "run %d was accepted as %s and as %s", at.run, before, k.Reason)
		}
		won[at] = k.Reason
	}
	for at, reason := range won {
		item, ok := d.Final[at.id]
		if !ok {
			continue
		}
		if runs := item.Status.Runs; at.run >= len(runs) || runs[at.run].ReasonResolved != reason {
			d.violate("I2", at.id, "run %d was accepted as %s; at the end it is %s", at.run, reason, shape(item.Status))
		}
	}
}

// checkClaims is I3 and I11.
func (d *docket) checkClaims() {
	given := map[string]*Call{}
	for i := range d.Calls {
		k := &d.Calls[i]
		for _, one := range k.Claimed {
			at := fmt.Sprintf("%s/%d", one.Task, one.Run)
			if k.Verb == Claim || k.Verb == ClaimTask {
				// Who claims one task twice gets the claim it has; a line gives nothing twice.
				if before := given[at]; before != nil && (before.Worker != k.Worker || before.Verb == Claim && k.Verb == Claim) {
					d.violate("I3", one.Task, "run %d was given to %s (client %d) and to %s (client %d)", one.Run, before.Worker, before.Client, k.Worker, k.Client)
				}
				given[at] = k
				d.checkHolder(one, k)
			}
			d.checkScopes(one, at)
		}
	}
	for id, item := range d.Final {
		runs := item.Status.Runs
		for i := 1; i < len(runs); i++ {
			if runs[i].Started != nil && (runs[i-1].Resolved == nil || runs[i].Started.Before(runs[i-1].Resolved.Time)) {
				d.violate("I3", id, "run %d began at %v, before run %d had ended: %s", i, runs[i].Started, i-1, shape(item.Status))
			}
		}
		for i, run := range runs {
			if run.ReasonResolved == task.ReasonClaimExpired && d.touched[ClaimsEnd][id] == 0 {
				d.violate("I3", id, "the claim of run %d expired, but it was not over", i)
			}
			if run.ReasonResolved == task.ReasonDeadlineExceeded && d.touched[DeadlinesPass][id] == 0 {
				d.violate("I8", id, "its deadline was enforced, but it had not passed")
			}
		}
	}
}

func (d *docket) checkHolder(one Claimed, k *Call) {
	item, ok := d.Final[one.Task]
	if !ok {
		return
	}
	if runs := item.Status.Runs; one.Run >= len(runs) || runs[one.Run].WorkerID != k.Worker {
		d.violate("I3", one.Task, "run %d was given to %s; at the end it is %s", one.Run, k.Worker, shape(item.Status))
	}
}

func (d *docket) checkScopes(one Claimed, at string) {
	bodies := d.Bodies[one.Task]
	if len(bodies) == 0 {
		d.violate("I3", one.Task, "it was claimed, and nobody created it")
		return
	}
	want := []string{"queue:reclaim-task:" + at, "queue:resolve-task:" + at, "queue:create-artifact:" + at}
	want = append(want, bodies[0].Scopes...)
	got := slices.Clone(one.Scopes)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(slices.Compact(want), slices.Compact(got)) {
		d.violate("I11", one.Task, "the claim of run %d holds %v, not %v", one.Run, got, want)
	}
}

// checkCreators is the other half of I11: who created a task had its scopes, and who had them was not
// refused for lack of them.
func (d *docket) checkCreators() {
	for i := range d.Calls {
		k := &d.Calls[i]
		var lacks []string
		for n, id := range k.Tasks {
			if k.Verb == Create && d.Lacks != nil {
				for _, s := range d.Bodies[id][k.Bodies[n]].Scopes {
					if d.Lacks(k.Client, s) {
						lacks = append(lacks, s)
					}
				}
			}
		}
		if len(lacks) > 0 && k.Outcome == OK {
			d.violate("I11", k.Tasks[0], "client %d created it, and lacks %v", k.Client, lacks)
		}
		if len(lacks) == 0 && k.Outcome == Forbidden {
			d.violate("I11", first(k.Tasks), "%s by client %d was refused, and it lacks nothing: %s", k.Verb, k.Client, k.Error)
		}
	}
}

// shape is a status in one line.
func shape(s task.Status) string {
	out := string(s.State)
	for _, r := range s.Runs {
		out += fmt.Sprintf(" [%d %s %s/%s %s]", r.RunID, r.ReasonCreated, r.State, r.ReasonResolved, r.WorkerID)
	}
	return out
}
