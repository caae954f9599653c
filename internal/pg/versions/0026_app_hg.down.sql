DROP TABLE hg_known;
DROP TABLE hg_repositories;
DROP INDEX pushes_forge_key;
ALTER TABLE pushes DROP COLUMN forge_key, DROP COLUMN dated, DROP COLUMN pushlog_id;
