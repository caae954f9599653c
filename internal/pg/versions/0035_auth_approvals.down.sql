DROP TABLE auth_approvals;
DROP TABLE auth_guards;
ALTER TABLE auth_audit DROP COLUMN approved_by, DROP COLUMN change;
