package pools

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/ui/page"
)

// costTab is what a pool's workers cost, by what they did.
type costTab struct {
	Span   string
	Tasks  []spent
	More   spent // of tasks that are not shown
	Hidden int
	Total  string // of all tasks
	Paid   string // for workers, work or none; "" where it was not measured
	Idle   string // part of Paid for which there was no task
	Amount float64
}

// spent is what tasks of a name cost.
type spent struct {
	Name   string
	TaskID string
	Runs   int
	Time   string
	Cost   string
	Share  string

	amount float64
	busy   time.Duration
}

const tasksShown = 100

func (ps *Pages) costTab(v *page.Visit, s *subject) (*costTab, error) {
	t := &costTab{Span: "24h"}
	since := 24 * time.Hour
	if v.R.FormValue("span") == "7d" {
		t.Span, since = "7d", 7*24*time.Hour
	}
	list, err := ps.spent(v.R.Context(), s, since)
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		t.Amount += x.amount
	}
	currency := s.Prices.Currency
	finish := func(x *spent) {
		x.Cost, x.Time = money(currency, x.amount), length(x.busy)
		if t.Amount > 0 {
			x.Share = rate(x.amount / t.Amount)
		}
	}
	for i := range list {
		if i < tasksShown {
			finish(&list[i])
			t.Tasks = append(t.Tasks, list[i])
			continue
		}
		t.More.Runs, t.More.amount, t.More.busy = t.More.Runs+list[i].Runs, t.More.amount+list[i].amount, t.More.busy+list[i].busy
		t.Hidden++
	}
	finish(&t.More)
	t.Total = money(currency, t.Amount)
	return t, ps.paid(v.R.Context(), s, since, t)
}

// spent adds up what a pool's workers cost while they did tasks, by the tasks' names, the dearest first. A task costs the
// part of its worker's price that the worker's capacity gives it, for as long as it ran.
func (ps *Pages) spent(ctx context.Context, s *subject, since time.Duration) ([]spent, error) {
	busy, err := ps.Gauge.Busy(ctx, s.ID, since)
	if err != nil {
		return nil, err
	}
	made, err := ps.made(ctx, s)
	if err != nil {
		return nil, err
	}
	by := map[string]*spent{}
	for _, b := range busy {
		x := by[b.Name]
		if x == nil {
			x = &spent{Name: b.Name, TaskID: b.TaskID}
			by[b.Name] = x
		}
		config, capacity := "", 1
		if w := made[b.WorkerGroup+"/"+b.WorkerID]; w != nil {
			config, capacity = w.LaunchConfigID, max(1, w.Capacity)
		}
		x.Runs, x.busy = x.Runs+b.Runs, x.busy+b.For
		x.amount += s.Prices.Of(config) / float64(capacity) * b.For.Hours()
	}
	list := make([]spent, 0, len(by))
	for _, x := range by {
		list = append(list, *x)
	}
	slices.SortFunc(list, func(a, b spent) int { return cmp.Or(cmp.Compare(b.amount, a.amount), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}

// paid adds what the workers cost in all, from the samples.
func (ps *Pages) paid(ctx context.Context, s *subject, since time.Duration, t *costTab) error {
	const step = 30 * time.Minute
	points, err := ps.Gauge.History(ctx, []string{s.ID}, since, step)
	if err != nil {
		return err
	}
	sum, measured := total(points[s.ID], min(since, time.Duration(len(points[s.ID]))*step))
	if !measured || sum < t.Amount {
		return nil
	}
	t.Paid = money(s.Prices.Currency, sum)
	t.Idle = rate(1 - t.Amount/sum)
	return nil
}

// total is what was paid over a time that points tell of: those at its ends tell of parts of a step only, so all count alike.
func total(points []gauge.Point, long time.Duration) (sum float64, measured bool) {
	for _, p := range points {
		if p.Hourly != nil {
			sum, measured = sum+*p.Hourly, true
		}
	}
	if measured {
		sum *= long.Hours() / float64(len(points))
	}
	return sum, measured
}
