package diff

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Size is how large a graph is and what it costs, by estimate.
type Size struct {
	Tasks int `json:"tasks"`
	// Time is the time of all tasks together; Longest that of the chain of tasks that takes longest,
	// which Path names from the first to the last. In JSON times are seconds.
	Time    Seconds  `json:"seconds"`
	Longest Seconds  `json:"criticalPathSeconds"`
	Path    []string `json:"criticalPath"`
	// Measured tasks were estimated from earlier runs, Limited ones by their max-run-time; of the
	// others nothing is known, and they count as no time.
	Measured int `json:"measured"`
	Limited  int `json:"limited"`
}

// Seconds is a duration that JSON writes as seconds.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// String writes hours and minutes, or seconds where it is less than ten minutes.
func (s Seconds) String() string {
	d := time.Duration(s).Round(time.Second)
	if d < 10*time.Minute {
		return d.String()
	}
	text := d.Round(time.Minute).String()
	return text[:len(text)-len("0s")]
}

// estimate is how long a task is likely to take.
func estimate(t *graph.Task, durations history.Durations) (d time.Duration, measured, limited bool) {
	if durations != nil {
		if d, ok := durations.Duration(t.Label); ok {
			return d, true, false
		}
	}
	payload := value.Map(t.Definition, "payload")
	for _, key := range []string{"maxRunTime", "max-run-time"} {
		switch n := payload[key].(type) {
		case int64:
			return time.Duration(n) * time.Second, false, true
		case float64:
			return time.Duration(n * float64(time.Second)), false, true
		}
	}
	return 0, false, false
}

// measure estimates a graph. Dependencies hold back a task until they are done, and nothing else
// does: there are workers enough.
func measure(g *graph.Graph, durations history.Durations) Size {
	s := Size{Tasks: g.Len(), Path: []string{}}
	order, err := g.Postorder()
	if err != nil {
		return s // a circle has no end; generation refuses graphs with one
	}
	ends := make(map[string]time.Duration, g.Len()) // when a task is done, from the start of all
	after := make(map[string]string, g.Len())       // the dependency that it waits for longest
	last := ""
	for _, key := range order {
		d, measured, limited := estimate(g.Task(key), durations)
		s.Time += Seconds(d)
		if measured {
			s.Measured++
		}
		if limited {
			s.Limited++
		}
		var start time.Duration
		for _, need := range g.Needs(key) {
			if ends[need] > start {
				start, after[key] = ends[need], need
			}
		}
		ends[key] = start + d
		if last == "" || ends[key] > ends[last] {
			last = key
		}
	}
	s.Longest = Seconds(ends[last])
	for key := last; key != ""; key = after[key] {
		s.Path = append(s.Path, g.Task(key).Label)
	}
	slices.Reverse(s.Path)
	return s
}
