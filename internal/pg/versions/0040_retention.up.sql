-- What removes old rows: one row a job (package retention).
CREATE TABLE retention_jobs (
	job      text        PRIMARY KEY,
	started  timestamptz NOT NULL,           -- the last run
	finished timestamptz,                    -- the last run that ended
	took     interval    NOT NULL DEFAULT '0',
	removed  bigint      NOT NULL DEFAULT 0, -- by the last run that ended
	total    bigint      NOT NULL DEFAULT 0, -- since ever
	error    text        NOT NULL DEFAULT '',
	failures integer     NOT NULL DEFAULT 0, -- in a row
	next_run timestamptz NOT NULL
);
