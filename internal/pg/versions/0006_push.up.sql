-- Repositories that Treeline watches and the pushes it saw in them.
CREATE TABLE repositories (
    name           text PRIMARY KEY,
    kind           text NOT NULL,
    url            text NOT NULL,
    path           text NOT NULL DEFAULT '',
    level          integer NOT NULL CHECK (level BETWEEN 1 AND 3),
    default_branch text NOT NULL DEFAULT '',
    last_push      bigint NOT NULL DEFAULT 0,
    created        timestamptz NOT NULL DEFAULT now()
);

-- The newest revision seen of each branch: a push is a step of this row.
CREATE TABLE repository_heads (
    repository text NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    branch     text NOT NULL,
    revision   text NOT NULL,
    PRIMARY KEY (repository, branch)
);

CREATE TABLE pushes (
    repository      text NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    id              bigint NOT NULL,
    revision        text NOT NULL,
    base            text NOT NULL,
    branch          text NOT NULL,
    author          text NOT NULL,
    email           text NOT NULL,
    message         text NOT NULL,
    commits         jsonb NOT NULL,
    files_changed   text[] NOT NULL,
    pushed          timestamptz NOT NULL DEFAULT clock_timestamp(),
    state           text NOT NULL,
    task_group_id   text NOT NULL DEFAULT '',
    error           jsonb,
    decision_millis bigint NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    retry_after     timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (repository, id)
);

CREATE INDEX pushes_undecided ON pushes (retry_after) WHERE state = 'received';
CREATE INDEX pushes_task_group ON pushes (task_group_id) WHERE task_group_id <> '';
CREATE INDEX pushes_revision ON pushes (revision);
