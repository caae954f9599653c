-- Notifications (docs/reference/notify.md). A row is a notification from the moment it is owed until it is
-- forgotten; what is the same notification has the same key. The message is dropped when it has been sent.
CREATE TABLE notify_outbox (
	id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key      text        NOT NULL UNIQUE,
	ident    text        NOT NULL, -- what the other side knows it by: Message-ID, transaction id
	channel  text        NOT NULL, -- email, pulse, matrix-room, slack-channel
	address  text        NOT NULL,
	state    text        NOT NULL, -- waiting, sent, failed, limited, denied
	task_id  text,
	message  json,
	tries    integer     NOT NULL DEFAULT 0,
	error    text,
	created  timestamptz NOT NULL DEFAULT clock_timestamp(),
	next_try timestamptz NOT NULL, -- of one that waits
	finished timestamptz
);
CREATE INDEX notify_outbox_due ON notify_outbox (channel, next_try) WHERE state = 'waiting';
CREATE INDEX notify_outbox_mail ON notify_outbox (lower(address), created) WHERE channel = 'email';
CREATE INDEX notify_outbox_created ON notify_outbox (created);

-- Who wants no notifications.
CREATE TABLE notify_denylist (
	type    text        NOT NULL,
	address text        NOT NULL,
	added   timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (type, address)
);
CREATE INDEX notify_denylist_address ON notify_denylist (type, lower(address));
