package queue

import (
	"slices"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/queue/counts"
	"github.com/treeline-ci/treeline/queue/insert"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/queue/removal"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/queue/timing"
	"github.com/treeline-ci/treeline/queue/weigh"
	"github.com/treeline-ci/treeline/queue/why"
)

// Statements lists every statement of the room, for tests that have PostgreSQL parse them.
var Statements = slices.Concat([]pg.Statement{
	recordsSQL, statusesSQL, itemsSQL, lockSQL, lockToResolveSQL, lockFreeSQL, nowSQL,
	saveSQL, movePendingSQL, pendSQL, dueSQL,
	satisfySQL, readySQL, extrasSQL,
	groupSQL, lockGroupSQL, sealGroupSQL, openTasksSQL, groupSizeSQL, witnessSQL, resolvedGroupsSQL,
	pickSQL,
	newGroupsSQL, extendGroupsSQL, shareGroupsSQL, shareDeadlinesSQL, shareTasksSQL, standingsSQL,
	otherPrioritySQL,
	listGroupSQL, dependentsSQL, groupsSQL,
	claimsOfSQL,
	expiredClaimsSQL, passedDeadlinesSQL,
}, artifact.Statements, cells.Statements, counts.Statements, insert.Statements, line.Statements, removal.Statements, roster.Statements, timing.Statements, why.Statements, weigh.Statements)
