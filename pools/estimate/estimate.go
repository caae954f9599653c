// Package estimate decides how many workers a pool needs, of which launch config each is to be, and which may
// go (taskcluster-map 12.3). It is arithmetic: what it answers depends on what it is given, and on the random
// numbers that it is given.
package estimate

import "math"

// Load is what a pool's task queue has to do, in tasks.
type Load struct {
	Pending int
	Claimed int
}

// Limits are a pool's own words about its size. Capacity is in tasks at once.
type Limits struct {
	Min, Max int
	Ratio    float64 // capacity wanted for each pending task
}

// Standing is the capacity that a pool has.
type Standing struct {
	Requested int // asked for; those workers have not registered
	Running   int // registered, and not in quarantine
	Stopping  int // on the way out, though it still costs
}

// Need is what a pool needs.
type Need struct {
	Desired int  // capacity that there should be
	Spawn   int  // capacity to ask for now
	Target  int  // capacity of running workers that is of use; what is above may go
	Over    bool // there is much more than the pool may have: somebody should look
}

// What is over the limit by less than this is no alarm: launches overlap.
const (
	alarmFactor = 1.25
	alarmFloor  = 25
)

// Estimate computes a pool's need.
//
// Workers that have nothing to do take pending tasks before new ones are asked for. Workers that are stopping
// count against the limit, for they still cost, but do no work. What was requested already is not requested
// again, however many tasks wait meanwhile.
func Estimate(l Limits, load Load, s Standing) Need {
	existing := s.Requested + s.Running
	total := existing + s.Stopping
	idle := max(0, existing-load.Claimed)
	waiting := max(0, load.Pending-idle)
	n := Need{
		Desired: clamp(times(waiting, l.Ratio)+total, l),
		Target:  clamp(times(load.Pending+load.Claimed, l.Ratio), l),
		Over:    existing > alarmFloor && float64(existing) > alarmFactor*float64(l.Max),
	}
	n.Spawn = max(0, n.Desired-total)
	if existing < l.Min {
		// What stops is no part of the least that the operator wants.
		n.Spawn = max(n.Spawn, min(l.Min-existing, l.Max-total))
	}
	n.Spawn = max(0, n.Spawn)
	return n
}

// clamp keeps a capacity within the limits; the lower wins when they contradict each other, as at the peer.
func clamp(n int, l Limits) int { return max(l.Min, min(n, l.Max)) }

// times is the capacity for a number of tasks: a part of a worker is a worker.
func times(tasks int, ratio float64) int {
	if tasks <= 0 || ratio <= 0 {
		return 0
	}
	product := math.Ceil(float64(tasks) * ratio)
	if product > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(product)
}
