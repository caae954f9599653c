package object

import "github.com/treeline-ci/treeline/internal/pg"

// Statements lists every statement of the room, to be counted by name and parsed in tests.
func Statements() []pg.Statement {
	return []pg.Statement{
		readSQL, readLockedSQL, readByIDSQL, deleteSQL, insertSQL, renewSQL, enterContentSQL, setContentSQL, insertWholeSQL,
		keepSQL, finishSQL, expireSQL, abandonedSQL, prolongSQL, deleteUnfinishedSQL, unusedSQL, settleContentsSQL,
		completeSQL, enterSealedSQL, sealSQL, keepTicketSQL, enterPartSQL, partsSQL, forgetPartsSQL, restartSQL,
		insertSignedSQL, extendSQL, copiesSQL, copyStateSQL, claimCopySQL, renewCopySQL, finishCopySQL, failCopySQL,
		dropCopySQL, ticketUsedSQL, knownSQL, adoptSQL, strayLockedSQL, unadoptSQL, foundSQL, lostSQL, moveHomeSQL,
	}
}
