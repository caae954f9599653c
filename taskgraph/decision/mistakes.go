package decision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// MistakesName is the file in which a decision that fails on a worker says why, for the page of its
// push; it is an addition of ours to the artifacts of taskgraph-map 17.2.
const MistakesName = "decision-errors.json"

// NotesName is the file in which a decision that went well says what it left out of account of a push to
// try, in the form of MistakesName.
const NotesName = "decision-notes.json"

// Bounds of what ReadMistakes takes: the file comes from a task, which is not trusted.
const (
	MaxMistakes = 64 << 10 // bytes of the file
	maxText     = 4000     // bytes of a message
)

// Mistake is one reason why there is no graph.
type Mistake struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // 1 is the first; 0 unknown
	Label   string `json:"label,omitempty"`
	Message string `json:"message"`
}

// String gives "file:line: task label: message".
func (m Mistake) String() string {
	return (&graph.Error{File: m.File, Line: m.Line, Label: m.Label, Message: m.Message}).Error()
}

type mistakesFile struct {
	Errors []Mistake `json:"errors"`
}

// WriteMistakes gives the content of MistakesName: what is wrong with the tree where err says so,
// else err itself.
func WriteMistakes(err error) ([]byte, error) {
	var f mistakesFile
	for _, e := range graph.Errors(err) {
		message := (&graph.Error{Message: e.Message, Err: e.Err}).Error()
		f.Errors = append(f.Errors, Mistake{File: e.File, Line: e.Line, Label: e.Label, Message: message})
	}
	if len(f.Errors) == 0 {
		f.Errors = []Mistake{{Message: err.Error()}}
	}
	return json.MarshalIndent(f, "", "  ")
}

// WriteNotes gives the content of NotesName.
func WriteNotes(notes []*graph.Error) ([]byte, error) {
	all := make([]error, len(notes))
	for i, n := range notes {
		all[i] = n
	}
	return WriteMistakes(errors.Join(all...))
}

// ReadMistakes reads the content of MistakesName or NotesName, of which nothing is believed: it may be anything.
func ReadMistakes(content []byte) ([]Mistake, error) {
	var f mistakesFile
	if len(content) > MaxMistakes {
		return nil, fmt.Errorf("decision: %s is larger than %d bytes", MistakesName, MaxMistakes)
	}
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, fmt.Errorf("decision: %s: %w", MistakesName, err)
	}
	if len(f.Errors) == 0 {
		return nil, fmt.Errorf("decision: %s lists no error", MistakesName)
	}
	for i := range f.Errors {
		m := &f.Errors[i]
		m.File, m.Label, m.Message, m.Line = short(m.File), short(m.Label), short(m.Message), max(m.Line, 0)
	}
	return f.Errors, nil
}

func short(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
