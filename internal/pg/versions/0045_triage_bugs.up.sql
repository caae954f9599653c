-- Bugs that people have the server file. A row is written before the tracker is asked, so that a summary is filed once
-- whichever server is asked, and one that ends meanwhile leaves behind that the tracker may have the bug.
CREATE TABLE bug_filings (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tracker    text        NOT NULL, -- its name
	summary    text        NOT NULL,
	state      text        NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'unsure', 'filed')),
	attempt    text        NOT NULL, -- of a server; only the last may say what came of it
	asked      timestamptz NOT NULL DEFAULT now(), -- the tracker first, for this bug
	tried      timestamptz NOT NULL DEFAULT now(), -- the last attempt began
	asked_by   text        NOT NULL,
	repository text        NOT NULL,
	task_id    text COLLATE "C" NOT NULL,
	bug        text        NOT NULL DEFAULT '', -- as people write it, once it is known
	url        text        NOT NULL DEFAULT '',
	CHECK ((state = 'filed') = (bug <> ''))
);
CREATE UNIQUE INDEX bug_filings_summary ON bug_filings (tracker, summary);
CREATE INDEX bug_filings_tried ON bug_filings (tried);
