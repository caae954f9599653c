package pools

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Standalone is the state of workers that the queue knows and no pool does.
const Standalone State = "standalone"

// Joined is a worker as the queue knows it, with what its pool knows.
type Joined struct {
	Seen
	Worker *Worker // nil when no pool knows it
}

// State is the worker's state in its pool.
func (j *Joined) State() State {
	if j.Worker == nil {
		return Standalone
	}
	return j.Worker.State
}

// JoinFilter says which workers to list; what is "" or nil does not matter.
type JoinFilter struct {
	LaunchConfigID string
	State          State
	Quarantined    *bool
}

// Joined lists the workers that the queue knows of a task queue, by group and id.
func (p *Pools) Joined(ctx context.Context, poolID string, f JoinFilter, at time.Time) ([]Joined, error) {
	seen, err := p.Seen(ctx, poolID)
	if err != nil {
		return nil, err
	}
	known, err := p.allWorkers(ctx, poolID)
	if err != nil {
		return nil, err
	}
	list := make([]Joined, 0, len(seen))
	for _, s := range seen {
		j := Joined{Seen: s}
		if w, ok := known[Key{poolID, s.WorkerGroup, s.WorkerID}]; ok {
			j.Worker = &w
		}
		switch {
		case f.State != "" && j.State() != f.State:
		case f.LaunchConfigID != "" && (j.Worker == nil || j.Worker.LaunchConfigID != f.LaunchConfigID):
		case f.Quarantined != nil && s.QuarantineUntil.After(at) != *f.Quarantined:
		default:
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(a, b Joined) int {
		if c := strings.Compare(a.WorkerGroup, b.WorkerGroup); c != 0 {
			return c
		}
		return strings.Compare(a.WorkerID, b.WorkerID)
	})
	return list, nil
}

// JoinedOne returns one such worker; one that never asked for work is a fault.NotFound.
func (p *Pools) JoinedOne(ctx context.Context, k Key) (Joined, error) {
	seen, ok, err := p.SeenOne(ctx, k)
	if err != nil {
		return Joined{}, err
	}
	if !ok {
		return Joined{}, fault.New(fault.NotFound, "The worker %s is not known: it has not asked for work lately.", k)
	}
	j := Joined{Seen: seen}
	w, err := p.Worker(ctx, k)
	if err == nil {
		j.Worker = &w
	} else if fault.KindOf(err) != fault.NotFound {
		return Joined{}, err
	}
	return j, nil
}
