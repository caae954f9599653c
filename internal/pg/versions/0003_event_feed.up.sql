-- The outbox. A room inserts a row in the transaction of its state change; rows are never updated,
-- so that finding the new ones does not slow down while an old transaction keeps dead rows alive.
CREATE TABLE events (
	seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of insertion; has gaps
	id            text        NOT NULL,
	kind          text        NOT NULL,
	time          timestamptz NOT NULL DEFAULT clock_timestamp(),
	task_id       text,
	task_group_id text,
	run_id        integer,
	routes        json,
	topic         text,
	payload       json
);

-- The feed: the sequencer gives each visible event a position, counting up without gaps.
CREATE TABLE event_order (
	position bigint PRIMARY KEY,
	seq      bigint NOT NULL
);

-- Where a sequencer that begins picks up: everything at or below mark has a position by then, except
-- what lies in the gaps. Written now and then; what it misses is read from event_order.
CREATE TABLE event_checkpoint (
	single   boolean PRIMARY KEY DEFAULT true CHECK (single),
	position bigint   NOT NULL,
	mark     bigint   NOT NULL,
	gap_from bigint[] NOT NULL,
	gap_to   bigint[] NOT NULL
);
INSERT INTO event_checkpoint (position, mark, gap_from, gap_to) VALUES (0, 0, '{}', '{}');

-- How far each consumer came.
CREATE TABLE event_consumers (
	name     text PRIMARY KEY,
	position bigint      NOT NULL,
	moved    timestamptz NOT NULL DEFAULT clock_timestamp()
);
