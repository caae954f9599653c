DROP TABLE history_outcomes;
DROP TABLE history_pushes;
DROP TABLE history_lines;
