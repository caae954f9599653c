-- When who has a session proved last who they are; null: when it began. And hashes of what the forms of the sessions
-- before it carry, which the same person began in the same browser: their pages stay good.
ALTER TABLE ui_sessions ADD COLUMN proved timestamptz, ADD COLUMN earlier_forms bytea[] NOT NULL DEFAULT '{}';

-- When who made a change from a page had proved last who they are; null: it was made otherwise.
ALTER TABLE auth_audit ADD COLUMN proved timestamptz;
