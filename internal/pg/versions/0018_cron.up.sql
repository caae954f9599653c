-- The clock that says which slot of .cron.yml it is: the database's, which all servers share.
CREATE FUNCTION cron_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- Branches whose .cron.yml is followed, and the file as it was read last.
CREATE TABLE cron_branches (
	repository  text        NOT NULL,
	branch      text        NOT NULL,
	revision    text        NOT NULL DEFAULT '',
	source      text        NOT NULL DEFAULT '',
	error       jsonb,
	done_until  timestamptz NOT NULL,
	due         timestamptz NOT NULL,
	checked     timestamptz,
	failures    integer     NOT NULL DEFAULT 0,
	retry_after timestamptz NOT NULL DEFAULT 'epoch',
	PRIMARY KEY (repository, branch)
);
CREATE INDEX cron_branches_due ON cron_branches (due);

-- What became of each slot of a job, and of each start by hand: the key of one is its time, that of the
-- other begins with "by hand".
CREATE TABLE cron_runs (
	id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	repository    text        NOT NULL,
	branch        text        NOT NULL,
	job           text        NOT NULL,
	key           text        NOT NULL,
	slot          timestamptz NOT NULL,
	type          text        NOT NULL,
	revision      text        NOT NULL DEFAULT '',
	push_id       bigint      NOT NULL DEFAULT 0,
	task_id       text        NOT NULL,
	task_group_id text        NOT NULL DEFAULT '',
	state         text        NOT NULL CHECK (state IN ('waiting', 'started', 'failed', 'missed')),
	asked_by      text        NOT NULL DEFAULT '',
	input         jsonb,
	error         jsonb,
	attempts      integer     NOT NULL DEFAULT 0,
	retry_after   timestamptz NOT NULL DEFAULT 'epoch',
	created       timestamptz NOT NULL DEFAULT clock_timestamp(),
	started       timestamptz,
	UNIQUE (repository, branch, job, key)
);
CREATE INDEX cron_runs_waiting ON cron_runs (retry_after) WHERE state = 'waiting';
CREATE INDEX cron_runs_slot ON cron_runs (slot, id);
CREATE INDEX cron_runs_group ON cron_runs (task_group_id) WHERE task_group_id <> '';
CREATE INDEX cron_runs_push ON cron_runs (repository, push_id) WHERE push_id > 0;
CREATE INDEX cron_runs_job ON cron_runs (repository, branch, job, slot, id);
