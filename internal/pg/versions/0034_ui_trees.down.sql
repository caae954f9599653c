DROP INDEX pushes_email;
ALTER TABLE indexed_tasks DROP COLUMN indexed;
ALTER TABLE indexed_tasks DROP COLUMN former;
DROP TABLE ui_settings;
DROP TABLE ui_tree_changes;
DROP TABLE ui_trees;
