-- Lines of logs of which somebody said that they tell of a run's failure. While one counts it stands among failure_lines;
-- nothing here is changed but that it was taken back.
CREATE TABLE failure_reports (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	task_id   text COLLATE "C" NOT NULL,
	run_id    smallint    NOT NULL,
	signature text COLLATE "C" NOT NULL,
	push      bigint      NOT NULL REFERENCES failure_pushes (id) ON DELETE CASCADE,
	log       text        NOT NULL, -- name of the artifact
	line      integer     NOT NULL,
	message   text        NOT NULL,
	said_by   text        NOT NULL,
	said      timestamptz NOT NULL DEFAULT now(),
	undone_by text,
	undone    timestamptz
);
CREATE UNIQUE INDEX failure_reports_counts ON failure_reports (task_id, run_id, signature) WHERE undone IS NULL;
CREATE INDEX failure_reports_push ON failure_reports (push);
