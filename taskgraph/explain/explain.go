// Package explain holds the record of why each task of a graph is as it is: where it came from,
// which transforms changed which of its keys, why it was selected, optimized away, replaced or
// changed by a morph, and which entries became no task. The record is a by-product of generation:
// every stage writes its own lines as it decides, nothing is reconstructed afterwards. "Why" and
// "why not" are queries on it (Story, WhyNot); Candidates says what would have to change for
// another answer.
//
// The package is a leaf: it imports nothing of Treeline. Values are plain data; a Provenance
// belongs to one task, a Log to one generation. Neither is safe for concurrent use: stages that
// run kinds in parallel write to the tasks' own Provenance and only the sequential stages write
// to the Log. JSON keys are stable.
package explain

// Provenance says how one task came to be.
type Provenance struct {
	Kind   string  `json:"kind,omitempty"`
	File   string  `json:"file,omitempty"`   // the kind's file, or the file named by tasks-from
	Line   int     `json:"line,omitempty"`   // 1-based line of the entry; 0 when a transform made it
	Entry  string  `json:"entry,omitempty"`  // name of the entry in the file
	Loader string  `json:"loader,omitempty"` // loader that read the entry
	Steps  []*Step `json:"steps,omitempty"`  // transforms that changed the entry, in order; tasks share them: they must not change
	// Places says where the keys stand that later stages decide by, such as run-on-projects: key to
	// file:line. Only where values are recorded.
	Places map[string]string `json:"places,omitempty"`
}

// Step is one transform's effect on one task.
type Step struct {
	Transform string      `json:"transform"`
	Keys      []string    `json:"keys,omitempty"`    // top-level keys it set, changed or removed, sorted
	Cell      []Dimension `json:"cell,omitempty"`    // of the matrix, when the transform split one
	Note      string      `json:"note,omitempty"`    // such as the chunk
	Changes   []Change    `json:"changes,omitempty"` // what changed below the keys; see Resolve

	// Edits are the values by position in Keys; nil unless values are recorded. They must not change.
	Edits []Edit `json:"-"`
}

// Dimension is one axis of a matrix with the value of the cell.
type Dimension struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// With returns a copy of p with one more step; p and copies made from it before stay as they
// are, so one entry's history can be shared by the tasks it splits into.
func (p Provenance) With(s Step) Provenance {
	p.Steps = append(p.Steps[:len(p.Steps):len(p.Steps)], &s)
	return p
}

// Cell is the cell of the matrix, or of the matrices one after another, that the task is of.
func (p Provenance) Cell() []Dimension {
	var out []Dimension
	for _, s := range p.Steps {
		out = append(out, s.Cell...)
	}
	return out
}

// Selection is the answer of one target filter (or method) for one task.
type Selection struct {
	Label  string `json:"label"`
	Filter string `json:"filter"`          // such as "target_tasks_method: default"
	Kept   bool   `json:"kept"`            // whether the task passed
	Rule   string `json:"rule"`            // the rule that decided, such as "run_on_projects"
	Input  string `json:"input,omitempty"` // what the rule looked at
	// Wants are the parameters that would have had to be different, each with the values that
	// would do; all of them together. Nil when no parameter would do.
	Wants []Want `json:"wants,omitempty"`
}

// Want says which values of a parameter a rule asks for.
type Want struct {
	Parameter string   `json:"parameter"`
	OneOf     []string `json:"oneOf"`
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

// Drop is an entry, or a part of one, that became no task.
type Drop struct {
	Label  string `json:"label"` // the label it would have had, as far as it was known; of a matrix its beginning
	Kind   string `json:"kind"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Entry  string `json:"entry,omitempty"`
	By     string `json:"by"`               // "if", or the transform
	Reason string `json:"reason,omitempty"` // the condition that did not hold, the rule that excluded
	Rule   string `json:"rule,omitempty"`   // where that stands, as file:line
}

// IfCondition is what Drop.By says of an entry whose condition did not hold.
const IfCondition = "if"

// Log is the record of one generation's sequential stages.
type Log struct {
	Drops         []Drop         `json:"drops,omitempty"`
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
