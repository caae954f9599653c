-- Nobody reads the text any more.
-- builds on: 0002
DROP TRIGGER jobs_both ON jobs;
ALTER TABLE jobs DROP COLUMN duration;
