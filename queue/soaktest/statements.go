package soaktest

import "github.com/treeline-ci/treeline/internal/pg"

// Statements are all of the package but the dice, for the test that prepares them.
var Statements = []pg.Statement{
	lockTasksSQL, claimsEndSQL, deadlinesPassSQL, tasksExpireSQL, idsSQL, terminateSQL, snapshotSQL, othersSQL,
}
