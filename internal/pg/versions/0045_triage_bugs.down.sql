DROP TABLE bug_filings;
