package groups

import (
	"slices"
	"time"

	"github.com/treeline-ci/treeline/ui/cell"
)

// Spread is how durations lie, in milliseconds.
type Spread struct {
	N   int   `json:"n"`
	P50 int64 `json:"p50"`
	P75 int64 `json:"p75"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
	Sum int64 `json:"sum"`
}

// Stats is what a group took.
type Stats struct {
	Tasks  int    `json:"tasks"`
	First  int64  `json:"first"` // when the first task could run, milliseconds since 1970; 0: none yet
	Last   int64  `json:"last"`  // when the last one ended, or now
	Open   int    `json:"open"`  // tasks that have not ended
	Waited Spread `json:"waited"`
	Ran    Spread `json:"ran"`
}

// Took is from the first task to the last one.
func (s Stats) Took() time.Duration { return time.Duration(s.Last-s.First) * time.Millisecond }

// Hours is how long workers were busy.
func (s Spread) Hours() float64 { return time.Duration(s.Sum * int64(time.Millisecond)).Hours() }

func statsOf(cells []cell.Cell, now time.Time) Stats {
	s := Stats{Tasks: len(cells)}
	var waited, ran []int64
	for i := range cells {
		m := &cells[i].Move
		if m.Ended == 0 {
			s.Open++
		}
		if m.Scheduled == 0 {
			continue
		}
		if s.First == 0 || m.Scheduled < s.First {
			s.First = m.Scheduled
		}
		end := m.Ended
		if end == 0 {
			end = now.UnixMilli()
		}
		s.Last = max(s.Last, end)
		w, r := times(m, now)
		waited = append(waited, w)
		if m.Started > 0 {
			ran = append(ran, r)
		}
	}
	s.Waited, s.Ran = spreadOf(waited), spreadOf(ran)
	return s
}

// spreadOf sorts the list. A percentile is the smallest value that so many percent are not above.
func spreadOf(list []int64) Spread {
	slices.Sort(list)
	s := Spread{N: len(list)}
	if s.N == 0 {
		return s
	}
	at := func(percent int) int64 { return list[max(0, (s.N*percent+99)/100-1)] }
	s.P50, s.P75, s.P99, s.Max = at(50), at(75), at(99), list[s.N-1]
	for _, d := range list {
		s.Sum += d
	}
	return s
}
