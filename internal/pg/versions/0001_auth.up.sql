-- Who may do what (package auth).

-- One row. Its lock orders all changes of clients and roles; its numbers tell every server when its
-- copy of them is old.
CREATE TABLE auth_state (
	only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	clients_version bigint NOT NULL,
	roles_version   bigint NOT NULL
);
INSERT INTO auth_state (clients_version, roles_version) VALUES (1, 1);

CREATE TABLE auth_clients (
	client_id            text COLLATE "C" PRIMARY KEY,
	description          text NOT NULL,
	encrypted_token      bytea NOT NULL, -- nonce, then AES-256-GCM with the client id as additional data
	scopes               text[] NOT NULL,
	disabled             boolean NOT NULL DEFAULT false,
	delete_on_expiration boolean NOT NULL DEFAULT false,
	expires              timestamptz NOT NULL,
	created              timestamptz NOT NULL DEFAULT now(),
	last_modified        timestamptz NOT NULL DEFAULT now(),
	last_used            timestamptz NOT NULL DEFAULT now(), -- at most one write in six hours
	last_rotated         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX auth_clients_to_delete ON auth_clients (expires) WHERE delete_on_expiration;

CREATE TABLE auth_roles (
	role_id       text COLLATE "C" PRIMARY KEY,
	scopes        text[] NOT NULL,
	description   text NOT NULL,
	created       timestamptz NOT NULL DEFAULT now(),
	last_modified timestamptz NOT NULL DEFAULT now()
);

-- What was changed by whom; also for entities of other rooms (secrets, hooks, worker pools).
CREATE TABLE auth_audit (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	entity_type text NOT NULL,
	entity_id   text COLLATE "C" NOT NULL,
	client_id   text NOT NULL, -- who did it
	action      text NOT NULL,
	created     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX auth_audit_by_entity ON auth_audit (entity_type, entity_id, id DESC);
CREATE INDEX auth_audit_by_client ON auth_audit (client_id, id DESC);
CREATE INDEX auth_audit_by_time ON auth_audit (created);
