-- Where the lines of large logs are (ui/logs/lineindex): one row an object. body is null while somebody makes it,
-- which nobody else does until claimed_until.
CREATE TABLE log_indexes (
    object_id     bigint PRIMARY KEY,
    body          bytea,
    claimed_until timestamptz NOT NULL,
    expires       timestamptz NOT NULL
);
CREATE INDEX log_indexes_expires ON log_indexes (expires);
