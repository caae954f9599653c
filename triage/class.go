package triage

import (
	"strings"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Class is what a failure is, by Treeherder's numbers.
type Class int

// The classes. NotClassified and NewFailure are what a task is without anybody's word.
const (
	NotClassified       Class = 1
	FixedByCommit       Class = 2
	ExpectedFail        Class = 3
	Intermittent        Class = 4
	Infra               Class = 5
	NewFailure          Class = 6
	AutoIntermittent    Class = 7
	IntermittentNeedBug Class = 8
)

// Classes lists those that somebody can give, the usual one first.
func Classes() []Class {
	return []Class{Intermittent, FixedByCommit, ExpectedFail, Infra, NewFailure, AutoIntermittent, IntermittentNeedBug}
}

// Name is how people call a class.
func (c Class) Name() string {
	switch c {
	case FixedByCommit:
		return "fixed by commit"
	case ExpectedFail:
		return "expected fail"
	case Intermittent:
		return "intermittent"
	case Infra:
		return "infra"
	case NewFailure:
		return "new failure not classified"
	case AutoIntermittent:
		return "autoclassified intermittent"
	case IntermittentNeedBug:
		return "intermittent needs bug id"
	}
	return "not classified"
}

// Settled reports whether nobody needs to look any more; the others are what "unclassified" counts.
func (c Class) Settled() bool {
	return c == FixedByCommit || c == ExpectedFail || c == Intermittent || c == Infra
}

// Say is what somebody says of a task.
type Say struct {
	Class Class
	Bug   string // a number, a key of a tracker or an address
	Note  string
}

const (
	maxBug  = 300  // bytes
	maxNote = 4000 // bytes
	minNote = 8    // characters that tell which commit fixed it
)

// Check reports what is missing: an intermittent needs a bug or a note, and so does what a commit fixed, where the
// note must be long enough for a commit. On a try branch anything goes.
func (s Say) Check(try bool) error {
	known := false
	for _, c := range Classes() {
		known = known || c == s.Class
	}
	switch {
	case !known:
		return fault.New(fault.Invalid, "There is no class %d.", int(s.Class))
	case len(s.Bug) > maxBug:
		return fault.New(fault.Invalid, "A bug is at most %d bytes long.", maxBug)
	case len(s.Note) > maxNote:
		return fault.New(fault.Invalid, "A comment is at most %d bytes long.", maxNote)
	case strings.ContainsRune(s.Bug+s.Note, 0) || !utf8.ValidString(s.Bug+s.Note):
		return fault.New(fault.Invalid, "Bug and comment are text.")
	case try || s.Bug != "":
		return nil
	case s.Class == Intermittent && s.Note == "":
		return fault.New(fault.Invalid, "An intermittent failure needs a bug or a comment.")
	case s.Class == FixedByCommit && utf8.RuneCountInString(s.Note) < minNote:
		return fault.New(fault.Invalid, "What is fixed by a commit needs a bug, or a comment that names the commit (%d characters or more).", minNote)
	}
	return nil
}

// IsTry reports whether a repository is one where people try things: its name has the word "try".
func IsTry(repository string) bool {
	words := strings.FieldsFunc(repository, func(r rune) bool { return strings.ContainsRune("-_./", r) })
	for _, w := range words {
		if w == "try" {
			return true
		}
	}
	return false
}
