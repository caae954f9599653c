package line_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue/line"
)

func awake(w *line.Waiter) bool {
	select {
	case <-w.Woken:
		return true
	default:
		return false
	}
}

func TestWaitersAreWokenInOrder(t *testing.T) {
	var l line.Waiters
	l.Wake("q", 1) // nobody is there
	a, b, c, other := l.Join("q"), l.Join("q"), l.Join("q"), l.Join("other")
	l.Wake("q", 1)
	l.Wake("q", 1) // a is awake already: this is for b
	if got := []bool{awake(a), awake(b), awake(c), awake(other)}; !cmp.Equal(got, []bool{true, true, false, false}) {
		t.Errorf("awake: %v", got)
	}
	l.Wake("q", 1)
	l.Leave("q", a) // with its wake-up unused
	if !awake(b) {
		t.Error("a wake-up was lost with its waiter")
	}
	l.Leave("q", b)
	l.Leave("q", c)
	l.Leave("q", c) // again is no harm
	names, waiting := l.Queues()
	if diff := cmp.Diff([]string{"other"}, names); diff != "" || waiting[0] != 1 {
		t.Errorf("left: %v %v", names, waiting)
	}
}

func TestMarksStartTheLine(t *testing.T) {
	var (
		m   line.Marks
		now = time.Unix(1000, 0)
	)
	low := func(priority int) int64 {
		ranks, lows := m.Get("q")
		for i, r := range ranks {
			if r == priority {
				return lows[i]
			}
		}
		t.Fatalf("no rank %d in %v", priority, ranks)
		return 0
	}
	m.Raise("q", []line.Place{{Priority: 5, Seq: 9}}) // nothing is known of q: no mark
	if low(5) != 0 {
		t.Error("a mark came from nowhere")
	}
	if !m.Stale("q", now, line.MarkAge) || m.Stale("q", now, line.MarkAge) || !m.Stale("q", now.Add(line.MarkAge), line.MarkAge) {
		t.Error("marks are stale once an age")
	}
	m.Set("q", []line.Place{{Priority: 5, Seq: 10}}, 0)
	m.Raise("q", []line.Place{{Priority: 5, Seq: 12}, {Priority: 1, Seq: 3}})
	if low(5) != 12 || low(1) != 3 || low(7) != 0 {
		t.Error("claims raise the marks")
	}
	m.Lower("q", []line.Place{{Priority: 5, Seq: 11}, {Priority: 1, Seq: 30}})
	if low(5) != 11 || low(1) != 3 {
		t.Error("new rows lower the marks, and never raise them")
	}
	m.Set("q", nil, 10*time.Millisecond)
	m.Stale("q", now, 0)
	if later := now.Add(line.MarkAge); m.Stale("q", later.Add(100*time.Millisecond), line.MarkAge) || !m.Stale("q", later.Add(time.Second), line.MarkAge) {
		t.Error("after a look of 10 ms the next is not due in half a second")
	}
	m.Drop("q")
	if low(5) != 0 || !m.Stale("q", now, line.MarkAge) {
		t.Error("dropped marks start over")
	}
}

func TestWitnesses(t *testing.T) {
	var w line.Witnesses
	try := func(what, near, from string) {
		t.Helper()
		gotNear, gotFrom := w.Get([]string{"g", "other"})
		if gotNear[0] != near || gotFrom[0] != from || gotNear[1] != "" || gotFrom[1] != "" {
			t.Errorf("%s: %q from %q, not %q from %q", what, gotNear[0], gotFrom[0], near, from)
		}
	}
	try("nothing is known", "", "")
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		w.Add("g", id)
	}
	try("the newest are near", "b,c,d,e", "")
	w.Note("g", "c")
	try("one of them is unresolved", "b,c,d,e", "")
	w.Note("g", "m")
	try("none of them is, another one is", "m", "m")
	w.Add("g", "n")
	try("a new one", "m,n", "m")
	w.Note("g", "")
	try("none is", "", "")
}

func TestSightingsAreDueOnceAMinute(t *testing.T) {
	var (
		s   line.Sightings
		now = time.Unix(1000, 0)
		w   = line.Sighting{Queue: "q", Group: "g", Worker: "w"}
	)
	got := []bool{s.Due(w, now), s.Due(w, now.Add(59*time.Second)), s.Due(line.Sighting{Queue: "q"}, now), s.Due(w, now.Add(time.Minute))}
	if diff := cmp.Diff([]bool{true, false, true, true}, got); diff != "" {
		t.Error(diff)
	}
}
