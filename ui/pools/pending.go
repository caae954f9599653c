package pools

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/ui/page"
)

// pendingTab is the line of a task queue, the next to be claimed first.
type pendingTab struct {
	List       []waiting
	From, All  int
	Next, Prev string
	Served     string // who serves the line, in a sentence
	Why        string // it may not be seen
}

type waiting struct {
	gauge.Waiting
	Place  int
	Reason string
}

const pendingShown = 200

func (ps *Pages) pendingTab(v *page.Visit, s *subject) (*pendingTab, error) {
	t := &pendingTab{All: s.Line.Pending}
	if err := v.Allow(seePending(s.ID)); err != nil {
		t.Why = fault.Message(err)
		return t, nil
	}
	from, _ := strconv.Atoi(v.R.FormValue("from"))
	t.From = max(0, from)
	list, err := ps.Gauge.Pending(v.R.Context(), s.ID, t.From, pendingShown+1)
	if err != nil {
		return nil, err
	}
	at := func(from int) string {
		return Path(s.ID) + "?" + url.Values{"tab": {"pending"}, "from": {strconv.Itoa(from)}}.Encode()
	}
	if len(list) > pendingShown {
		list, t.Next = list[:pendingShown], at(t.From+pendingShown)
	}
	if t.From > 0 {
		t.Prev = at(max(0, t.From-pendingShown))
	}
	for i, w := range list {
		t.List = append(t.List, waiting{w, t.From + i + 1, reason(w, t.From+i)})
	}
	t.Served = served(s)
	return t, nil
}

// created are the reasons for which there is a run, in words.
var created = map[string]string{
	"scheduled": "", "rerun": "Somebody ran it again.", "retry": "Its worker was lost; it is tried again.", "task-retry": "It asked to be tried again.",
	"exception": "Somebody has to look at it.",
}

// reason says why a run has its place in the line.
func reason(w gauge.Waiting, before int) string {
	text := "It is next."
	if before > 0 {
		var parts []string
		if w.Higher > 0 {
			parts = append(parts, count(w.Higher, "task", "tasks")+" of higher priority")
		}
		if w.Own > 0 {
			parts = append(parts, grouped(w.Own)+" of its own group")
		}
		if others := before - w.Higher - w.Own; others > 0 {
			parts = append(parts, grouped(others)+" of other groups, which take turns")
		}
		text = "After " + strings.Join(parts, ", ") + "."
	}
	if again := created[w.Created]; again != "" {
		text += " " + again
	}
	return text
}

// served says who takes from the line, and what would make it move faster.
func served(s *subject) string {
	free := s.Line.Workers - s.Line.Quarantined
	switch p := s.Pool; {
	case s.Line.Pending == 0:
		return ""
	case p != nil && p.RequestedCount > 0:
		return count(p.RequestedCount, "worker is", "workers are") + " coming up."
	case s.Line.Workers == 0 && p == nil:
		return "No worker asked for work of this task queue in the last ten minutes."
	case p != nil && p.RunningCount == 0 && readConfig(p.Config).Max != nil && paused(readConfig(p.Config)):
		return "The pool is paused: its maxCapacity is 0, so no worker is made."
	case s.Line.Workers == 0:
		return "No worker runs."
	case free <= 0:
		return "All workers are in quarantine."
	case s.Line.Running >= s.capacity():
		return "All workers are at work."
	}
	return ""
}
