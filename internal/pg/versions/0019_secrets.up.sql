-- Small secret values by name. The value is sealed with the deployment's key and bound to its name.
CREATE TABLE secrets (
	name     text        COLLATE "C" PRIMARY KEY,
	sealed   bytea       NOT NULL,
	expires  timestamptz NOT NULL,
	modified timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX secrets_expires ON secrets (expires);
