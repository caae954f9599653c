-- What people, and rules, say of a task's outcome. Nothing here is changed but that it was taken back. The class
-- that counts is the newest that was not.
CREATE TABLE classifications (
	id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	repository    text        NOT NULL,
	task_group_id text        COLLATE "C" NOT NULL,
	task_id       text        COLLATE "C" NOT NULL,
	run_id        smallint    NOT NULL,
	class         smallint    NOT NULL CHECK (class BETWEEN 2 AND 8),
	bug           text        NOT NULL,
	note          text        NOT NULL,
	said_by       text        NOT NULL,
	said          timestamptz NOT NULL DEFAULT now(),
	undone_by     text,
	undone        timestamptz
);
CREATE INDEX classifications_task ON classifications (task_id, id);
CREATE INDEX classifications_group ON classifications (task_group_id) WHERE undone IS NULL;
CREATE INDEX classifications_bug ON classifications (bug, id) WHERE bug <> '' AND undone IS NULL;
