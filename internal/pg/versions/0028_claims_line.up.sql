-- Claims of a task queue, without the task: with it the index served, read from one end to the other, where few claims were
-- there, for what asks by task; and what is dead in it stays while somebody's transaction is open.
CREATE INDEX claims_line ON claims (task_queue_id);
DROP INDEX claims_queue;
