package soaktest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/task"
)

// checkFeed is I10.
func (d *docket) checkFeed() {
	for _, g := range d.Gaps {
		d.violate("I10", "", "the feed has a gap: %s", g)
	}
	ids := map[string]bool{}
	for _, e := range d.Events {
		if ids[e.ID] {
			d.violate("I10", e.TaskID, "the event %s %s comes twice", e.Kind, e.ID)
		}
		ids[e.ID] = true
	}
	for id, item := range d.Final {
		want, got := told(item.Status), d.history(id)
		if !slices.Equal(want, got) {
			d.violate("I10", id, "the feed tells %v of it; what happened is %v", got, want)
		}
	}
	for id := range d.tracks {
		if _, ok := d.Final[id]; ok {
			continue
		}
		if got := d.history(id); !d.gone(id) || len(got) == 0 || got[0] != "defined" {
			d.violate("I10", id, "the feed tells %v of a task that is not there", got)
		}
	}
	d.checkArtifacts()
}

// told is what the feed must tell of a task, in order.
func told(s task.Status) []string {
	out := []string{"defined"}
	for i, r := range s.Runs {
		if r.ReasonCreated != task.CreatedException {
			out = append(out, fmt.Sprint("pending ", i))
		}
		if r.Started != nil {
			out = append(out, fmt.Sprint("running ", i))
		}
		if r.State.Resolved() {
			out = append(out, fmt.Sprint(r.State, " ", i))
		}
	}
	return out
}

// history is what the feed tells of a task's states.
func (d *docket) history(id string) []string {
	var out []string
	for _, t := range d.tracks[id] {
		switch kind := strings.TrimPrefix(t.kind, "task-"); kind {
		case "defined":
			out = append(out, kind)
		case "pending", "running", "completed", "failed", "exception":
			out = append(out, fmt.Sprint(kind, " ", t.run))
		}
	}
	return out
}

// checkArtifacts wants one event for each artifact.
func (d *docket) checkArtifacts() {
	type key struct {
		id  string
		run int
	}
	sure, maybe := map[key]map[string]bool{}, map[key]map[string]bool{}
	note := func(set map[key]map[string]bool, k *Call) {
		at := key{k.Tasks[0], k.Run}
		if set[at] == nil {
			set[at] = map[string]bool{}
		}
		set[at][k.Name] = true
	}
	for i := range d.Calls {
		k := &d.Calls[i]
		if k.Verb != Artifact {
			continue
		}
		if k.Outcome == OK {
			note(sure, k)
		}
		if k.Outcome == OK || k.Outcome == Unknown {
			note(maybe, k)
		}
	}
	events := map[key]int{}
	for id, list := range d.tracks {
		for _, t := range list {
			if t.kind == "artifact-created" {
				events[key{id, t.run}]++
			}
		}
	}
	for at, names := range maybe {
		if n := events[at]; n < len(sure[at]) || n > len(names) {
			d.violate("I10", at.id, "run %d has %d to %d artifacts, and the feed tells of %d", at.run, len(sure[at]), len(names), n)
		}
	}
}

// checkDependencies is I5, in the order of the feed.
func (d *docket) checkDependencies() {
	for id, item := range d.Final {
		deps := item.Task.Dependencies
		if len(deps) == 0 || len(item.Status.Runs) == 0 || slices.ContainsFunc(deps, d.gone) {
			continue
		}
		run := item.Status.Runs[0]
		kind := "task-pending"
		if run.ReasonCreated == task.CreatedException {
			kind = "task-exception"
		}
		defined, ok := d.position(id, "task-defined", -1)
		at, too := d.position(id, kind, 0)
		if !ok || !too {
			continue // which I10 says
		}
		w := wait{id: id, requires: item.Task.Requires, run: run, defined: defined, at: at}
		switch run.ReasonCreated {
		case task.CreatedScheduled:
			early := slices.DeleteFunc(slices.Clone(deps), func(dep string) bool { return d.met(dep, w) || d.stoodMet(dep, w) })
			if len(early) > 0 && d.touched[Schedule][id] == 0 {
				d.violate("I5", id, "it is pending before %v: %s", early, w.requires)
			}
		case task.CreatedException:
			if !slices.ContainsFunc(deps, func(dep string) bool { return dep == id || !d.met(dep, w) }) {
				d.violate("I5", id, "all it waits for (%v) has happened, and it was not released: %s", deps, shape(item.Status))
			}
		}
	}
}

// wait is a task that waited from one position of the feed to another.
type wait struct {
	id          string
	requires    task.Requires
	run         task.Run // its first
	defined, at int64
}

// position is where the feed has an event of a task; run -1 stands for none.
func (d *docket) position(id, kind string, run int) (int64, bool) {
	for _, t := range d.tracks[id] {
		if t.kind == kind && t.run == run {
			return t.position, true
		}
	}
	return 0, false
}

// met reports whether what the task requires of dep was so when it was defined, or came to be while it
// waited. What ended in one transaction together with the task did not come before it.
func (d *docket) met(dep string, w wait) bool {
	if w.requires.Met(d.stoodAt(dep, w.defined)) {
		return true
	}
	runs := d.Final[dep].Status.Runs
	for _, t := range d.tracks[dep] {
		if t.position <= w.defined || t.position >= w.at || !w.requires.Met(d.left(dep, t)) {
			continue
		}
		together := w.run.ReasonCreated == task.CreatedException && t.run < len(runs) && runs[t.run].ReasonResolved == w.run.ReasonResolved
		if !together {
			return true
		}
	}
	return false
}

// stoodMet reports whether dep had come to stand as required, and was run again by a call that may
// have taken effect only when the task's creation had begun.
func (d *docket) stoodMet(dep string, w wait) bool {
	begun := int64(math.MaxInt64)
	for _, k := range d.creates[w.id] {
		begun = min(begun, k.Start)
	}
	if !slices.ContainsFunc(d.reruns[dep], func(k *Call) bool { return k.Outcome == Unknown || k.End >= begun }) {
		return false
	}
	return slices.ContainsFunc(d.tracks[dep], func(t track) bool { return t.position < w.at && w.requires.Met(d.left(dep, t)) })
}

// left returns the state in which an event leaves a task, as far as it tells it.
func (d *docket) left(id string, t track) task.State {
	switch t.kind {
	case "task-pending", "task-running":
		return task.Pending
	case "task-completed", "task-failed", "task-exception":
		if d.retried(id, t.run) {
			return task.Pending
		}
		return task.State(strings.TrimPrefix(t.kind, "task-"))
	}
	return ""
}

// stoodAt returns how a task stood at a position of the feed, as far as it is resolved.
func (d *docket) stoodAt(id string, position int64) task.State {
	state := task.Unscheduled
	for _, t := range d.tracks[id] {
		if t.position >= position {
			break
		}
		if after := d.left(id, t); after != "" {
			state = after
		}
	}
	return state
}

// checkGroups wants that the feed tells when a group is resolved, and sealed.
func (d *docket) checkGroups() {
	resolved, sealed := map[string]int64{}, map[string]bool{}
	for _, e := range d.Events {
		switch e.Kind {
		case "task-group-resolved":
			resolved[e.TaskGroupID] = e.Position
		case "task-group-sealed":
			sealed[e.TaskGroupID] = true
		}
	}
	last := map[string]int64{} // by group: where its last task was resolved for the first time
	for id, item := range d.Final {
		for _, t := range d.tracks[id] {
			if d.left(id, t).Resolved() {
				last[item.Status.TaskGroupID] = max(last[item.Status.TaskGroupID], t.position)
				break
			}
		}
	}
	for group, at := range last {
		if resolved[group] < at && group != d.Final[d.Last].Status.TaskGroupID {
			d.violate("I10", "", "group %s was resolved at position %d, and the feed tells it at %d (0: never)", group, at, resolved[group])
		}
	}
	for group, calls := range d.sealed {
		if slices.ContainsFunc(calls, func(k *Call) bool { return k.Outcome == OK }) && !sealed[group] {
			d.violate("I10", "", "group %s was sealed, and the feed does not tell it", group)
		}
	}
}

// retried reports whether the run was followed by another without anybody asking.
func (d *docket) retried(id string, run int) bool {
	runs := d.Final[id].Status.Runs
	return run+1 < len(runs) && (runs[run+1].ReasonCreated == task.CreatedRetry || runs[run+1].ReasonCreated == task.CreatedTaskRetry)
}
