ALTER TABLE auth_audit DROP COLUMN proved;
ALTER TABLE ui_sessions DROP COLUMN earlier_forms, DROP COLUMN proved;
