UPDATE event_consumers AS c SET position = o.position
FROM (SELECT name, max(position) AS position FROM event_offsets GROUP BY name) AS o
WHERE o.name = c.name AND o.position > c.position;
DROP TABLE event_offsets;
ALTER TABLE event_consumers
	DROP COLUMN holder,
	DROP COLUMN held_until;
