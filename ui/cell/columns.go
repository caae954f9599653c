package cell

import "strings"

// Columns are many cells for scripts, in columns: much that is alike is written once. shell/cells.ts reads them.
type Columns struct {
	N       int      `json:"n"`
	IDs     string   `json:"ids"` // of 22 characters each, without anything between
	Names   []string `json:"names"`
	Symbols []string `json:"symbols"`
	Places  []place  `json:"places"`
	Place   []int    `json:"place"` // index into places
	Stands  []stand  `json:"stands"`
	Stand   []int    `json:"stand"` // index into stands
	// Milliseconds: the first, then how long after Base each was scheduled, after that started, and after the
	// last of these ended; -1 for what has not happened.
	Base      int64   `json:"base"`
	Scheduled []int64 `json:"scheduled"`
	Started   []int64 `json:"started"`
	Ended     []int64 `json:"ended"`
	// Before is how long earlier runs worked, of the few tasks that have any.
	Before map[int]int64 `json:"before,omitempty"`
}

type place struct {
	Platform  string `json:"platform"`
	Group     string `json:"group"`
	GroupName string `json:"groupName"`
	Tier      int    `json:"tier"`
	Queue     string `json:"queue"`
}

type stand struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
	Run    int    `json:"run"`
	Runs   int    `json:"runs"`
}

// Pack puts cells into columns.
func Pack(cells []Cell) *Columns {
	n := len(cells)
	c := &Columns{
		N: n, Names: make([]string, n), Symbols: make([]string, n), Places: []place{}, Place: make([]int, n), Stands: []stand{}, Stand: make([]int, n),
		Scheduled: make([]int64, n), Started: make([]int64, n), Ended: make([]int64, n), Before: map[int]int64{},
	}
	var ids strings.Builder
	places, stands := map[place]int{}, map[stand]int{}
	for i := range cells {
		if at := cells[i].Scheduled; at > 0 && (c.Base == 0 || at < c.Base) {
			c.Base = at
		}
	}
	for i := range cells {
		t := &cells[i]
		ids.WriteString(t.ID)
		c.Names[i], c.Symbols[i] = t.Name, t.Symbol
		c.Place[i] = indexOf(places, &c.Places, place{t.Platform, t.Group, t.GroupName, t.Tier, t.Queue})
		c.Stand[i] = indexOf(stands, &c.Stands, stand{t.State, t.Reason, t.Run, t.Runs})
		c.Scheduled[i], c.Started[i], c.Ended[i] = -1, -1, -1
		last := c.Base
		for _, at := range []struct {
			time int64
			to   *int64
		}{{t.Scheduled, &c.Scheduled[i]}, {t.Started, &c.Started[i]}, {t.Ended, &c.Ended[i]}} {
			if at.time > 0 {
				*at.to, last = max(0, at.time-last), at.time
			}
		}
		if t.Before > 0 {
			c.Before[i] = t.Before
		}
	}
	c.IDs = ids.String()
	return c
}

// indexOf finds what stands in a list, and adds it where it does not.
func indexOf[T comparable](known map[T]int, list *[]T, what T) int {
	i, ok := known[what]
	if !ok {
		i = len(*list)
		known[what] = i
		*list = append(*list, what)
	}
	return i
}
