// Package cell is a task as grids, tables and counts show it.
package cell

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/prose"
)

// Cell is a task as grids and tables show it; shell/data.ts describes it.
type Cell struct {
	Move
	Name      string `json:"name"`
	Symbol    string `json:"symbol"`
	Group     string `json:"group"`
	GroupName string `json:"groupName"`
	Platform  string `json:"platform"`
	Tier      int    `json:"tier"`
	Queue     string `json:"queue"`
}

// Move is what changes of a cell. Times are milliseconds since 1970, 0 for none.
type Move struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Run       int    `json:"run"` // the last one, -1 for none
	Runs      int    `json:"runs"`
	Scheduled int64  `json:"scheduled"`
	Started   int64  `json:"started"`
	Ended     int64  `json:"ended"`
	Before    int64  `json:"before,omitempty"` // milliseconds that earlier runs worked
}

// States lists the states with those first that need a look.
func States() []string {
	return []string{"failed", "exception", "running", "pending", "unscheduled", "passed", "cancelled"}
}

// MoveOf is where a task stands.
func MoveOf(s *task.Status) Move {
	m := Move{ID: s.TaskID, State: string(s.State), Run: -1, Runs: len(s.Runs)}
	if r := s.LastRun(); r != nil {
		m.State = prose.State(s.State, r.ReasonResolved)
		m.Reason = string(r.ReasonResolved)
		m.Run = r.RunID
		for _, earlier := range s.Runs[:len(s.Runs)-1] {
			if earlier.Started != nil && earlier.Resolved != nil {
				m.Before += earlier.Resolved.Sub(earlier.Started.Time).Milliseconds()
			}
		}
		m.Scheduled, m.Started, m.Ended = r.Scheduled.UnixMilli(), Millis(r.Started), Millis(r.Resolved)
	}
	return m
}

// Millis is a time as scripts have it; 0 for none.
func Millis(t *task.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}

// treeherder is what task.extra.treeherder may say about where a task stands in the grid.
type treeherder struct {
	Symbol      string          `json:"symbol"`
	GroupSymbol string          `json:"groupSymbol"`
	GroupName   string          `json:"groupName"`
	Tier        int             `json:"tier"`
	Machine     json.RawMessage `json:"machine"`
	Collection  json.RawMessage `json:"collection"`
}

const maxSymbol = 24 // characters

// ofQueue is a task as a cell.
func ofQueue(q *cells.Cell) Cell {
	c := Cell{Move: moveOf(q), Name: Name(q.Name, q.TaskID), Queue: q.TaskQueueID}
	var th treeherder
	if len(q.Treeherder) > 0 {
		// It is the user's; where it has another shape the task's name decides.
		_ = json.Unmarshal(q.Treeherder, &th)
	}
	decision := q.TaskID == q.TaskGroupID
	c.Symbol, c.Group, c.GroupName, c.Tier = th.Symbol, th.GroupSymbol, th.GroupName, th.Tier
	c.Platform = th.platform()
	if c.Symbol == "" {
		c.fromName(q.Kind, decision)
	}
	if c.Platform == "" {
		_, c.Platform, _ = strings.Cut(q.TaskQueueID, "/")
		if decision {
			c.Platform = "decision"
		}
	}
	if c.Group == "" {
		c.Group = "?"
	}
	if c.Tier < 1 || c.Tier > 3 {
		c.Tier = 1
	}
	c.Symbol, c.Group = cutText(c.Symbol, maxSymbol), cutText(c.Group, maxSymbol)
	return c
}

func moveOf(q *cells.Cell) Move {
	s := task.Status{TaskID: q.TaskID, State: q.State}
	if q.Last != nil {
		s.Runs = []task.Run{*q.Last}
	}
	m := MoveOf(&s)
	m.Runs, m.Before = m.Run+1, q.Before.Milliseconds()
	return m
}

// platform joins the machine's platform and the build option, as in "linux64 opt".
func (t treeherder) platform() string {
	var machine struct {
		Platform string `json:"platform"`
	}
	_ = json.Unmarshal(t.Machine, &machine) // of another shape: no platform
	var collection map[string]any
	_ = json.Unmarshal(t.Collection, &collection)
	if machine.Platform == "" {
		return ""
	}
	options := make([]string, 0, len(collection))
	for option, on := range collection {
		if on == true {
			options = append(options, option)
		}
	}
	slices.Sort(options)
	return strings.Join(append([]string{machine.Platform}, options...), " ")
}

// fromName takes symbol and group from the task's name and kind: "test-unit-3" of kind test is
// "unit-3" in the group "test". The decision task is D.
func (c *Cell) fromName(kind string, decision bool) {
	if decision {
		c.Symbol = "D"
		return
	}
	rest := c.Name
	if kind == "" {
		kind, rest, _ = strings.Cut(c.Name, "-")
	} else if r, ok := strings.CutPrefix(c.Name, kind); ok {
		rest = r
	}
	rest = strings.TrimLeft(rest, "-_:/ ")
	switch {
	case rest == "":
		c.Symbol = kind
	case c.Group == "":
		c.Symbol, c.Group, c.GroupName = rest, kind, kind
	default:
		c.Symbol = rest
	}
}

// Name is what people call a task; its id when it has no name.
func Name(name, id string) string {
	if strings.TrimSpace(name) == "" {
		return id
	}
	return name
}

func cutText(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// Row is a line of the grid for browsers without script.
type Row struct {
	Platform string
	Cells    []Cell
}

const maxOutline = 250 // cells of a push in the outline; the script shows all

// Rows arranges cells by platform, group and symbol. more counts those left out.
func Rows(cells []Cell) (rows []Row, more int) {
	sorted := slices.SortedFunc(slices.Values(cells), func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.ID, b.ID))
	})
	if len(sorted) > maxOutline {
		// What needs a look comes before what does not.
		slices.SortStableFunc(sorted, func(a, b Cell) int { return cmp.Compare(Rank(a.State), Rank(b.State)) })
		sorted, more = sorted[:maxOutline], len(sorted)-maxOutline
		slices.SortStableFunc(sorted, func(a, b Cell) int { return cmp.Compare(a.Platform, b.Platform) })
	}
	for _, c := range sorted {
		if len(rows) == 0 || rows[len(rows)-1].Platform != c.Platform {
			rows = append(rows, Row{Platform: c.Platform})
		}
		last := &rows[len(rows)-1]
		last.Cells = append(last.Cells, c)
	}
	return rows, more
}

// Rank orders states as States does.
func Rank(state string) int {
	i := slices.Index(States(), state)
	if i < 0 {
		return len(States())
	}
	return i
}

// MaxListed is how many tasks of a group List returns at most.
const MaxListed = 50_000

// List returns the tasks of a group, and the group. Who asks must have been allowed to.
func List(ctx context.Context, q *queue.Queue, group string) ([]Cell, queue.Group, error) {
	g, err := q.Group(ctx, group)
	if err != nil {
		return []Cell{}, g, err
	}
	list, places := []Cell{}, interned{}
	err = q.Cells(ctx, cells.Look{Groups: []string{group}}, func(c *cells.Cell) {
		if len(list) < MaxListed {
			list = append(list, places.cell(c))
		}
	})
	return list, g, err
}
