-- The base branch of each open pull request; '' until something is heard of it.
ALTER TABLE github_pulls ADD COLUMN base text NOT NULL DEFAULT '';

-- What the pull requests at a revision bring that no task had before, and what of it an owner has approved.
CREATE TABLE github_scope_gates (
	repository_id bigint      NOT NULL,
	number        integer     NOT NULL, -- of the pull request
	base          text        NOT NULL, -- its base branch
	revision      text        COLLATE "C" NOT NULL, -- its head
	author        text        NOT NULL, -- who opened it, and cannot approve it
	pushed_by     text        NOT NULL, -- nor can who pushed this revision; '' where that is not known
	gains         text[]      NOT NULL, -- sorted
	approved      text[]      NOT NULL DEFAULT '{}', -- the gains there were when somebody approved them
	approved_by   text        NOT NULL DEFAULT '',
	updated       timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (repository_id, number, base, revision)
);
CREATE INDEX github_scope_gates_revision ON github_scope_gates (repository_id, revision);
CREATE INDEX github_scope_gates_updated ON github_scope_gates (updated);
