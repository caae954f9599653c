DROP INDEX artifacts_unfinished;
DROP TABLE task_queues;
DROP TABLE worker_details;
