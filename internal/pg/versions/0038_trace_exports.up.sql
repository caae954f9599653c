-- Traces of which something is still to be sent to a receiver. A row is made or brought forward by the consumer of the feed,
-- in the transaction in which its offset moves, and removed when the receiver has answered for all of it.
CREATE TABLE trace_exports (
	subject      text        COLLATE "C" PRIMARY KEY, -- a task group; or "push REPOSITORY NUMBER" where no tasks were made
	since        timestamptz NOT NULL, -- what ended from then on is to be sent
	next         timestamptz,          -- since, of what happened after the row was claimed
	due          timestamptz NOT NULL,
	leased_until timestamptz NOT NULL DEFAULT '-infinity',
	fence        bigint      NOT NULL DEFAULT 0, -- counts the claims
	waits        integer     NOT NULL DEFAULT 0  -- how often it was waited for reports
);
CREATE INDEX trace_exports_due ON trace_exports (due);
