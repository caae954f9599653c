DROP TABLE cron_runs;
DROP TABLE cron_branches;
DROP FUNCTION cron_clock();
