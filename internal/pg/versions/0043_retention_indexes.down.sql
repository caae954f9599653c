DROP INDEX IF EXISTS pushes_pushed, failure_runs_label, failure_lines_label, github_builds_updated, github_said_said, github_verdicts_created;
