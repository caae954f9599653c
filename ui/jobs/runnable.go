package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	fullGraph = "public/full-task-graph.json" // of a decision: every task of the tree
	maxGraph  = 1 << 30                       // bytes of it that are read
	maxLabels = 100_000
	// Graphs that were read are kept for a while, since who opens one asks for it again: as many as have this many tasks
	// together.
	maxShelved = 250_000
)

// plans is what decisions' graphs say could run, by task group; the one used longest ago goes first.
type plans struct {
	flight singleflight.Group

	mu    sync.Mutex
	of    map[string][]cell.Cell
	order []string
	tasks int
}

// plan returns the tasks of a push's full graph as cells without ids, by label. It is shared: nobody changes it.
func (ps *Pages) plan(ctx context.Context, group string) ([]cell.Cell, error) {
	if list, ok := ps.plans.get(group); ok {
		return list, nil
	}
	done := ps.plans.flight.DoChan(group, func() (any, error) {
		// Whoever asked first may go away; the others still want it.
		list, err := ps.readPlan(context.WithoutCancel(ctx), group)
		if err == nil {
			ps.plans.put(group, list)
		}
		return list, err
	})
	select {
	case r := <-done:
		list, _ := r.Val.([]cell.Cell)
		return list, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *plans) get(group string) ([]cell.Cell, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, ok := p.of[group]
	if ok {
		p.order = append(slices.DeleteFunc(p.order, func(g string) bool { return g == group }), group)
	}
	return list, ok
}

func (p *plans) put(group string, list []cell.Cell) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string][]cell.Cell{}
	}
	if _, known := p.of[group]; known {
		return
	}
	p.of[group], p.order, p.tasks = list, append(p.order, group), p.tasks+len(list)
	for p.tasks > maxShelved && len(p.order) > 1 {
		p.tasks -= len(p.of[p.order[0]])
		delete(p.of, p.order[0])
		p.order = p.order[1:]
	}
}

func (ps *Pages) readPlan(ctx context.Context, group string) ([]cell.Cell, error) {
	body, err := ps.open(ctx, group, fullGraph)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "The decision of this push has not said yet what there is to run.")
	}
	if err != nil {
		return nil, err
	}
	list, err := planned(io.LimitReader(body, maxGraph))
	if err := cmp.Or(err, body.Close()); err != nil {
		return nil, fmt.Errorf("ui: %s of %s: %w", fullGraph, group, err)
	}
	return list, nil
}

// open opens an artifact of a decision that is kept here.
func (ps *Pages) open(ctx context.Context, group, name string) (io.ReadCloser, error) {
	a, _, err := ps.Queue.FollowLinks(ctx, group, queue.LatestRun, name)
	if err != nil {
		return nil, err
	}
	if a.StorageType != queue.StorageObject {
		return nil, fault.New(fault.NotFound, "%s of this push is kept elsewhere.", name)
	}
	_, body, err := ps.Objects.Open(ctx, a.ObjectName())
	return body, err
}

// node is what is wanted of a graph's task.
type node struct {
	Kind string `json:"kind"`
	Task struct {
		TaskQueueID   string `json:"taskQueueId"`
		ProvisionerID string `json:"provisionerId"`
		WorkerType    string `json:"workerType"`
		Extra         struct {
			Treeherder json.RawMessage `json:"treeherder"`
		} `json:"extra"`
	} `json:"task"`
}

// planned reads the tasks of a graph, an object by label that may be large, and sorts them.
func planned(r io.Reader) ([]cell.Cell, error) {
	list := []cell.Cell{}
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fault.New(fault.Invalid, "the graph is no JSON object")
	}
	for d.More() && len(list) < maxLabels {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read the graph: %w", err)
		}
		label, _ := t.(string)
		var n node
		var wrong *json.UnmarshalTypeError
		// A task of another shape is known by its label alone.
		if err := d.Decode(&n); err != nil && !errors.As(err, &wrong) {
			return nil, fmt.Errorf("read the graph: %w", err)
		}
		on := n.Task.TaskQueueID
		if on == "" && n.Task.ProvisionerID != "" {
			on = n.Task.ProvisionerID + "/" + n.Task.WorkerType
		}
		list = append(list, cell.Planned(label, n.Kind, on, n.Task.Extra.Treeherder))
	}
	slices.SortFunc(list, func(a, b cell.Cell) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// runnableJSON is what a push could run, as cells without ids; jobs/overlay.tsx reads it.
type runnableJSON struct {
	Columns *cell.Columns `json:"columns"`
	Allowed bool          `json:"allowed"` // to run them
	Why     string        `json:"why"`     // why not
}

// runnable lists what a push could run, for the grid.
func (ps *Pages) runnable(v *page.Visit) (any, error) {
	list, out, err := ps.offered(v)
	if err != nil {
		return nil, err
	}
	return runnableJSON{cell.Pack(list), out.Allowed, out.Why}, nil
}

// offered reads what the push of the address could run, and whether the visitor may run it.
func (ps *Pages) offered(v *page.Visit) ([]cell.Cell, labelsJSON, error) {
	var out labelsJSON
	group := v.R.PathValue("group")
	if !slug.Valid(group) {
		return nil, out, page.ErrNoPage
	}
	if err := v.Allow(scope.String("queue:get-artifact:" + fullGraph)); err != nil {
		return nil, out, err
	}
	list, err := ps.plan(v.R.Context(), group)
	if err != nil {
		return nil, out, err
	}
	out.Why = "This push offers no action " + addAction + "."
	offer, err := ps.offer(v, group)
	if err == nil {
		out.Allowed, out.Why = offer.Allowed, offer.Why
	} else if !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Forbidden) {
		return nil, out, err
	}
	return list, out, nil
}

// estimateJSON is what some jobs are likely to take; jobs/overlay.tsx reads it.
type estimateJSON struct {
	Seconds float64 `json:"seconds"` // of workers
	Guessed int     `json:"guessed"` // how many never passed here before: they are taken for the middle of the others
	Cost    string  `json:"cost"`    // "" where no pool of theirs has a price
}

// estimate says what the jobs of a form are likely to take, by how long they took on earlier pushes.
func (ps *Pages) estimate(v *page.Visit) (any, error) {
	labels, err := labelsOf(v)
	if err != nil {
		return nil, err
	}
	list, _, err := ps.offered(v)
	if err != nil {
		return nil, err
	}
	ctx := v.R.Context()
	repo, err := ps.repositoryOf(ctx, v.R.PathValue("group"))
	if err != nil {
		return nil, err
	}
	usual, err := ps.Failures.Typical(ctx, repo, labels)
	if err != nil {
		return nil, err
	}
	known := make([]float64, 0, len(usual))
	for _, d := range usual {
		known = append(known, d.Seconds())
	}
	slices.Sort(known)
	var e estimateJSON
	busy := map[string]float64{} // hours by pool
	for _, l := range labels {
		at, ok := slices.BinarySearchFunc(list, l, func(c cell.Cell, l string) int { return cmp.Compare(c.Name, l) })
		if !ok {
			return nil, fault.New(fault.Invalid, "This push has no job %q.", l)
		}
		seconds := 0.0
		if d, passed := usual[l]; passed {
			seconds = d.Seconds()
		} else {
			e.Guessed++
			if len(known) > 0 {
				seconds = known[len(known)/2]
			}
		}
		e.Seconds += seconds
		busy[list[at].Queue] += seconds / 3600
	}
	e.Cost, err = ps.price(ctx, busy)
	return e, err
}

// price is what hours of pools cost; "" where none of them has a price.
func (ps *Pages) price(ctx context.Context, hours map[string]float64) (string, error) {
	if ps.Prices == nil {
		return "", nil
	}
	pools := make([]string, 0, len(hours))
	for p := range hours {
		pools = append(pools, p)
	}
	slices.Sort(pools)
	prices, currency, err := ps.Prices(ctx, pools)
	if err != nil || len(prices) == 0 {
		return "", err
	}
	sum := 0.0
	for pool, price := range prices {
		sum += price * hours[pool]
	}
	if sum > 0 && sum < 0.01 {
		return fmt.Sprintf("%.4f %s", sum, currency), nil
	}
	return fmt.Sprintf("%.2f %s", sum, currency), nil
}
