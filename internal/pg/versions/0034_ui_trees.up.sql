-- Whether people may push to a repository, as those who keep it say.
CREATE TABLE ui_trees (
    repository text PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('open', 'approval', 'closed')),
    reason     text NOT NULL,
    message    text NOT NULL, -- of the day
    changed_by text NOT NULL,
    changed    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ui_tree_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository text NOT NULL,
    state      text NOT NULL,
    reason     text NOT NULL,
    message    text NOT NULL,
    changed_by text NOT NULL,
    changed    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX ui_tree_changes_repository ON ui_tree_changes (repository, id);

-- What people chose for themselves, by client id; people and clients of the same name are two.
CREATE TABLE ui_settings (
    client_id text NOT NULL,
    person    boolean NOT NULL,
    settings  jsonb NOT NULL,
    changed   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, person)
);

-- What stood at a path before, the newest first, and when what stands there came.
ALTER TABLE indexed_tasks ADD COLUMN former jsonb NOT NULL DEFAULT '[]';
ALTER TABLE indexed_tasks ADD COLUMN indexed timestamptz NOT NULL DEFAULT now();

-- Whose pushes the first page shows.
CREATE INDEX pushes_email ON pushes (lower(email), pushed DESC);
