package queue

import "github.com/treeline-ci/treeline/internal/pg"

// Statements lists every statement of the room, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{
	recordsSQL, itemsSQL, lockSQL, lockToResolveSQL, lockFreeSQL, nowSQL,
	saveTasksSQL, saveRunsSQL, unpendSQL, movePendingSQL, pendSQL, unclaimSQL, saveClaimsSQL, dueSQL, notDueSQL,
	satisfySQL, readySQL, extrasSQL,
	groupSQL, lockGroupSQL, sealGroupSQL, openTasksSQL, groupSizeSQL, witnessSQL, openTaskSQL, groupResolverSQL,
	pickSQL, turnsSQL, linesSQL, marksSQL,
	newGroupsSQL, extendGroupsSQL, shareGroupsSQL, createSQL, dependSQL, shareDeadlinesSQL, shareTasksSQL,
	artifactSQL, listArtifactsSQL, publishSQL, finishArtifactSQL, unmetCountSQL, unmetSQL, placeSQL, workersSQL,
	listGroupSQL, dependentsSQL, groupsSQL, groupCountsSQL, queueCountsSQL,
	expiredClaimsSQL, passedDeadlinesSQL, expiredArtifactsSQL, removeArtifactsSQL, removeTasksSQL, removeGroupsSQL,
}
