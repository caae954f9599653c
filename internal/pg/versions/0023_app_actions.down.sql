DROP TABLE action_hooks;
