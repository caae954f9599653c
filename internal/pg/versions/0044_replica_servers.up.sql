-- The servers that run, and which program each is: an upgrade is over when none of before is left.
CREATE TABLE replicas (
	id      text        PRIMARY KEY, -- of the process
	host    text        NOT NULL,    -- its machine, as that calls itself
	version text        NOT NULL,
	commit  text        NOT NULL,
	schema  integer     NOT NULL,    -- the newest version of the schema that the program knows
	started timestamptz NOT NULL DEFAULT now(),
	seen    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
