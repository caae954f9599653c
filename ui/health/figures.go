package health

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/groups/path"
)

// maxPath is how many tasks of the critical path the page shows.
const maxPath = 12

// figures are what a push takes: the chain of tasks that decides when it ends, how long it still runs, what it costs.
type figures struct {
	Path   []link `json:"path"`   // the critical path; its longest tasks when it is long
	Length int    `json:"length"` // in tasks
	Takes  int64  `json:"takes"`  // milliseconds, of the path
	Left   int64  `json:"left"`   // milliseconds until the last task has ended, as far as is known; 0 when all have
	// Guessed is how many of the tasks that have not ended never passed here before: they are taken to run as long as the
	// middle of the others.
	Guessed int     `json:"guessed"`
	Hours   float64 `json:"hours"` // that workers were busy
	Cost    string  `json:"cost"`  // of those hours, "" where no pool has a price
}

// link is a task of the critical path.
type link struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	Takes int64  `json:"takes"`
}

// Prices tells what an hour of a worker of each pool costs, and in which currency; pools without a price are left out. Where
// the pools' currencies differ it tells of none: there is no sum.
type Prices func(ctx context.Context, pools []string) (map[string]float64, string, error)

func (ps *Pages) figures(ctx context.Context, p push.Push) (*figures, error) {
	if p.TaskGroupID == "" || p.State != push.Decided {
		return nil, nil
	}
	cells, _, err := cell.List(ctx, ps.Queue, p.TaskGroupID)
	if err != nil || len(cells) == 0 {
		return nil, err
	}
	needs, err := ps.Queue.Needs(ctx, p.TaskGroupID)
	if err != nil {
		return nil, err
	}
	var open []string
	for i := range cells {
		if cells[i].Ended == 0 {
			open = append(open, cells[i].Name)
		}
	}
	usual, err := ps.Failures.Typical(ctx, p.Repository, open)
	if err != nil {
		return nil, err
	}
	of := make(map[string][]string, len(needs))
	for _, n := range needs {
		of[n.TaskID] = n.Needs
	}
	f := reckon(cells, of, usual, time.Now().UnixMilli())
	return f, ps.price(ctx, cells, f)
}

// reckon computes all but the cost, at a time in milliseconds.
func reckon(cells []cell.Cell, needs map[string][]string, usual map[string]time.Duration, now int64) *figures {
	f := &figures{Path: []link{}}
	var known []int64
	for i := range cells {
		if c := &cells[i]; c.Started > 0 && c.Ended > 0 {
			known = append(known, c.Ended-c.Started)
		}
	}
	for _, d := range usual {
		known = append(known, d.Milliseconds())
	}
	slices.Sort(known)
	middle := int64(0)
	if len(known) > 0 {
		middle = known[len(known)/2]
	}
	all := make([]path.Task, 0, len(cells))
	left := make([]path.Task, 0, len(cells))
	by := make(map[string]*cell.Cell, len(cells))
	var busy int64
	for i := range cells {
		c := &cells[i]
		by[c.ID] = c
		busy += c.Before
		if c.Started > 0 {
			busy += max(0, cmp.Or(c.Ended, now)-c.Started)
		}
		takes, still := c.Ended-cmp.Or(c.Scheduled, c.Ended), int64(0)
		if c.Ended == 0 {
			expected, ok := usual[c.Name]
			ms := expected.Milliseconds()
			if !ok {
				f.Guessed++
				ms = middle
			}
			waited := int64(0)
			if c.Scheduled > 0 {
				waited = cmp.Or(c.Started, now) - c.Scheduled
			}
			takes, still = waited+ms, ms
			if c.Started > 0 {
				still = max(0, ms-(now-c.Started)) // what runs longer than usual may end at any moment
				takes = waited + max(ms, now-c.Started)
			}
		}
		all = append(all, path.Task{ID: c.ID, Needs: needs[c.ID], Takes: time.Duration(max(0, takes)) * time.Millisecond})
		left = append(left, path.Task{ID: c.ID, Needs: needs[c.ID], Takes: time.Duration(still) * time.Millisecond})
	}
	f.Left, f.Hours = path.Critical(left).Takes.Milliseconds(), float64(busy)/float64(time.Hour/time.Millisecond)
	critical := path.Critical(all)
	f.Length, f.Takes = len(critical.Path), critical.Takes.Milliseconds()
	took := make(map[string]int64, len(all))
	for _, t := range all {
		took[t.ID] = t.Takes.Milliseconds()
	}
	f.show(critical.Path, by, took)
	return f
}

// show keeps the longest tasks of the path, in its order.
func (f *figures) show(chain []string, by map[string]*cell.Cell, took map[string]int64) {
	keep := slices.Clone(chain)
	slices.SortStableFunc(keep, func(a, b string) int { return cmp.Compare(took[b], took[a]) })
	keep = keep[:min(maxPath, len(keep))]
	for _, id := range chain {
		if slices.Contains(keep, id) {
			f.Path = append(f.Path, link{id, by[id].Name, by[id].State, took[id]})
		}
	}
}

// price says what the workers' hours cost where pools have a price.
func (ps *Pages) price(ctx context.Context, cells []cell.Cell, f *figures) error {
	if ps.Prices == nil {
		return nil
	}
	busy := map[string]int64{}
	now := time.Now().UnixMilli()
	for i := range cells {
		c := &cells[i]
		ms := c.Before // also of a task that waits to be run again
		if c.Started > 0 {
			ms += max(0, cmp.Or(c.Ended, now)-c.Started)
		}
		if ms > 0 {
			busy[c.Queue] += ms
		}
	}
	pools := make([]string, 0, len(busy))
	for pool := range busy {
		pools = append(pools, pool)
	}
	slices.Sort(pools)
	prices, currency, err := ps.Prices(ctx, pools)
	if err != nil || len(prices) == 0 {
		return err
	}
	sum := 0.0
	for pool, price := range prices {
		sum += price * float64(busy[pool]) / float64(time.Hour/time.Millisecond)
	}
	f.Cost = money(sum) + " " + currency
	return nil
}

// money has two digits behind the point, and more for what would be nothing.
func money(x float64) string {
	if x > 0 && x < 0.01 {
		return fmt.Sprintf("%.4f", x)
	}
	return fmt.Sprintf("%.2f", math.Round(x*100)/100)
}

// Span is milliseconds as people read them.
func (f *figures) Span(ms int64) string {
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}
