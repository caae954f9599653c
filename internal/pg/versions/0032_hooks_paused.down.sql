ALTER TABLE hook_definitions DROP COLUMN paused_by, DROP COLUMN paused;
