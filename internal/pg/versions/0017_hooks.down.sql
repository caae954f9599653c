DROP TABLE hook_queues;
DROP TABLE hook_changes;
DROP TABLE hook_messages;
DROP TABLE hook_fires;
DROP TABLE hook_definitions;
