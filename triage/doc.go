// Package triage keeps what people make of failures: the class of a task's outcome, with a bug or a note. Classes and
// what they ask for are Treeherder's. What is said stands until it is taken back; then what was said before counts
// again. Each change of what counts is an event "task-classified", in the transaction of the change.
package triage

import "github.com/treeline-ci/treeline/internal/pg"

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{classifySQL, currentSQL, inGroupsSQL, historySQL, undoSQL, lockSQL, pruneSQL}
}
