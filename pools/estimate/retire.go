package estimate

import (
	"slices"
	"time"
)

// Worker is a running worker, as Retire looks at it.
type Worker struct {
	Capacity    int
	Since       time.Time // when it was asked for
	Archived    bool      // its launch config is
	Quarantined bool
	Expires     time.Time // its credentials
}

// Verdict is what a worker is told that asks whether to end when it has no work.
type Verdict struct {
	Terminate bool
	Reason    string
}

// The reasons.
const (
	Needed      = "needed"
	OverNeed    = "over capacity"
	OldConfig   = "launch config archived"
	TooOld      = "too old"
	Quarantined = "in quarantine"
)

// lastMinutes is how long before its credentials end a worker is told to end by itself.
const lastMinutes = 15 * time.Minute

// Retire decides about each running worker of a pool of which target is needed: those of archived launch
// configs and those whose credentials are about to end go; of the rest the newest stay, until there is enough,
// and the others may go. Those in quarantine are left as they are, for whoever wants to look into them, and
// do not count as capacity. Answers are in the order of the workers.
func Retire(workers []Worker, target int, now time.Time) []Verdict {
	order := make([]int, len(workers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return workers[b].Since.Compare(workers[a].Since) })
	out := make([]Verdict, len(workers))
	kept := 0
	for _, i := range order {
		w := &workers[i]
		switch {
		case w.Quarantined:
			out[i] = Verdict{false, Quarantined}
		case w.Archived:
			out[i] = Verdict{true, OldConfig}
		case !w.Expires.IsZero() && w.Expires.Sub(now) < lastMinutes:
			out[i] = Verdict{true, TooOld}
		case kept >= target:
			out[i] = Verdict{true, OverNeed}
		default:
			out[i] = Verdict{false, Needed}
			kept += w.Capacity
		}
	}
	return out
}
