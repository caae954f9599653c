-- Worker pools. Which workers there ought to be is computed from config and from what the queue has to do.
CREATE TABLE worker_pools (
	worker_pool_id        text        COLLATE "C" PRIMARY KEY,
	provider_id           text        NOT NULL, -- null-provider: the pool goes when its last worker has gone
	previous_provider_ids text[]      NOT NULL DEFAULT '{}', -- of which there are workers still
	description           text        NOT NULL,
	config                json        NOT NULL,
	owner                 text        NOT NULL,
	email_on_error        boolean     NOT NULL,
	created               timestamptz NOT NULL DEFAULT now(),
	last_modified         timestamptz NOT NULL DEFAULT now(),
	next_turn             timestamptz NOT NULL DEFAULT now() -- when somebody is to look whether it needs workers
);
CREATE INDEX worker_pools_next_turn ON worker_pools (next_turn);

CREATE TABLE launch_configs (
	worker_pool_id   text        COLLATE "C" NOT NULL REFERENCES worker_pools ON DELETE CASCADE,
	launch_config_id text        COLLATE "C" NOT NULL,
	configuration    json        NOT NULL,
	is_archived      boolean     NOT NULL DEFAULT false,
	created          timestamptz NOT NULL DEFAULT now(),
	last_modified    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (worker_pool_id, launch_config_id)
);

-- Workers that a provider is to be asked for: a row is here before the provider hears of it, and goes in the
-- transaction that writes the worker down. Whoever finds it asks with the same key.
CREATE TABLE worker_launches (
	launch_key       text        PRIMARY KEY,
	worker_pool_id   text        COLLATE "C" NOT NULL,
	provider_id      text        NOT NULL,
	launch_config_id text        COLLATE "C" NOT NULL,
	configuration    json        NOT NULL,
	capacity         integer     NOT NULL,
	created          timestamptz NOT NULL DEFAULT now(),
	next_try         timestamptz NOT NULL DEFAULT now(),
	tries            integer     NOT NULL DEFAULT 0
);
CREATE INDEX worker_launches_provider ON worker_launches (provider_id, next_try);
CREATE INDEX worker_launches_pool ON worker_launches (worker_pool_id);

CREATE TABLE pool_workers (
	worker_pool_id   text        COLLATE "C" NOT NULL,
	worker_group     text        COLLATE "C" NOT NULL,
	worker_id        text        COLLATE "C" NOT NULL,
	provider_id      text        NOT NULL,
	launch_config_id text        COLLATE "C",
	launch_key       text,
	state            text        NOT NULL CHECK (state IN ('requested', 'running', 'stopping', 'stopped')),
	capacity         integer     NOT NULL,
	provider_data    json,
	secret_hash      bytea,       -- of what reregisterWorker, or a static worker's registerWorker, has to show
	created          timestamptz NOT NULL DEFAULT now(),
	last_modified    timestamptz NOT NULL DEFAULT now(),
	last_checked     timestamptz NOT NULL DEFAULT now(),
	expires          timestamptz NOT NULL, -- the row
	register_by      timestamptz,          -- null: no matter when
	registered       timestamptz,
	terminate_after  timestamptz,          -- when its credentials end
	inactivity       interval    NOT NULL DEFAULT '2 hours',
	stop_reason      text,
	verdict          text,                 -- why it should end, when it asks; null: it should not
	next_check       timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (worker_pool_id, worker_group, worker_id)
);
CREATE INDEX pool_workers_check ON pool_workers (provider_id, next_check) WHERE state <> 'stopped';
CREATE UNIQUE INDEX pool_workers_launch_key ON pool_workers (launch_key);
CREATE INDEX pool_workers_expires ON pool_workers (expires);

CREATE TABLE worker_pool_errors (
	error_id         text        PRIMARY KEY,
	worker_pool_id   text        COLLATE "C" NOT NULL,
	launch_config_id text        COLLATE "C",
	kind             text        NOT NULL,
	title            text        NOT NULL,
	description      text        NOT NULL,
	extra            json        NOT NULL,
	reported         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX worker_pool_errors_pool ON worker_pool_errors (worker_pool_id, reported);
CREATE INDEX worker_pool_errors_reported ON worker_pool_errors (reported);

-- When each provider may be asked again: after errors that are its own it is left alone for a while, and one
-- replica at a time looks for workers of its that nobody knows.
CREATE TABLE worker_providers (
	provider_id  text        PRIMARY KEY,
	failures     integer     NOT NULL DEFAULT 0, -- in a row
	launch_after timestamptz NOT NULL DEFAULT now(),
	next_reap    timestamptz NOT NULL DEFAULT now()
);
