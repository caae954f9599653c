package explain

import (
	"slices"
	"strings"
)

// Outcomes of a Story, besides Removed and Replaced.
const (
	Created    = "created"    // the task is in the final graph
	Unselected = "unselected" // it is in the full graph, and the event does not want it
	Unknown    = "unknown"    // no kind makes it
)

// Story is everything known about one label.
type Story struct {
	Label         string         `json:"label"`
	Outcome       string         `json:"outcome"`
	TaskID        string         `json:"taskId,omitempty"` // that was created, or stands in
	Provenance    Provenance     `json:"provenance"`
	Selections    []Selection    `json:"selections,omitempty"`
	Optimizations []Optimization `json:"optimizations,omitempty"`
	Morphs        []Morph        `json:"morphs,omitempty"`
	// Because are the labels that need the task, one for the other: the last stays for itself.
	Because []string `json:"because,omitempty"`
	// Missing is set when no kind makes the task.
	Missing *Missing `json:"missing,omitempty"`
	// Counterfactuals are the nearest changes with which it would be otherwise.
	Counterfactuals []Counterfactual `json:"counterfactuals,omitempty"`
	// Tried is how many changes were tried by running the generator with them.
	Tried int `json:"tried,omitempty"`

	optimization map[string]any // as the task gives it
}

// Optimizing returns s of a task with that optimization, which tells of tasks that were not selected
// what would become of them if they were.
func (s Story) Optimizing(optimization map[string]any) Story {
	s.optimization = optimization
	return s
}

// Stories finds what a log says of labels. It holds as long as nothing is added to the log, and is
// safe for concurrent use.
type Stories struct {
	log           *Log
	selections    map[string][]int32
	optimizations map[string][]int32
	morphs        map[string][]int32
}

// Stories makes the log ready to be asked; a nil log knows nothing.
func (l *Log) Stories() *Stories {
	if l == nil {
		l = &Log{}
	}
	s := &Stories{log: l, selections: map[string][]int32{}, optimizations: map[string][]int32{}, morphs: map[string][]int32{}}
	for i, x := range l.Selections {
		s.selections[x.Label] = append(s.selections[x.Label], int32(i))
	}
	for i, x := range l.Optimizations {
		s.optimizations[x.Label] = append(s.optimizations[x.Label], int32(i))
	}
	for i, x := range l.Morphs {
		s.morphs[x.Label] = append(s.morphs[x.Label], int32(i))
	}
	return s
}

// Story collects the record of label, in the order in which it was written.
func (l *Log) Story(label string, p Provenance) Story { return l.Stories().Story(label, p) }

// Story collects the record of label, in the order in which it was written.
func (x *Stories) Story(label string, p Provenance) Story {
	s := Story{
		Label: label, Outcome: Created, Provenance: p.Resolve(),
		Selections:    picked(x.log.Selections, x.selections[label]),
		Optimizations: picked(x.log.Optimizations, x.optimizations[label]),
		Morphs:        picked(x.log.Morphs, x.morphs[label]),
	}
	s.Outcome, s.TaskID = s.outcome()
	s.Because = x.because(s)
	return s
}

func picked[T any](all []T, at []int32) []T {
	var out []T
	for _, i := range at {
		out = append(out, all[i])
	}
	return out
}

// outcome is what became of the task, from its record.
func (s Story) outcome() (outcome, taskID string) {
	if len(s.Optimizations) == 0 && len(s.Selections) > 0 && !s.selected() {
		return Unselected, ""
	}
	for _, o := range slices.Backward(s.Optimizations) {
		switch o.Outcome {
		case Replaced:
			return Replaced, o.TaskID
		case Removed:
			outcome = Removed
		}
	}
	if outcome == "" {
		outcome = Created
	}
	return outcome, ""
}

func (s Story) selected() bool {
	return !slices.ContainsFunc(s.Selections, func(x Selection) bool { return !x.Kept })
}

// removal is what the first phase of optimization said of the task.
func (s Story) removal() (Optimization, bool) {
	for _, o := range s.Optimizations {
		if o.Phase == "remove" {
			return o, true
		}
	}
	return Optimization{}, false
}

// maxBecause bounds the chain of those that need a task.
const maxBecause = 20

// because follows "needed by".
func (x *Stories) because(s Story) []string {
	o, ok := s.removal()
	var chain []string
	for ok && len(chain) < maxBecause {
		user, needed := strings.CutPrefix(o.Reason, "needed by ")
		if !needed || slices.Contains(chain, user) {
			break
		}
		chain = append(chain, user)
		o, ok = Story{Optimizations: picked(x.log.Optimizations, x.optimizations[user])}.removal()
	}
	return chain
}
