package pools

import (
	"cmp"
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/ui/page"
)

// entry is a pool, or a task queue, in a list.
type entry struct {
	ID, Href    string
	Provider    string // "" for a task queue without a pool
	HasPool     bool
	Paused      bool
	Leaving     bool // due for deletion
	Pending     int
	Running     int
	Capacity    int
	Most        int // capacity at most; 0: nobody says
	Workers     int
	Quarantined int
	Oldest      time.Time
	Active      time.Time
	N           int  // runs that P50 and P95 tell of
	Late        bool // they are being read
	P50, P95    string
	Errors      int
	Hourly      *float64
	Cost        string
	Bar, Spark  template.HTML

	p95 time.Duration
}

// lists is what both lists show.
type lists struct {
	Q, Sort string
	Sorts   [][2]string
	Entries []entry
	All     int  // that there are, whatever the filter
	More    int  // that fit but are not shown
	Priced  bool // some have a price
	Alone   int  // task queues without a pool, on the page of pools
	Others  []entry
}

const (
	maxEntries = 500
	maxOthers  = 20 // task queues without a pool that stand below the pools
)

// config is the part of a pool's config that lists look at.
type config struct {
	Max *int `json:"maxCapacity"`
}

// paused reports whether a pool is told to make no workers at all.
func paused(c config) bool { return c.Max != nil && *c.Max == 0 }

func readConfig(text json.RawMessage) (c config) {
	decode(text, &c)
	return c
}

// decode reads JSON that a schema has seen; what cannot be read stays as it is.
func decode(text json.RawMessage, into any) bool { return json.Unmarshal(text, into) == nil }

// list shows the worker pools.
func (ps *Pages) list(v *page.Visit) error {
	if err := v.Allow(seePools); err != nil {
		return err
	}
	stream := ps.Live.Path(v, "pools=1")
	all, alone, err := ps.entries(v.R.Context())
	if err != nil {
		return err
	}
	body := sorted(v, all, [][2]string{{"name", "Name"}, {"pending", "Pending"}, {"running", "Running"}, {"used", "Capacity used"}, {"wait", "Wait"}, {"errors", "Errors"}})
	body.Alone = len(alone)
	slices.SortStableFunc(alone, func(a, b entry) int { return b.Active.Compare(a.Active) })
	body.Others = alone[:min(len(alone), maxOthers)]
	return v.Show(http.StatusOK, page.View{Title: "Worker pools", Name: "pools", Stream: stream, Body: body}, nil)
}

// queues shows all task queues, those with a pool too.
func (ps *Pages) queues(v *page.Visit) error {
	if err := v.Allow(seeQueues); err != nil {
		return err
	}
	stream := ps.Live.Path(v, "pools=1")
	all, alone, err := ps.entries(v.R.Context())
	if err != nil {
		return err
	}
	all = append(all, alone...)
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.ID, b.ID) })
	body := sorted(v, all, [][2]string{{"name", "Name"}, {"pending", "Pending"}, {"running", "Running"}, {"wait", "Wait"}, {"oldest", "Longest waiting"}, {"active", "Used last"}})
	return v.Show(http.StatusOK, page.View{Title: "Task queues", Name: "queues", Stream: stream, Body: body}, nil)
}

// entries are the pools, and the task queues without one, each by name.
func (ps *Pages) entries(ctx context.Context) (withPool, without []entry, err error) {
	var list []manager.Pool
	for after := ""; ; after = list[len(list)-1].ID {
		some, err := ps.Pools.List(ctx, after, 1000)
		if err != nil {
			return nil, nil, err
		}
		if list = append(list, some...); len(some) < 1000 {
			break
		}
	}
	lines, err := ps.Gauge.Lines(ctx)
	if err != nil {
		return nil, nil, err
	}
	standings, err := ps.Pools.Standings(ctx)
	if err != nil {
		return nil, nil, err
	}
	errs, err := ps.Pools.ErrorsSince(ctx, 24)
	if err != nil {
		return nil, nil, err
	}
	byID, ids := map[string]gauge.Line{}, make([]string, 0, len(lines)+len(list))
	for _, l := range lines {
		byID[l.TaskQueueID] = l
		ids = append(ids, l.TaskQueueID)
	}
	for i := range list {
		p := &list[i]
		if _, ok := byID[p.ID]; !ok {
			ids = append(ids, p.ID)
		}
		e := entryOf(p.ID, byID[p.ID])
		e.HasPool, e.Provider, e.Capacity, e.Errors = true, p.ProviderID, max(p.RunningCapacity, e.Running), errs[p.ID]
		e.Leaving = p.ProviderID == manager.NullProvider
		c := readConfig(p.Config)
		if e.Paused = paused(c) && !e.Leaving; c.Max != nil {
			e.Most = *c.Max
		}
		if s := standings[p.ID]; s.Hourly != nil {
			e.Hourly, e.Cost = s.Hourly, money(s.Currency, *s.Hourly)
		}
		delete(byID, p.ID)
		withPool = append(withPool, e)
	}
	for _, l := range lines {
		if _, left := byID[l.TaskQueueID]; left {
			e := entryOf(l.TaskQueueID, l)
			e.Capacity = max(l.Workers-l.Quarantined, l.Running)
			without = append(without, e)
		}
	}
	day, err := ps.day(ctx, ids)
	for _, some := range [][]entry{withPool, without} {
		for i := range some {
			some[i].Bar, some[i].Spark = bar(some[i].Running, some[i].Capacity), spark(day[some[i].ID])
		}
	}
	return withPool, without, err
}

func entryOf(id string, l gauge.Line) entry {
	e := entry{
		ID: id, Href: Path(id), Pending: l.Pending, Running: l.Running, Workers: l.Workers, Quarantined: l.Quarantined,
		Oldest: l.Oldest, Active: l.Active, N: l.Waits.N, Late: l.Waits.Late, p95: l.Waits.P95,
	}
	if l.Waits.N > 0 {
		e.P50, e.P95 = length(l.Waits.P50), length(l.Waits.P95)
	}
	return e
}

// orders are by what lists can be sorted; what needs a look comes first.
var orders = map[string]func(a, b entry) int{
	"pending": func(a, b entry) int { return b.Pending - a.Pending },
	"running": func(a, b entry) int { return b.Running - a.Running },
	"used": func(a, b entry) int {
		return cmp.Compare(float64(b.Running)/float64(max(1, b.Capacity)), float64(a.Running)/float64(max(1, a.Capacity)))
	},
	"wait":   func(a, b entry) int { return cmp.Compare(b.p95, a.p95) },
	"errors": func(a, b entry) int { return b.Errors - a.Errors },
	"oldest": func(a, b entry) int {
		return cmp.Or(boolean(a.Oldest.IsZero(), b.Oldest.IsZero()), a.Oldest.Compare(b.Oldest))
	},
	"active": func(a, b entry) int { return b.Active.Compare(a.Active) },
	"cost": func(a, b entry) int {
		value := func(e entry) float64 {
			if e.Hourly == nil {
				return -1
			}
			return *e.Hourly
		}
		return cmp.Compare(value(b), value(a))
	},
}

func boolean(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// sorted filters and sorts entries as the address asks for.
func sorted(v *page.Visit, all []entry, sorts [][2]string) *lists {
	b := &lists{Q: v.R.FormValue("q"), Sort: v.R.FormValue("sort"), Sorts: sorts, All: len(all)}
	words := strings.Fields(strings.ToLower(b.Q))
	for _, e := range all {
		text := strings.ToLower(e.ID + " " + e.Provider)
		if e.Paused {
			text += " paused"
		}
		if e.Leaving {
			text += " deleted"
		}
		b.Priced = b.Priced || e.Hourly != nil
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			b.Entries = append(b.Entries, e)
		}
	}
	if b.Priced {
		b.Sorts = append(b.Sorts, [2]string{"cost", "Cost"})
	}
	if order, ok := orders[b.Sort]; ok {
		slices.SortStableFunc(b.Entries, order)
	} else {
		b.Sort = "name"
	}
	b.More = max(0, len(b.Entries)-maxEntries)
	b.Entries = b.Entries[:len(b.Entries)-b.More]
	return b
}
