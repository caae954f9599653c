// Package explain holds the record of why each task of a graph is as it is: where it came from,
// which transforms changed which of its keys, why it was selected, optimized away, replaced or
// changed by a morph. The record is a by-product of generation: every stage writes its own lines
// as it decides, nothing is reconstructed afterwards. "Why" and "why not" are queries on it.
//
// The package is a leaf: it imports nothing of Treeline. Values are plain data; a Provenance
// belongs to one task, a Log to one generation. Neither is safe for concurrent use: stages that
// run kinds in parallel write to the tasks' own Provenance and only the sequential stages write
// to the Log. JSON keys are stable.
package explain

// Provenance says how one task came to be.
type Provenance struct {
	Kind   string `json:"kind,omitempty"`
	File   string `json:"file,omitempty"`   // the kind's file, or the file named by tasks-from
	Line   int    `json:"line,omitempty"`   // 1-based line of the entry; 0 when a transform made it
	Entry  string `json:"entry,omitempty"`  // name of the entry in the file
	Loader string `json:"loader,omitempty"` // loader that read the entry
	Steps  []Step `json:"steps,omitempty"`  // transforms that changed the entry, in order
}

// Step is one transform's effect on one task.
type Step struct {
	Transform string   `json:"transform"`
	Keys      []string `json:"keys,omitempty"` // top-level keys it set, changed or removed, sorted
	Note      string   `json:"note,omitempty"` // such as the matrix cell or the chunk
}

// With returns a copy of p with one more step; p and copies made from it before stay as they
// are, so one entry's history can be shared by the tasks it splits into.
func (p Provenance) With(s Step) Provenance {
	p.Steps = append(p.Steps[:len(p.Steps):len(p.Steps)], s)
	return p
}

// Selection is the answer of one target filter (or method) for one task.
type Selection struct {
	Label  string `json:"label"`
	Filter string `json:"filter"`          // such as "target_tasks_method: default"
	Kept   bool   `json:"kept"`            // whether the task passed
	Rule   string `json:"rule"`            // the rule that decided, such as "run_on_projects"
	Input  string `json:"input,omitempty"` // what the rule looked at
}

// Outcomes of an Optimization.
const (
	Kept     = "kept"
	Removed  = "removed"
	Replaced = "replaced"
)

// Optimization is what one phase of optimization decided about one task.
type Optimization struct {
	Label    string `json:"label"`
	Phase    string `json:"phase"` // "remove" or "replace"
	Outcome  string `json:"outcome"`
	Strategy string `json:"strategy,omitempty"` // as named in the task; "" when none was asked
	Arg      any    `json:"arg,omitempty"`
	Reason   string `json:"reason"`
	TaskID   string `json:"taskId,omitempty"` // the task that stands in for a replaced one
}

// Morph is one change made to the optimized graph.
type Morph struct {
	Label  string `json:"label"`
	Morph  string `json:"morph"`
	Change string `json:"change"`
}

// Log is the record of one generation's sequential stages.
type Log struct {
	Selections    []Selection    `json:"selections"`
	Optimizations []Optimization `json:"optimizations"`
	Morphs        []Morph        `json:"morphs"`
	Prints        []string       `json:"prints,omitempty"` // what the tree's Starlark printed
}

// Select appends a selection; a nil log drops it.
func (l *Log) Select(s Selection) {
	if l != nil {
		l.Selections = append(l.Selections, s)
	}
}

// Optimize appends an optimization; a nil log drops it.
func (l *Log) Optimize(o Optimization) {
	if l != nil {
		l.Optimizations = append(l.Optimizations, o)
	}
}

// Morphed appends a morph; a nil log drops it.
func (l *Log) Morphed(m Morph) {
	if l != nil {
		l.Morphs = append(l.Morphs, m)
	}
}

// Print appends a line printed by Starlark; a nil log drops it.
func (l *Log) Print(line string) {
	if l != nil {
		l.Prints = append(l.Prints, line)
	}
}

// Story is everything known about one label.
type Story struct {
	Label         string         `json:"label"`
	Provenance    Provenance     `json:"provenance"`
	Selections    []Selection    `json:"selections,omitempty"`
	Optimizations []Optimization `json:"optimizations,omitempty"`
	Morphs        []Morph        `json:"morphs,omitempty"`
}

// Story collects the record of label, in the order in which it was written.
func (l *Log) Story(label string, p Provenance) Story {
	s := Story{Label: label, Provenance: p}
	if l == nil {
		return s
	}
	for _, x := range l.Selections {
		if x.Label == label {
			s.Selections = append(s.Selections, x)
		}
	}
	for _, x := range l.Optimizations {
		if x.Label == label {
			s.Optimizations = append(s.Optimizations, x)
		}
	}
	for _, x := range l.Morphs {
		if x.Label == label {
			s.Morphs = append(s.Morphs, x)
		}
	}
	return s
}
