-- Which repositories the hooks of actions are for (app/actions). A hook that no decision asked for in a
-- while is removed with its rows.
CREATE TABLE action_hooks (
    hook_group_id text NOT NULL,
    hook_id       text NOT NULL,
    repository    text NOT NULL,
    url           text NOT NULL, -- as payloads name the repository
    digest        bytea NOT NULL, -- sha256 of .taskcluster.yml, of which the hook's id holds 40 bits
    used          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (hook_group_id, hook_id, repository)
);
CREATE INDEX action_hooks_used ON action_hooks (used);
