-- Objects: named bytes with an expiry (package object). The bytes are files named by their sha256.

-- One row for each file. A file is written before its row is committed and removed before its row is
-- deleted, both with the row locked; so a row that is referenced always has its file.
CREATE TABLE object_contents (
	sha256       text COLLATE "C" PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
	size         bigint NOT NULL,
	unused_since timestamptz -- when an object last let go of it; to be removed if none has it
);
CREATE INDEX object_contents_unused ON object_contents (unused_since) WHERE unused_since IS NOT NULL;

CREATE TABLE objects (
	name           text COLLATE "C" PRIMARY KEY,
	id             bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- names the file of an upload by pieces
	project_id     text NOT NULL,
	upload_id      text NOT NULL,
	content_type   text NOT NULL DEFAULT 'application/octet-stream',
	method         text NOT NULL DEFAULT '' CHECK (method IN ('', 'dataInline', 'putUrl', 'append')),
	expected_size  bigint, -- what the uploader announced for putUrl
	claimed        jsonb NOT NULL DEFAULT '{}', -- hashes the uploader gave
	sha256         text COLLATE "C" REFERENCES object_contents, -- null: no content yet
	sha512         text,
	expires        timestamptz NOT NULL,
	upload_expires timestamptz NOT NULL DEFAULT now() + interval '1 day',
	created        timestamptz NOT NULL DEFAULT now(),
	finished       timestamptz -- null: nobody may see it yet
);
CREATE INDEX objects_by_content ON objects (sha256);
CREATE INDEX objects_by_expiry ON objects (expires);
CREATE INDEX objects_unfinished ON objects (upload_expires) WHERE finished IS NULL;
