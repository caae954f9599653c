DROP TABLE failure_reports;
