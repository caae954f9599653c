package soaktest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/task"
)

// Tally counts what rounds do. It can be used concurrently.
type Tally struct {
	mu    sync.Mutex
	began time.Time
	t     Totals
}

// Totals is what a soak has done so far; it is also its report as JSON.
type Totals struct {
	Seeds      []uint64                 `json:"seeds"`
	Rounds     int                      `json:"rounds"`
	Seconds    float64                  `json:"seconds"`
	Operations int                      `json:"operations"` // calls with a judged outcome
	PerSecond  float64                  `json:"operationsPerSecond"`
	Verbs      map[Verb]map[Outcome]int `json:"verbs"`
	Faults     map[string]int           `json:"faults"`
	Tasks      int                      `json:"tasks"`
	Runs       int                      `json:"runs"`
	Events     int                      `json:"events"`
	Snapshots  int                      `json:"snapshots"` // committed snapshots that were checked as a whole
	Violations []Violation              `json:"violations"`
	BySeed     map[uint64][]string      `json:"violationsBySeed,omitempty"`
}

// NewTally returns an empty tally whose time begins now.
func NewTally() *Tally {
	return &Tally{began: time.Now(), t: Totals{Verbs: map[Verb]map[Outcome]int{}, Faults: map[string]int{}, BySeed: map[uint64][]string{}}}
}

func (t *Tally) call(k *Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t.Operations++
	if t.t.Verbs[k.Verb] == nil {
		t.t.Verbs[k.Verb] = map[Outcome]int{}
	}
	t.t.Verbs[k.Verb][k.Outcome]++
}

func (t *Tally) fault(kind string) { t.faults(kind, 1) }

func (t *Tally) faults(kind string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t.Faults[kind] += n
}

func (t *Tally) snapshot() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t.Snapshots++
}

// round adds what a whole round showed.
func (t *Tally) round(e *Evidence, cuts map[string]int) {
	for kind, n := range cuts {
		t.faults(kind, n)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t.Rounds++
	t.t.Seeds = append(t.t.Seeds, e.Seed)
	t.t.Tasks += len(e.Final)
	for _, i := range e.Final {
		t.t.Runs += len(i.Status.Runs)
	}
	t.t.Events += len(e.Events)
	t.t.Violations = append(t.t.Violations, e.Violations...)
	for _, v := range e.Violations {
		t.t.BySeed[e.Seed] = append(t.t.BySeed[e.Seed], v.String())
	}
}

// Totals returns what was counted so far.
func (t *Tally) Totals() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.t
	out.Seconds = time.Since(t.began).Seconds()
	out.PerSecond = float64(out.Operations) / out.Seconds
	out.Faults = maps.Clone(out.Faults)
	out.Verbs = make(map[Verb]map[Outcome]int, len(t.t.Verbs))
	for v, by := range t.t.Verbs {
		out.Verbs[v] = maps.Clone(by)
	}
	return out
}

// Line is the progress in one line.
func (t Totals) Line() string {
	faults := 0
	for _, n := range t.Faults {
		faults += n
	}
	return fmt.Sprintf("%4.0f s: %d operations (%.0f/s), %d rounds, %d tasks, %d faults, %d snapshots, %d violations",
		t.Seconds, t.Operations, t.PerSecond, t.Rounds, t.Tasks, faults, t.Snapshots, len(t.Violations))
}

// Print writes the report for people.
func (t Totals) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("%s\n%d runs, %d events\n\n", t.Line(), t.Runs, t.Events)
	out.f("%-26s%10s%10s%10s%10s\n", "operation", "calls", "ok", "refused", "unknown")
	for _, v := range slices.Sorted(maps.Keys(t.Verbs)) {
		all, refused := 0, 0
		for o, n := range t.Verbs[v] {
			all += n
			if o != OK && o != Unknown {
				refused += n
			}
		}
		out.f("%-26s%10d%10d%10d%10d\n", v, all, t.Verbs[v][OK], refused, t.Verbs[v][Unknown])
	}
	out.f("\n")
	for _, k := range slices.Sorted(maps.Keys(t.Faults)) {
		out.f("%-46s%10d\n", k, t.Faults[k])
	}
	out.f("\n%d violations\n", len(t.Violations))
	for seed, list := range t.BySeed {
		for _, v := range list[:min(len(list), 20)] {
			out.f("seed %d: %s\n", seed, v)
		}
	}
	return out.err
}

// JSON writes the report for programs.
func (t Totals) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(t)
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// Trial is the part of a round's evidence that concerns the tasks of its violations.
type Trial struct {
	Seed       uint64                        `json:"seed"`
	Violations []Violation                   `json:"violations"`
	Calls      []Call                        `json:"calls"` // in the order of their starts
	Events     []event.Event                 `json:"events"`
	Final      map[string]task.Status        `json:"final"`
	Bodies     map[string][]*task.Definition `json:"bodies"`
}

// Trial picks what is needed to understand the violations.
func (e *Evidence) Trial() Trial {
	out := Trial{Seed: e.Seed, Violations: e.Violations, Final: map[string]task.Status{}, Bodies: map[string][]*task.Definition{}}
	of := map[string]bool{}
	for _, v := range e.Violations[:min(len(e.Violations), 20)] {
		of[v.Task] = true
		for _, b := range e.Bodies[v.Task] {
			for _, dep := range b.Dependencies {
				of[dep] = true
			}
		}
	}
	delete(of, "")
	for _, k := range e.Calls {
		seen := func(s task.Status) bool { return of[s.TaskID] }
		if slices.ContainsFunc(k.Tasks, func(id string) bool { return of[id] }) || slices.ContainsFunc(k.Seen, seen) {
			k.Seen = slices.DeleteFunc(slices.Clone(k.Seen), func(s task.Status) bool { return !seen(s) })
			out.Calls = append(out.Calls, k)
		}
	}
	slices.SortStableFunc(out.Calls, func(a, b Call) int { return cmp.Compare(a.Start, b.Start) })
	for _, ev := range e.Events {
		if of[ev.TaskID] {
			out.Events = append(out.Events, ev)
		}
	}
	for id := range of {
		if i, ok := e.Final[id]; ok {
			out.Final[id] = i.Status
		}
		out.Bodies[id] = e.Bodies[id]
	}
	return out
}
