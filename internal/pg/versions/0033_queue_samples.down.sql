DROP INDEX runs_scheduled;
DROP TABLE queue_samples;
