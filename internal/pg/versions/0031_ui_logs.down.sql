DROP TABLE log_indexes;
