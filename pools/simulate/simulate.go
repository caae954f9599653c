// Package simulate lets a worker pool live through days of load in moments: tasks come and go by a made-up
// clock, workers are asked for, fail to come, boot, work, are lost and end, and what decides is what decides in
// the server, package estimate. It shows what a pool's settings mean in waiting and in money.
package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/pools/estimate"
)

// Scenario is a pool and what happens to it.
type Scenario struct {
	Name   string
	Limits estimate.Limits
	// Rate is how many tasks come an hour, at a time since Monday 0:00.
	Rate func(at time.Duration) float64
	// Work is how long a task takes, in the middle; a few take much longer.
	Work time.Duration
	// Boot is how long a worker needs from being asked for until it asks for work.
	Boot time.Duration
	// Idle is how long a worker is without work before it asks whether to end.
	Idle time.Duration
	// Failing is the part of launches that fail, Lost of workers that are taken away each hour of their life.
	Failing, Lost float64
	// Outage is when no launch succeeds; Until zero: never.
	OutageFrom, OutageUntil time.Duration
	PerInstance             int
	Length                  time.Duration
	Seed                    uint64
}

// Result is what came of it.
type Result struct {
	Tasks         int
	Retried       int           // claims that were lost with their worker
	P50, P95, Max time.Duration // of waiting, from creation to the claim that counts
	MachineHours  float64       // that were paid for
	WorkHours     float64       // that tasks took, the lost attempts apart
	Peak          int           // capacity at once
	Above         time.Duration // time during which capacity was above the limit
	Launches      int
	Failures      int
	Left          int // capacity at the end, an hour of quiet after the last task
}

// Use is the part of the hours paid for in which tasks ran.
func (r *Result) Use(perInstance int) float64 {
	if r.MachineHours == 0 {
		return 0
	}
	return r.WorkHours / (r.MachineHours * float64(perInstance))
}

const (
	step = 10 * time.Second // as often as the server looks
	// quiet is how long no tasks come at the end.
	quiet = 2 * time.Hour
)

type task struct {
	created, work time.Duration
}

type worker struct {
	since, ready time.Duration // asked for; able to work
	busy         []run
	idle         time.Duration // since when it has no work
}

type run struct {
	task
	ends time.Duration
}

type world struct {
	Scenario
	r       *rand.Rand
	now     time.Duration
	pending []task
	workers []*worker
	errors  []time.Duration
	refused int // since a launch last succeeded
	waits   []time.Duration
	out     Result
}

// Run lives through a scenario. The same scenario has the same result.
func Run(s Scenario) Result {
	if s.PerInstance == 0 {
		s.PerInstance = 1
	}
	w := &world{Scenario: s, r: rand.New(rand.NewPCG(s.Seed, 7))}
	for ; w.now < s.Length+quiet || len(w.pending) > 0 || w.claimed() > 0; w.now += step {
		w.arrive()
		w.lose()
		w.finish()
		w.claim()
		w.end()
		w.provision()
		w.count()
	}
	slices.Sort(w.waits)
	if n := len(w.waits); n > 0 {
		w.out.P50, w.out.P95, w.out.Max = w.waits[n/2], w.waits[n*95/100], w.waits[n-1]
	}
	w.out.Tasks, w.out.Left = len(w.waits), len(w.workers)*s.PerInstance
	return w.out
}

// arrive lets tasks come, by chance around the rate of the hour.
func (w *world) arrive() {
	if w.now >= w.Length {
		return
	}
	for n := w.poisson(w.Rate(w.now) * step.Hours()); n > 0; n-- {
		// Most take about Work; the spread is that of builds and tests.
		d := time.Duration(float64(w.Work) * math.Exp(0.6*w.r.NormFloat64()))
		w.pending = append(w.pending, task{w.now, max(d, time.Second)})
	}
}

func (w *world) poisson(mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*w.r.NormFloat64())))
	}
	limit, product := math.Exp(-mean), 1.0
	for n := 0; ; n++ {
		if product *= w.r.Float64(); product < limit {
			return n
		}
	}
}

// lose takes workers away; what they had claimed comes back.
func (w *world) lose() {
	w.workers = slices.DeleteFunc(w.workers, func(x *worker) bool {
		if x.ready > w.now || w.r.Float64() >= w.Lost*step.Hours() {
			return false
		}
		for _, b := range x.busy {
			w.pending = append(w.pending, b.task)
			w.out.Retried++
		}
		return true
	})
}

func (w *world) finish() {
	for _, x := range w.workers {
		before := len(x.busy)
		x.busy = slices.DeleteFunc(x.busy, func(b run) bool {
			if b.ends > w.now {
				return false
			}
			w.out.WorkHours += b.work.Hours()
			return true
		})
		if before > 0 && len(x.busy) == 0 {
			x.idle = w.now
		}
	}
}

func (w *world) claim() {
	for _, x := range w.workers {
		for x.ready <= w.now && len(x.busy) < w.PerInstance && len(w.pending) > 0 {
			t := w.pending[0]
			w.pending = w.pending[1:]
			w.waits = append(w.waits, w.now-t.created)
			x.busy = append(x.busy, run{t, w.now + t.work})
		}
	}
}

// end lets workers go that have had no work for a while and are told that they may.
func (w *world) end() {
	asks := func(x *worker) bool { return x.ready <= w.now && len(x.busy) == 0 && w.now-x.idle >= w.Idle }
	if !slices.ContainsFunc(w.workers, asks) {
		return
	}
	var list []estimate.Worker
	var ready []*worker
	for _, x := range w.workers {
		if x.ready <= w.now {
			list = append(list, estimate.Worker{Capacity: w.PerInstance, Since: time.Unix(0, int64(x.since))})
			ready = append(ready, x)
		}
	}
	target := estimate.Estimate(w.Limits, estimate.Load{Pending: len(w.pending), Claimed: w.claimed()}, w.standing()).Target
	gone := map[*worker]bool{}
	for i, v := range estimate.Retire(list, target, time.Unix(0, int64(w.now))) {
		if v.Terminate && asks(ready[i]) {
			gone[ready[i]] = true
		}
	}
	w.workers = slices.DeleteFunc(w.workers, func(x *worker) bool { return gone[x] })
}

func (w *world) claimed() (n int) {
	for _, x := range w.workers {
		n += len(x.busy)
	}
	return n
}

func (w *world) standing() (s estimate.Standing) {
	for _, x := range w.workers {
		if x.ready > w.now {
			s.Requested += w.PerInstance
		} else {
			s.Running += w.PerInstance
		}
	}
	return s
}

func (w *world) provision() {
	s := w.standing()
	if w.refused > 0 && w.now-w.errors[len(w.errors)-1] < estimate.Pause(w.refused) {
		return
	}
	need := estimate.Estimate(w.Limits, estimate.Load{Pending: len(w.pending), Claimed: w.claimed()}, s)
	if w.refused == 0 {
		w.errors = slices.DeleteFunc(w.errors, func(at time.Duration) bool { return w.now-at > time.Hour })
	}
	existing := s.Requested + s.Running
	configs := []estimate.Config{{ID: "only", Weight: 1, PerInstance: w.PerInstance, Max: -1, Existing: existing, Errors: len(w.errors)}}
	for range estimate.Choose(configs, need.Spawn, w.Limits.Max-existing, existing, w.r.Float64) {
		w.out.Launches++
		if w.r.Float64() < w.Failing || w.now >= w.OutageFrom && w.now < w.OutageUntil {
			w.errors = append(w.errors, w.now)
			w.out.Failures, w.refused = w.out.Failures+1, w.refused+1
			continue
		}
		w.refused = 0
		boot := time.Duration(float64(w.Boot) * (0.8 + 0.4*w.r.Float64()))
		w.workers = append(w.workers, &worker{since: w.now, ready: w.now + boot, idle: w.now + boot})
	}
}

func (w *world) count() {
	capacity := len(w.workers) * w.PerInstance
	w.out.Peak = max(w.out.Peak, capacity)
	if capacity > w.Limits.Max {
		w.out.Above += step
	}
	w.out.MachineHours += float64(len(w.workers)) * step.Hours()
}
