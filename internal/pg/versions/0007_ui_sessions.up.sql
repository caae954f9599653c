-- Who is signed in to the pages. The cookie's token itself is not kept.
CREATE TABLE ui_sessions (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    client_id text NOT NULL,
    scopes text[],               -- of temporary credentials; null: what the client holds at each request
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL
);
CREATE INDEX ui_sessions_expires ON ui_sessions (expires);
