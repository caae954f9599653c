CREATE INDEX CONCURRENTLY jobs_millis ON jobs (millis);
