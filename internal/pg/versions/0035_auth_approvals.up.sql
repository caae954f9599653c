-- What a change changed, and who approved it; null where nothing is to be told.
ALTER TABLE auth_audit ADD COLUMN change jsonb, ADD COLUMN approved_by text;

-- Entities whose change needs a second person, as the configuration says.
CREATE TABLE auth_guards (
	entity_type text NOT NULL,
	pattern     text NOT NULL, -- of ids; a star stands for any text
	PRIMARY KEY (entity_type, pattern)
);

-- Changes that somebody asked for and that a second person allows or refuses.
CREATE TABLE auth_approvals (
	id          text COLLATE "C" PRIMARY KEY,
	entity_type text NOT NULL,
	entity_id   text COLLATE "C" NOT NULL,
	action      text NOT NULL,
	change      jsonb,
	digest      bytea NOT NULL, -- of the whole change: from what to what
	proposer    text NOT NULL,
	state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'refused', 'used')),
	decided_by  text,
	decided     timestamptz,
	created     timestamptz NOT NULL DEFAULT now(),
	expires     timestamptz NOT NULL
);
CREATE UNIQUE INDEX auth_approvals_open ON auth_approvals (digest, proposer) WHERE state IN ('open', 'approved');
CREATE INDEX auth_approvals_by_expiry ON auth_approvals (expires);
