package actions

import (
	"fmt"

	"github.com/treeline-ci/treeline/importer/actions/source"
)

// Level says what a remark asks of the reader.
type Level string

// The levels.
const (
	Note  Level = "note"  // converted; something outside of the files must be there, or it is good to know
	Check Level = "check" // converted, and it differs: see whether that matters
	Left  Level = "left"  // not converted
)

// Remark is something that the reader should know, or do.
type Remark struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Level Level  `json:"level"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// String is one line: place, level, what, and what to do.
func (r Remark) String() string {
	text := fmt.Sprintf("%s:%d: %s: %s", r.File, r.Line, r.Level, r.What)
	if r.Do != "" {
		text += ": " + r.Do
	}
	return text
}

// remarks collects what is said about a workflow; also by the job that it is about, for comments in the files.
type remarks struct {
	all []Remark
}

func (r *remarks) add(level Level, n *source.Node, what, do string) {
	m := Remark{Level: level, What: what, Do: do}
	if n != nil {
		m.File, m.Line = n.File, n.Line
	}
	for _, other := range r.all {
		if other == m {
			return
		}
	}
	r.all = append(r.all, m)
}

func (r *remarks) note(n *source.Node, what, do string)  { r.add(Note, n, what, do) }
func (r *remarks) check(n *source.Node, what, do string) { r.add(Check, n, what, do) }
func (r *remarks) left(n *source.Node, what, do string)  { r.add(Left, n, what, do) }

func (r *remarks) count(level Level) int {
	n := 0
	for _, m := range r.all {
		if m.Level == level {
			n++
		}
	}
	return n
}

// known remarks on keys of a mapping that nobody reads.
func (r *remarks) known(n *source.Node, where string, keys ...string) {
	if n == nil {
		return
	}
next:
	for _, k := range n.Keys {
		for _, want := range keys {
			if k == want {
				continue next
			}
		}
		r.left(n.At(k), fmt.Sprintf("the key %q of %s", k, where), "the converter does not know it")
	}
}
