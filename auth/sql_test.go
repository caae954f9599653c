package auth

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatements(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), readStateSQL, lockStateSQL, touchClientsSQL, touchRolesSQL, readClientSQL, listClientsSQL,
		insertClientSQL, updateClientSQL, resetTokenSQL, disableClientSQL, deleteClientSQL, listStaticSQL, putStaticSQL, noteUseSQL,
		insertAuditSQL, auditLogSQL, guardedSQL, putGuardSQL, dropGuardsSQL, listGuardsSQL, useApprovalSQL, forgetApprovalSQL, proposeSQL, listApprovalsSQL, readApprovalSQL, decideSQL, madeBySQL, pruneApprovalsSQL, entityHistorySQL, clientHistorySQL, deleteExpiredSQL, pruneAuditSQL, readRoleSQL, listRolesSQL, putRoleSQL, deleteRoleSQL, sealedTokensSQL, swapTokenSQL)
}
