-- How the tasks of pushes ended and what failures say of themselves, for the page of a push: which failures are
-- new, known or flaky (docs/explanation/push-health.md).
CREATE TABLE failure_pushes (
	id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	repository    text        NOT NULL,
	push_id       bigint      NOT NULL,
	branch        text        NOT NULL,
	revision      text        NOT NULL,
	pushed        timestamptz NOT NULL,
	task_group_id text        NOT NULL UNIQUE,
	UNIQUE (repository, push_id)
);
CREATE INDEX failure_pushes_pushed ON failure_pushes (pushed);

CREATE TABLE failure_labels (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	repository text NOT NULL,
	label      text NOT NULL,
	job        text NOT NULL, -- build, lint, test or other
	UNIQUE (repository, label)
);

-- One row a label and push: how many of its runs ended how, and the task that ended last.
CREATE TABLE failure_outcomes (
	push    bigint  NOT NULL REFERENCES failure_pushes (id) ON DELETE CASCADE,
	label   bigint  NOT NULL REFERENCES failure_labels (id),
	passed  integer NOT NULL,
	failed  integer NOT NULL,
	lost    integer NOT NULL,
	seconds real    NOT NULL, -- of the last run
	task_id text    NOT NULL,
	PRIMARY KEY (push, label)
);
CREATE INDEX failure_outcomes_label ON failure_outcomes (label, push);

-- One row a run that did not pass. unread is when its artifacts are to be read, null when they were.
CREATE TABLE failure_runs (
	task_id  text COLLATE "C" NOT NULL,
	run_id   smallint    NOT NULL,
	push     bigint      NOT NULL REFERENCES failure_pushes (id) ON DELETE CASCADE,
	label    bigint      NOT NULL REFERENCES failure_labels (id),
	lost     boolean     NOT NULL,
	reason   text        NOT NULL,
	name     text        NOT NULL,
	platform text        NOT NULL,
	queue    text        NOT NULL,
	ended    timestamptz NOT NULL,
	tries    smallint    NOT NULL DEFAULT 0,
	unread   timestamptz,
	PRIMARY KEY (task_id, run_id)
);
CREATE INDEX failure_runs_push ON failure_runs (push);
CREATE INDEX failure_runs_unread ON failure_runs (unread) WHERE unread IS NOT NULL;

-- What such a run says of its failure: a row for each test or error, of the same signature only one.
CREATE TABLE failure_lines (
	task_id   text COLLATE "C" NOT NULL,
	run_id    smallint NOT NULL,
	signature text COLLATE "C" NOT NULL,
	push      bigint   NOT NULL REFERENCES failure_pushes (id) ON DELETE CASCADE,
	label     bigint   NOT NULL REFERENCES failure_labels (id),
	place     smallint NOT NULL, -- its place in the run, from 0
	test      text     NOT NULL,
	message   text     NOT NULL,
	line      integer  NOT NULL, -- of the log; 0 unknown
	excerpt   text     NOT NULL,
	PRIMARY KEY (task_id, run_id, signature)
);
CREATE INDEX failure_lines_push ON failure_lines (push);
CREATE INDEX failure_lines_signature ON failure_lines (signature, push);
