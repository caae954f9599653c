CREATE INDEX claims_queue ON claims (task_queue_id, task_id);
DROP INDEX claims_line;
