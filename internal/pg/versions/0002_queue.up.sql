-- Tasks as the queue moves them: one narrow row a task, updated a few times in its life. Ids are
-- compared byte by byte, so that every replica locks rows in the same order.
CREATE TABLE tasks (
    task_id       text COLLATE "C" PRIMARY KEY,
    task_queue_id text COLLATE "C" NOT NULL,
    scheduler_id  text NOT NULL,
    project_id    text NOT NULL,
    task_group_id text COLLATE "C" NOT NULL,
    priority      smallint NOT NULL CHECK (priority BETWEEN 1 AND 7),
    retries       smallint NOT NULL,
    retries_left  smallint NOT NULL CHECK (retries_left >= 0),
    state         text NOT NULL CHECK (state IN ('unscheduled', 'pending', 'running', 'completed', 'failed', 'exception')),
    ever_resolved boolean NOT NULL DEFAULT false,
    deadline      timestamptz NOT NULL,
    expires       timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX tasks_group ON tasks (task_group_id, task_id);
CREATE INDEX tasks_group_open ON tasks (task_group_id, task_id) WHERE NOT ever_resolved;
CREATE INDEX tasks_expires ON tasks (expires);

-- What users wrote; never updated. The free parts are json, not jsonb: they come back as they were
-- sent, and any text JSON can carry (U+0000 too) can be kept.
CREATE TABLE definitions (
    task_id      text COLLATE "C" PRIMARY KEY,
    created      timestamptz NOT NULL,
    dependencies text[] NOT NULL,
    requires     text NOT NULL CHECK (requires IN ('all-completed', 'all-resolved')),
    routes       text[] NOT NULL,
    scopes       text[] NOT NULL,
    payload      json NOT NULL,
    metadata     json NOT NULL,
    tags         json NOT NULL,
    extra        json NOT NULL
);

CREATE TABLE runs (
    task_id         text COLLATE "C" NOT NULL,
    run_id          smallint NOT NULL CHECK (run_id BETWEEN 0 AND 49),
    state           text NOT NULL,
    reason_created  text NOT NULL,
    reason_resolved text,
    worker_group    text,
    worker_id       text,
    taken_until     timestamptz,
    scheduled       timestamptz NOT NULL,
    started         timestamptz,
    resolved        timestamptz,
    PRIMARY KEY (task_id, run_id)
) WITH (fillfactor = 80);

CREATE TABLE dependencies (
    task_id     text COLLATE "C" NOT NULL,
    required_id text COLLATE "C" NOT NULL,
    requires    text NOT NULL,
    satisfied   boolean NOT NULL,
    PRIMARY KEY (task_id, required_id)
) WITH (fillfactor = 80);

CREATE INDEX dependencies_required ON dependencies (required_id, task_id);

CREATE TABLE task_groups (
    task_group_id text COLLATE "C" PRIMARY KEY,
    scheduler_id  text NOT NULL,
    created       timestamptz NOT NULL DEFAULT now(),
    expires       timestamptz NOT NULL,
    sealed        timestamptz
);

CREATE INDEX task_groups_created ON task_groups (created DESC, task_group_id DESC);
CREATE INDEX task_groups_expires ON task_groups (expires);

-- The hot tables. A task has a row in pending exactly while its last run is pending, in claims
-- while it is running, and in deadlines while it is not resolved. They stay small, and what is
-- dead in them goes soon.
CREATE TABLE pending (
    task_id       text COLLATE "C" PRIMARY KEY,
    task_queue_id text COLLATE "C" NOT NULL,
    priority      smallint NOT NULL,
    seq           bigint GENERATED ALWAYS AS IDENTITY,
    run_id        smallint NOT NULL,
    inserted      timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX pending_line ON pending (task_queue_id, priority DESC, seq);

CREATE TABLE claims (
    task_id       text COLLATE "C" PRIMARY KEY,
    task_queue_id text COLLATE "C" NOT NULL,
    run_id        smallint NOT NULL,
    worker_group  text NOT NULL,
    worker_id     text NOT NULL,
    taken_until   timestamptz NOT NULL,
    claimed       timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX claims_taken_until ON claims (taken_until);
CREATE INDEX claims_queue ON claims (task_queue_id, task_id);

CREATE TABLE deadlines (
    task_id  text COLLATE "C" PRIMARY KEY,
    deadline timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX deadlines_due ON deadlines (deadline);

CREATE TABLE artifacts (
    task_id        text COLLATE "C" NOT NULL,
    run_id         smallint NOT NULL,
    name           text COLLATE "C" NOT NULL,
    storage_type   text NOT NULL CHECK (storage_type IN ('s3', 'object', 'reference', 'link', 'error')),
    content_type   text NOT NULL,
    content_length bigint,
    content_sha256 text,
    target         text NOT NULL DEFAULT '', -- a reference's URL, a link's artifact
    reason         text NOT NULL DEFAULT '', -- of an error
    message        text NOT NULL DEFAULT '', -- of an error
    upload_id      text NOT NULL DEFAULT '', -- of an object
    present        boolean NOT NULL,
    created        timestamptz NOT NULL DEFAULT now(),
    expires        timestamptz NOT NULL,
    PRIMARY KEY (task_id, run_id, name)
);

CREATE INDEX artifacts_expires ON artifacts (expires);

-- Who asked for work, and when last; not written more often than once a minute and worker.
CREATE TABLE queue_workers (
    task_queue_id text COLLATE "C" NOT NULL,
    worker_group  text COLLATE "C" NOT NULL,
    worker_id     text COLLATE "C" NOT NULL,
    first_claim   timestamptz NOT NULL DEFAULT now(),
    last_active   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_queue_id, worker_group, worker_id)
);

CREATE INDEX queue_workers_active ON queue_workers (last_active);
