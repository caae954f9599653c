// Package push keeps the repositories that Treeline watches and the pushes it saw in them: who
// pushed what, and what became of it. A push is recorded once, however often it is reported, and
// waits in state Received until intake has made tasks of it.
//
// Lock order: the repository's row, then its heads, then its pushes.
package push

import "github.com/treeline-ci/treeline/internal/pg"

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{
		registerSQL, repositoriesSQL, headsSQL, nextPushSQL, insertPushSQL, setHeadSQL, dropHeadSQL,
		listSQL, getSQL, byRevisionSQL, atRevisionSQL, byTaskGroupSQL, byEmailsSQL, arriveSQL, undecidedSQL, setOutcomeSQL, figuresSQL, pruneSQL, momentsSQL, anywhereSQL,
	}
}
