-- What a Mercurial server counts and dates itself, and what makes a push the same however often it is seen.
ALTER TABLE pushes
    ADD COLUMN pushlog_id bigint NOT NULL DEFAULT 0, -- as the forge counts pushes; 0 where it does not
    ADD COLUMN dated      timestamptz,               -- when the forge took the push; pushed is when it was recorded
    ADD COLUMN forge_key  text;
CREATE UNIQUE INDEX pushes_forge_key ON pushes (repository, forge_key) WHERE forge_key IS NOT NULL;

-- What is known of each Mercurial repository, and when it is looked at next. All rows are read each second
-- and most are written each minute, always in place: no index but the key.
CREATE TABLE hg_repositories (
    name       text PRIMARY KEY,
    version    bigint NOT NULL DEFAULT 0,      -- counts what was recorded; a look goes from one to the next
    generation integer NOT NULL DEFAULT 0,     -- 0 before the first look; up when the repository was made anew
    pushlog    boolean,                        -- whether the server keeps one; null: not asked yet
    cursor     bigint NOT NULL DEFAULT 0,      -- the last push of the pushlog that is recorded
    behind     integer NOT NULL DEFAULT 0,     -- looks in a row at which the pushlog ended before the cursor
    heads      jsonb NOT NULL DEFAULT '{}',    -- branch by changeset
    bookmarks  jsonb NOT NULL DEFAULT '{}',    -- changeset by name
    etag       text NOT NULL DEFAULT '',       -- of the server's answer when it was read last
    hints      bigint NOT NULL DEFAULT 0,      -- how many came
    hinted     timestamptz NOT NULL DEFAULT '-infinity',
    next_look  timestamptz NOT NULL DEFAULT '-infinity',
    looked     timestamptz NOT NULL DEFAULT '-infinity', -- the last look that succeeded
    read       timestamptz NOT NULL DEFAULT '-infinity', -- the last look that did not rely on the etag
    moved      timestamptz NOT NULL DEFAULT '-infinity', -- the last look that found something
    failures   integer NOT NULL DEFAULT 0,     -- looks that failed since
    error      text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- Changesets that were there at the first look, or came with a recorded push. They tell a push from an old
-- changeset that a strip has made a head again.
CREATE TABLE hg_known (
    repository text NOT NULL,
    node       text NOT NULL,
    seq        bigint GENERATED ALWAYS AS IDENTITY,
    known      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (repository, node)
);
CREATE INDEX hg_known_newest ON hg_known (repository, seq DESC);
