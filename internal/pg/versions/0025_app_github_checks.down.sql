DROP TABLE github_verdicts;
DROP TABLE github_check_heads;
DROP TABLE github_check_marks;
DROP TABLE github_pace;
DROP TABLE github_checks;
ALTER TABLE github_builds DROP COLUMN trouble;
ALTER TABLE github_builds DROP COLUMN reporting;
