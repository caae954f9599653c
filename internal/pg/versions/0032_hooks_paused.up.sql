-- A paused hook fires neither by its schedule nor by messages; people may still call for it.
ALTER TABLE hook_definitions ADD COLUMN paused timestamptz, ADD COLUMN paused_by text NOT NULL DEFAULT '';
