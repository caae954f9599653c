-- What is known of earlier pushes, for strategies that leave tasks out (docs/explanation/history.md). A
-- line is a branch of a project; its pushes are counted one by one.
CREATE TABLE history_lines (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	project     text   NOT NULL,
	branch      text   NOT NULL,
	last_number bigint NOT NULL DEFAULT 0,
	UNIQUE (project, branch)
);

CREATE TABLE history_pushes (
	line_id       bigint      NOT NULL REFERENCES history_lines (id) ON DELETE CASCADE,
	number        bigint      NOT NULL,
	push_id       bigint      NOT NULL,
	revision      text        NOT NULL,
	pushed        timestamptz NOT NULL,
	task_group_id text        NOT NULL,
	decided       boolean     NOT NULL DEFAULT false,
	PRIMARY KEY (line_id, number),
	UNIQUE (line_id, push_id)
);
CREATE INDEX history_pushes_group ON history_pushes (task_group_id);
CREATE INDEX history_pushes_pushed ON history_pushes (pushed);

-- How the tasks of one label went on one push: how many runs passed and failed, and how long they took
-- together.
CREATE TABLE history_outcomes (
	line_id        bigint           NOT NULL,
	number         bigint           NOT NULL,
	label          text             NOT NULL,
	passed         integer          NOT NULL,
	failed         integer          NOT NULL,
	passed_seconds double precision NOT NULL,
	failed_seconds double precision NOT NULL,
	PRIMARY KEY (line_id, number, label),
	FOREIGN KEY (line_id, number) REFERENCES history_pushes (line_id, number) ON DELETE CASCADE
);
