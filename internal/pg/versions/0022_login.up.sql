-- People who sign in through a provider, as it vouched for them last (docs/explanation/login.md).
CREATE TABLE login_people (
	identity text        PRIMARY KEY,
	provider text        NOT NULL,
	subject  text        NOT NULL,
	name     text        NOT NULL,
	roles    text[]      NOT NULL,
	grant_   bytea,                                -- sealed; with it the provider is asked again
	seen     timestamptz NOT NULL DEFAULT now(),   -- the last sign-in
	checked  timestamptz NOT NULL DEFAULT now(),   -- when the provider vouched last
	trying   timestamptz,                          -- when a server began to ask last
	ended    timestamptz                           -- since when the provider does not vouch any more
);
CREATE INDEX login_people_subject ON login_people (provider, subject);

-- States of sign-ins that have come back: none comes back twice.
CREATE TABLE login_spent (
	state_hash bytea       PRIMARY KEY,
	expires    timestamptz NOT NULL
);
CREATE INDEX login_spent_expires ON login_spent (expires);

-- What somebody has consented to, until it is fetched: by the program that asked, with the code that
-- the browser brought it. A code that comes twice ends what it gave (RFC 6749, 4.1.2).
CREATE TABLE login_codes (
	code_hash    bytea       PRIMARY KEY,
	kind         text        NOT NULL CHECK (kind IN ('cli', 'oauth')),
	site         text        NOT NULL,             -- the registered client; "" for the command line
	redirect_uri text        NOT NULL,
	challenge    text        NOT NULL,             -- of PKCE; "" without
	holder       jsonb       NOT NULL,             -- under whose rights
	asked        jsonb       NOT NULL,             -- the client to make
	expires      timestamptz NOT NULL,
	spent        timestamptz
);
CREATE INDEX login_codes_expires ON login_codes (expires);

-- Tokens that give credentials.
CREATE TABLE login_tokens (
	token_hash bytea       PRIMARY KEY,
	code_hash  bytea,                              -- by which it was given; null when given at once
	holder     jsonb       NOT NULL,
	asked      jsonb       NOT NULL,
	made       boolean     NOT NULL DEFAULT false, -- whether the client is there
	expires    timestamptz NOT NULL
);
CREATE INDEX login_tokens_code ON login_tokens (code_hash);
CREATE INDEX login_tokens_expires ON login_tokens (expires);

-- One row: the daily look at the clients that people made.
CREATE TABLE login_scan (
	single   boolean     PRIMARY KEY DEFAULT true CHECK (single),
	began    timestamptz NOT NULL DEFAULT '-infinity',
	finished timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO login_scan DEFAULT VALUES;

-- Sessions of people are checked against login_people; the list of them shows where each was begun.
ALTER TABLE ui_sessions ADD COLUMN person boolean NOT NULL DEFAULT false, ADD COLUMN agent text NOT NULL DEFAULT '';
CREATE INDEX ui_sessions_client ON ui_sessions (client_id);
