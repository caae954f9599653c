package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/ui/cell"
)

func moved(id, name, state string, scheduled, started, ended int64) cell.Cell {
	return cell.Cell{Name: name, Queue: "proj/" + name, Move: cell.Move{ID: id, State: state, Scheduled: scheduled, Started: started, Ended: ended}}
}

// TestFigures: a build of 100 s, of which two tests wait; one has run 20 s of its usual 60, the other has not begun and
// usually takes 30; and a report needs both, of which nothing is known.
func TestFigures(t *testing.T) {
	const s = 1000
	cells := []cell.Cell{
		moved("b", "build", "passed", 1*s, 11*s, 111*s), moved("t", "test-1", "running", 111*s, 121*s, 0),
		moved("u", "test-2", "pending", 111*s, 0, 0), moved("r", "report", "unscheduled", 0, 0, 0),
	}
	needs := map[string][]string{"t": {"b"}, "u": {"b"}, "r": {"t", "u"}}
	f := reckon(cells, needs, map[string]time.Duration{"test-1": 60 * time.Second, "test-2": 30 * time.Second}, 141*s)
	want := &figures{
		Path:   []link{{"b", "build", "passed", 110 * s}, {"t", "test-1", "running", 70 * s}, {"r", "report", "unscheduled", 60 * s}},
		Length: 3, Takes: 240 * s, Left: 100 * s, Guessed: 1, Hours: 120.0 / 3600,
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
	done := reckon(cells[:1], nil, nil, 200*s)
	if done.Left != 0 || done.Length != 1 {
		t.Errorf("%+v", done)
	}
	late := reckon([]cell.Cell{moved("t", "test-1", "running", 1, 1, 0)}, nil, map[string]time.Duration{"test-1": time.Second}, 500*s)
	if late.Left != 0 || late.Takes < 499*s {
		t.Errorf("%+v", late)
	}
	for x, want := range map[float64]string{0: "0.00", 0.0042: "0.0042", 1.005: "1.00", 12.346: "12.35"} {
		if got := money(x); got != want {
			t.Errorf("%v is %s, want %s", x, got, want)
		}
	}
}
