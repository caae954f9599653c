DROP TRIGGER jobs_both ON jobs;
DROP FUNCTION jobs_both;
DROP INDEX IF EXISTS jobs_millis;
ALTER TABLE jobs DROP COLUMN millis;
