DROP TABLE notify_denylist;
DROP TABLE notify_outbox;
