package backup

import "github.com/treeline-ci/treeline/internal/pg"

// Statements lists every statement of the room, to be counted by name.
func Statements() []pg.Statement {
	return []pg.Statement{recordSQL, pruneSQL, lastSQL, listSQL, identitySQL, knownSQL, noteSQL, lockSQL, serversSQL, skipSQL}
}
