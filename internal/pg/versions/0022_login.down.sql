DROP INDEX ui_sessions_client;
DELETE FROM ui_sessions WHERE person;
ALTER TABLE ui_sessions DROP COLUMN agent, DROP COLUMN person;
DROP TABLE login_scan;
DROP TABLE login_tokens;
DROP TABLE login_codes;
DROP TABLE login_spent;
DROP TABLE login_people;
