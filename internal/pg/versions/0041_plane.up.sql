-- Why a proposed change was approved or refused, as far as somebody said so.
ALTER TABLE auth_approvals ADD COLUMN reason text;

-- The access token that a client had before, sealed as the current one is: it holds until a time, so that those who
-- use it can be given the new one. When it was used last, up to a minute late.
ALTER TABLE auth_clients ADD COLUMN old_token bytea, ADD COLUMN old_token_until timestamptz, ADD COLUMN old_token_used timestamptz;
