-- What was told of backups that were made (treeline db backup-report). The newest of a kind counts; older ones
-- go after a year.
CREATE TABLE backups (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('base', 'dump', 'objects', 'drill')),
    ok       boolean NOT NULL,
    finished timestamptz NOT NULL DEFAULT clock_timestamp(),
    size     bigint NOT NULL DEFAULT 0, -- bytes; 0: not told
    lsn      pg_lsn,                    -- where the log stood at its beginning, of a base backup
    place    text NOT NULL DEFAULT '',  -- where it is
    note     text NOT NULL DEFAULT '',
    by       text NOT NULL
);
CREATE INDEX backups_newest ON backups (kind, finished DESC);

-- Which database this is: the cluster, the line of its write-ahead log, and the database in it. What was put back
-- from a backup, or taken over by a standby, is another one than the newest row says, until somebody says that it was.
CREATE TABLE backup_lineage (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster  text NOT NULL,    -- system identifier, made by initdb
    timeline integer NOT NULL, -- counts the points at which a server began to write a log of its own
    database oid NOT NULL,
    how      text NOT NULL CHECK (how IN ('first', 'restored', 'nothing-lost')),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    by       text NOT NULL
);
