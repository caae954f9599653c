-- A consumer moves with every batch, many times a second. Were its row updated each time, every look
-- at it would pass all its dead versions as long as an old transaction keeps them; so the places it
-- reached are rows of their own, added at the top, and the highest counts. event_consumers.position
-- follows once a second.
CREATE TABLE event_offsets (
	name     text   NOT NULL,
	position bigint NOT NULL,
	PRIMARY KEY (name, position)
);

-- Who works as a consumer, for those that hold it longer than a transaction.
ALTER TABLE event_consumers
	ADD COLUMN holder     text,
	ADD COLUMN held_until timestamptz;
