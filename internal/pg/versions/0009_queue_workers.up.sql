-- What the queue knows of workers beyond that they asked for work (queue_workers): a table of its
-- own, because a program of an older version removes rows of queue_workers a day after their worker
-- was last seen, and a quarantine must outlive that.
CREATE TABLE worker_details (
    task_queue_id      text COLLATE "C" NOT NULL,
    worker_group       text COLLATE "C" NOT NULL,
    worker_id          text COLLATE "C" NOT NULL,
    quarantine_until   timestamptz, -- null: it never was in quarantine
    quarantine_details json NOT NULL DEFAULT '[]',
    recent             text[] NOT NULL DEFAULT '{}', -- its last runs, as taskId/runId, the latest last
    expires            timestamptz NOT NULL DEFAULT now() + interval '1 day',
    PRIMARY KEY (task_queue_id, worker_group, worker_id)
);

CREATE INDEX worker_details_quarantine ON worker_details (quarantine_until);
CREATE INDEX worker_details_expires ON worker_details (expires);

-- Task queues that workers asked or tasks waited for lately.
CREATE TABLE task_queues (
    task_queue_id text COLLATE "C" PRIMARY KEY,
    description   text NOT NULL DEFAULT '',
    stability     text NOT NULL DEFAULT 'experimental' CHECK (stability IN ('experimental', 'stable', 'deprecated')),
    last_active   timestamptz NOT NULL DEFAULT now(),
    expires       timestamptz NOT NULL DEFAULT now() + interval '5 days'
);

CREATE INDEX task_queues_expires ON task_queues (expires);

-- A run is not reported as completed while it has an upload that is not finished. There are few.
CREATE INDEX artifacts_unfinished ON artifacts (task_id, run_id) WHERE NOT present;
