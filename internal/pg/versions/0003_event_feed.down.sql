DROP TABLE event_consumers;
DROP TABLE event_checkpoint;
DROP TABLE event_order;
DROP TABLE events;
