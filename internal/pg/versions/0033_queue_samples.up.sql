-- How each task queue stood at a whole minute, for pages that show how it went. One row a queue that had anything to show;
-- the row of the queue '' is the minute's round itself: who writes it takes the samples of that minute, whichever replica it
-- is. Older ones are thinned out: to every tenth minute after a day, to whole hours after a week, and go after 100 days.
CREATE TABLE queue_samples (
	task_queue_id text             COLLATE "C" NOT NULL,
	at            timestamptz      NOT NULL,
	pending       integer          NOT NULL,
	running       integer          NOT NULL,
	capacity      integer          NOT NULL, -- tasks that its workers can do at once
	waits         integer          NOT NULL, -- runs of which wait_p50 and wait_p95 tell, in seconds
	wait_p50      double precision,
	wait_p95      double precision,
	hourly        double precision,          -- what its workers cost an hour; null: no price is set
	PRIMARY KEY (task_queue_id, at)
);
CREATE INDEX queue_samples_at ON queue_samples (at);

-- Finds the runs of the last hours, which lie together. It is not written to when a run moves on.
CREATE INDEX runs_scheduled ON runs USING brin (scheduled) WITH (pages_per_range = 32, autosummarize = on);
