DROP TABLE failure_lines;
DROP TABLE failure_runs;
DROP TABLE failure_outcomes;
DROP TABLE failure_labels;
DROP TABLE failure_pushes;
