package event

import "github.com/treeline-ci/treeline/internal/pg"

// Named lists the statements of the room by their names, to be counted.
func Named() []pg.Statement {
	return []pg.Statement{
		appendSQL, loadSQL, tryLockSQL, oldestSQL, deltaSQL, findSQL, giveSQL, ownSQL, checkpointSQL, headSQL, readSQL,
		registerSQL, tryOffsetSQL, offsetSQL, nextSQL, passSQL, headsSQL, moveSQL, consumersSQL, pruneSQL, registerNowSQL,
		takeSQL, renewSQL, releaseSQL, mineSQL,
	}
}
