package event

import "github.com/treeline-ci/treeline/internal/pg"

// Statements are all of the package, for the test that prepares them.
var Statements = []pg.Statement{appendSQL, loadSQL, tryLockSQL, oldestSQL, deltaSQL, findSQL, giveSQL, ownSQL, checkpointSQL,
	headSQL, readSQL, registerSQL, tryOffsetSQL, offsetSQL, nextSQL, passSQL, headsSQL, moveSQL, consumersSQL, pruneSQL,
	registerNowSQL, takeSQL, renewSQL, releaseSQL, mineSQL, waitLockSQL, markerSQL}
