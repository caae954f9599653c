-- Hooks: templates of tasks, and what makes them fire (docs/reference/hooks.md). due is when the
-- scheduler is to look: the next date, or later while a replica is at work on it or after a failure.
CREATE TABLE hook_definitions (
	hook_group_id        text        COLLATE "C" NOT NULL,
	hook_id              text        COLLATE "C" NOT NULL,
	metadata             json        NOT NULL,
	schedule             text[]      NOT NULL,
	bindings             jsonb       NOT NULL,
	task                 json        NOT NULL,
	trigger_schema       json        NOT NULL,
	sealed_trigger_token bytea       NOT NULL,
	sealed_next_task_id  bytea       NOT NULL,
	next_date            timestamptz,
	due                  timestamptz,
	failures             integer     NOT NULL DEFAULT 0, -- in a row, of fires that nobody called for
	bound                timestamptz NOT NULL DEFAULT now(), -- since when the bindings are these
	binding_error        text        NOT NULL DEFAULT '',
	created              timestamptz NOT NULL DEFAULT now(),
	modified             timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (hook_group_id, hook_id)
);
CREATE INDEX hook_definitions_due ON hook_definitions (due) WHERE due IS NOT NULL;
CREATE INDEX hook_definitions_bound ON hook_definitions (hook_group_id, hook_id) WHERE bindings <> '[]';

-- What became of fires; kept a year.
CREATE TABLE hook_fires (
	hook_group_id text        COLLATE "C" NOT NULL,
	hook_id       text        COLLATE "C" NOT NULL,
	task_id       text        COLLATE "C" NOT NULL,
	fired_by      text        NOT NULL,
	fired         timestamptz NOT NULL DEFAULT now(),
	scheduled     timestamptz,               -- the date of the schedule
	missed        integer     NOT NULL DEFAULT 0, -- dates left out before the next
	error         text        NOT NULL DEFAULT '', -- "" is success
	PRIMARY KEY (hook_group_id, hook_id, task_id)
);
CREATE INDEX hook_fires_latest ON hook_fires (hook_group_id, hook_id, fired DESC, task_id DESC);
CREATE INDEX hook_fires_fired ON hook_fires (fired);

-- Messages that fit a binding, until they have fired.
CREATE TABLE hook_messages (
	id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	hook_group_id text        COLLATE "C" NOT NULL,
	hook_id       text        COLLATE "C" NOT NULL,
	message_id    text        COLLATE "C" NOT NULL,
	exchange      text        NOT NULL,
	routing_key   text        NOT NULL,
	payload       json        NOT NULL,
	tries         integer     NOT NULL DEFAULT 0,
	due           timestamptz NOT NULL DEFAULT now(),
	UNIQUE (hook_group_id, hook_id, message_id)
);
CREATE INDEX hook_messages_due ON hook_messages (due);

-- Counts the changes of bindings, for those who keep copies.
CREATE TABLE hook_changes (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version bigint  NOT NULL DEFAULT 0
);
INSERT INTO hook_changes DEFAULT VALUES;

-- What is bound on the broker: RabbitMQ does not tell, and what is no longer wanted must be unbound.
CREATE TABLE hook_queues (
	hook_group_id text  COLLATE "C" NOT NULL,
	hook_id       text  COLLATE "C" NOT NULL,
	bindings      jsonb NOT NULL,
	PRIMARY KEY (hook_group_id, hook_id)
);
