package explain

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// RecordName is the name of the artifact of a decision that holds its Record, without "public/".
const RecordName = "explain.json"

// MaxRecord is the largest record that is read, in bytes.
const MaxRecord = 256 << 20

// Record is what a decision writes down about all its tasks, the artifact explain.json.
type Record struct {
	// Kinds are the names of all kinds.
	Kinds []string
	// Tasks are all tasks by label, those that morphs made too.
	Tasks map[string]Recorded
	Log

	stories *Stories // of a record that was read
}

// Recorded is what a Record has of one task.
type Recorded struct {
	Provenance
	// Optimization is as the task gives it, nil without one; TaskID is of a task that was created.
	Optimization map[string]any `json:"optimization,omitempty"`
	TaskID       string         `json:"taskId,omitempty"`
}

// readRecord is the form of a record in JSON. Tasks refer to steps by their place in a table, as most
// steps are those of many tasks.
type readRecord struct {
	Kinds []string                   `json:"kinds"`
	Steps []Step                     `json:"steps"`
	Tasks map[string]writtenRecorded `json:"tasks"`
	Log
}

type writtenRecorded struct {
	Recorded
	Steps []int `json:"steps,omitempty"` // covers the steps of Recorded
}

// UnmarshalJSON implements json.Unmarshaler. The artifact comes from a task: nothing of it is believed.
func (r *Record) UnmarshalJSON(content []byte) error {
	if len(content) > MaxRecord {
		return fmt.Errorf("explain: %s is larger than %d MB", RecordName, MaxRecord>>20)
	}
	var w readRecord
	if err := json.Unmarshal(content, &w); err != nil {
		return fmt.Errorf("explain: %s: %w", RecordName, err)
	}
	steps := w.Steps
	*r = Record{Kinds: w.Kinds, Tasks: make(map[string]Recorded, len(w.Tasks)), Log: w.Log}
	for label, t := range w.Tasks {
		one := t.Recorded
		one.Steps = make([]*Step, len(t.Steps))
		for i, at := range t.Steps {
			if at < 0 || at >= len(steps) {
				return fmt.Errorf("explain: %s: task %s has a step %d, of %d", RecordName, label, at, len(steps))
			}
			one.Steps[i] = &steps[at]
		}
		r.Tasks[label] = one
	}
	r.stories = r.Log.Stories()
	return nil
}

// Label is the label of the task of that id, "" without one.
func (r *Record) Label(taskID string) string {
	for label, t := range r.Tasks {
		if t.TaskID == taskID {
			return label
		}
	}
	return ""
}

// Labels are the labels of all tasks, sorted.
func (r *Record) Labels() []string { return slices.Sorted(maps.Keys(r.Tasks)) }

// Story tells about one label, also one that no kind makes, with the counterfactuals that follow from
// the rules as they were recorded.
func (r *Record) Story(label string) Story {
	t, known := r.Tasks[label]
	if !known {
		all := make(map[string]Provenance, len(r.Tasks))
		for other, t := range r.Tasks {
			all[other] = t.Provenance
		}
		return r.Log.Missing(label, all, r.Kinds)
	}
	stories := r.stories
	if stories == nil {
		stories = r.Log.Stories()
	}
	s := stories.Story(label, t.Provenance).Optimizing(t.Optimization)
	if s.Outcome == Created {
		s.TaskID = t.TaskID
	}
	s.Counterfactuals = s.Candidates()
	return s
}
