CREATE INDEX CONCURRENTLY pushes_pushed ON pushes (pushed);
CREATE INDEX CONCURRENTLY failure_runs_label ON failure_runs (label);
CREATE INDEX CONCURRENTLY failure_lines_label ON failure_lines (label);
CREATE INDEX CONCURRENTLY github_builds_updated ON github_builds (updated);
CREATE INDEX CONCURRENTLY github_said_said ON github_said (said);
CREATE INDEX CONCURRENTLY github_verdicts_created ON github_verdicts (created);
