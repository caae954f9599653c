ALTER TABLE auth_clients DROP COLUMN old_token, DROP COLUMN old_token_until, DROP COLUMN old_token_used;
ALTER TABLE auth_approvals DROP COLUMN reason;
