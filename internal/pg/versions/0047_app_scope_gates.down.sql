DROP TABLE github_scope_gates;
ALTER TABLE github_pulls DROP COLUMN base;
