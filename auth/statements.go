package auth

import "github.com/treeline-ci/treeline/internal/pg"

// Statements lists every statement of the room, to be counted by name and parsed in tests.
func Statements() []pg.Statement {
	return []pg.Statement{
		readStateSQL, lockStateSQL, touchClientsSQL, touchRolesSQL, readClientSQL, listClientsSQL, insertClientSQL,
		updateClientSQL, resetTokenSQL, endOldTokenSQL, noteOldUseSQL, sealedOldTokensSQL, swapOldTokenSQL, disableClientSQL, deleteClientSQL, listStaticSQL, putStaticSQL, noteUseSQL,
		insertAuditSQL, auditLogSQL, guardedSQL, putGuardSQL, dropGuardsSQL, listGuardsSQL, useApprovalSQL,
		forgetApprovalSQL, proposeSQL, listApprovalsSQL, readApprovalSQL, decideSQL, madeBySQL, pruneApprovalsSQL,
		entityHistorySQL, clientHistorySQL, deleteExpiredSQL, pruneAuditSQL, readRoleSQL, listRolesSQL, putRoleSQL,
		deleteRoleSQL, sealedTokensSQL, swapTokenSQL,
	}
}
