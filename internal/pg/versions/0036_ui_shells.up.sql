-- Which server has the connection of a worker that offers shells in a run, and how the other servers reach it.
CREATE TABLE shell_offers (
	task_id text        COLLATE "C" NOT NULL,
	run_id  text        COLLATE "C" NOT NULL,
	offer   text        NOT NULL, -- which of several connections, one after the other
	address text        NOT NULL, -- of the server, for the other servers
	seen    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (task_id, run_id)
);
