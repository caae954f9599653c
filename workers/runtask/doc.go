// Package runtask is the program that tasks made by the run-task transform start: it checks the
// sources out, fetches the artifacts of other tasks, and runs the task's own command with each
// line of its output marked and timed (taskgraph-map 21.2). `treeline run-task` is this package.
//
// Reading order: run.go (the sequence), plan.go (arguments and environment), caches.go, user.go, git.go, hg.go.
package runtask

import (
	"embed"
	"io/fs"
)

//go:embed scripts
var scripts embed.FS

// Scripts holds run-task and fetch-content, the scripts that a decision task publishes for workers that
// fetch them by URL: they start the program treeline where it is on the path, as it is on Treeline's own
// workers, and otherwise say what is missing.
func Scripts() (fs.FS, error) { return fs.Sub(scripts, "scripts") }
