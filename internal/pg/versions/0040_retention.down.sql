DROP TABLE retention_jobs;
