package groups

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	queuecells "github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/ui/cell"
)

func ended(id string, scheduled, started, end int64) cell.Cell {
	return cell.Cell{Move: cell.Move{ID: id, State: "passed", Run: 0, Runs: 1, Scheduled: scheduled, Started: started, Ended: end}, Name: "task " + id, Queue: "p/q"}
}

func TestHangTogether(t *testing.T) {
	cells := []cell.Cell{ended("a", 1000, 2000, 5000), ended("b", 5000, 6000, 9000), ended("c", 5000, 5500, 6000), {Move: cell.Move{ID: "d", State: "unscheduled", Run: -1}, Name: "task d", Queue: "p/q"}}
	needs := []queuecells.Need{{TaskID: "a", Kind: "build"}, {TaskID: "b", Kind: "test", Needs: []string{"a", "gone"}}, {TaskID: "c", Kind: "test", Needs: []string{"a"}}, {TaskID: "d", Needs: []string{"b", "c"}}, {TaskID: "new", Kind: "test"}}
	g := hangTogether(cells, needs, time.UnixMilli(10_000))
	want := graphJSON{
		Kinds: []Kind{
			{Name: "build", Tasks: 1, States: map[string]int{"passed": 1}, Ran: Spread{1, 3000, 3000, 3000, 3000, 3000}, Waited: Spread{1, 1000, 1000, 1000, 1000, 1000}},
			{Name: "no kind", Tasks: 1, States: map[string]int{"unscheduled": 1}},
			{Name: "test", Tasks: 2, States: map[string]int{"passed": 2}, Ran: Spread{2, 500, 3000, 3000, 3000, 3500}, Waited: Spread{2, 500, 1000, 1000, 1000, 1500}},
		},
		Edges: []edge{{0, 2, 2}, {2, 1, 2}}, Of: []int{0, 2, 2, 1}, Critical: []string{"a", "b"}, Takes: 8000,
		Stats: Stats{Tasks: 4, First: 1000, Last: 9000, Open: 1, Ran: Spread{3, 3000, 3000, 3000, 3000, 6500}, Waited: Spread{3, 1000, 1000, 1000, 1000, 2500}},
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Error(diff)
	}
	t.Run("of very many kinds the smallest are one (GR4)", func(t *testing.T) {
		var cells []cell.Cell
		var needs []queuecells.Need
		for i := range 300 {
			id := fmt.Sprintf("t%03d", i)
			cells = append(cells, ended(id, 1, 2, 3))
			needs = append(needs, queuecells.Need{TaskID: id, Kind: fmt.Sprintf("kind%d", i%100)})
		}
		g := hangTogether(cells, needs, time.UnixMilli(10))
		if len(g.Kinds) != maxKinds || !g.Kinds[maxKinds-1].Other || g.Kinds[maxKinds-1].Tasks != 300-3*(maxKinds-1) {
			t.Errorf("%d kinds, the last %+v", len(g.Kinds), g.Kinds[len(g.Kinds)-1])
		}
	})
}

// TestNeighbourhood is the part of check GR4 about a task with 2,000 dependents.
func TestNeighbourhood(t *testing.T) {
	cells := []cell.Cell{ended("below", 1, 2, 3), ended("hub", 1, 2, 3)}
	needs := []queuecells.Need{{TaskID: "below"}, {TaskID: "hub", Needs: []string{"below"}}}
	for i := range 2000 {
		id := fmt.Sprintf("t%04d", i)
		c := ended(id, 1, 2, 3)
		if i == 1999 {
			c.State = "failed"
		}
		cells = append(cells, c)
		needs = append(needs, queuecells.Need{TaskID: id, Needs: []string{"hub"}})
	}
	a, err := neighbourhood(cells, needs, "hub")
	if err != nil {
		t.Fatal(err)
	}
	if last := a.Nodes[len(a.Nodes)-1]; len(a.Nodes) != 23 || last.More != 1980 || a.Nodes[2].State != "failed" {
		t.Errorf("%d nodes, the last %+v, the first dependent %+v", len(a.Nodes), last, a.Nodes[2])
	}
	if _, err := neighbourhood(cells, needs, "no"); err == nil {
		t.Error("a task of another group has neighbours")
	}
}

// TestExports is check GR7.
func TestExports(t *testing.T) {
	cells := []cell.Cell{ended("a", 1000, 2000, 5000), ended("b", 5000, 6000, 9000), {Move: cell.Move{ID: "c", State: "pending", Scheduled: 6000}, Name: "=1+1", Queue: "p/other"}, {Move: cell.Move{ID: "d", State: "running", Scheduled: 6000, Started: 7000}, Queue: "p/q"}}
	text, err := json.Marshal(profileOf("G", cells, map[string]string{"a": "build"}, time.UnixMilli(10_000)))
	if err != nil {
		t.Fatal(err)
	}
	var profile struct {
		Meta    struct{ StartTime, PreprocessedProfileVersion int64 }
		Threads []struct {
			Name    string
			Markers struct {
				Length             int
				Data               []struct{ TaskID, Name string }
				StartTime, EndTime []*int64
				Phase              []int
			}
		}
	}
	if err := json.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, thread := range profile.Threads {
		m := thread.Markers
		if m.Length != len(m.Data) || m.Length != len(m.StartTime) || m.Length != len(m.EndTime) || m.Length != len(m.Phase) {
			t.Errorf("the columns of %s differ in length", thread.Name)
		}
		for i, d := range m.Data {
			ids = append(ids, d.TaskID)
			if (m.Phase[i] == 0) != (m.EndTime[i] == nil) || *m.StartTime[i] < 0 {
				t.Errorf("marker of %s: phase %d, from %v to %v", d.TaskID, m.Phase[i], m.StartTime[i], m.EndTime[i])
			}
		}
	}
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, ids); diff != "" || profile.Meta.StartTime != 1000 {
		t.Errorf("the profile begins at %d: %s", profile.Meta.StartTime, diff)
	}
	var table bytes.Buffer
	if err := writeCSV(csv.NewWriter(&table), cells, map[string]string{"a": "build"}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != 5 || rows[3][1] != "'=1+1" || rows[1][10] != "1.000" || rows[1][11] != "3.000" {
		t.Errorf("error %v, rows %q", err, rows)
	}
}

func TestSpread(t *testing.T) {
	var list []int64
	for i := range 200 {
		list = append(list, int64(200-i))
	}
	if diff := cmp.Diff(Spread{N: 200, P50: 100, P75: 150, P99: 198, Max: 200, Sum: 20100}, spreadOf(list)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Spread{}, spreadOf(nil)); diff != "" {
		t.Error(diff)
	}
}
