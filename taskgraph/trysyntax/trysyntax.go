// Package trysyntax is the legacy try syntax: the line of a commit message that says what a push to
// a try repository wants run (taskgraph-map 23.2, vcs-integration 2.10):
//
//	try: -b do -p linux64,macosx64 -u mochitest-1,xpcshell[linux64,-linux64-asan] -t none -j lint --rebuild 3
//
// Parse reads it into Options; Selector says for each task of a graph whether the options ask for
// it, and by which part. What nobody understands is not dropped silently: Options.Notes tell of it,
// and what is wrong so that nothing sensible can be done is an error. Both have the line of the
// message.
//
// Everything is a function of its arguments; values are not written to after they are made.
package trysyntax

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Place is what faults give for a file.
const Place = "commit message"

// MaxLength bounds the line, in bytes.
const MaxLength = 16 << 10

// Words that stand for a choice.
const (
	All  = "all"
	None = "none"
)

// Options are what one try syntax asks for.
type Options struct {
	// BuildTypes are the letters of -b that are known, each once, as opt and debug; empty: no builds.
	BuildTypes []string
	// Platforms, Unittests, Talos and Raptor are what stands behind -p, -u, -t and -r.
	Platforms, Unittests, Talos, Raptor string
	// Jobs are what stands behind each -j.
	Jobs []string
	// How often tests run, each at least 1.
	Rebuild, RebuildTalos, RebuildRaptor int
	// Notifications is All, "failure" or "".
	Notifications string
	Tag           string
	Env           map[string]string

	Interactive, NoRetry, IncludeNightly, TaskclusterWorker bool
	GeckoProfile, Artifact                                  bool

	// Notes tell what was left out of account.
	Notes []*graph.Error

	line int // of the message, where the syntax stands
}

// Find returns the try syntax of a commit message, from the first "try:" to the end of its line, and
// the number of that line; "" without one.
func Find(message string) (syntax string, line int) {
	i := strings.Index(message, "try:")
	if i < 0 {
		return "", 0
	}
	syntax, _, _ = strings.Cut(message[i:], "\n")
	return strings.TrimRight(syntax, "\r"), 1 + strings.Count(message[:i], "\n")
}

func (o *Options) note(format string, args ...any) {
	o.Notes = append(o.Notes, fault(o.line, format, args...))
}

func fault(line int, format string, args ...any) *graph.Error {
	return &graph.Error{File: Place, Line: line, Message: "try: " + fmt.Sprintf(format, args...)}
}
