-- Objects in several stores (package object): each content has a home, and copies in the stores of
-- other regions. A server of the version before goes on with the store "disk", its folder.

ALTER TABLE object_contents
	ADD COLUMN store      text COLLATE "C" NOT NULL DEFAULT 'disk', -- where it is at home
	ADD COLUMN lost_since timestamptz; -- when it was found not to be there any more

ALTER TABLE objects
	ADD COLUMN store        text COLLATE "C" NOT NULL DEFAULT 'disk', -- where its upload goes
	ADD COLUMN ticket       text NOT NULL DEFAULT '', -- the store's name for its upload
	ADD COLUMN encoding     text NOT NULL DEFAULT '' CHECK (encoding IN ('', 'gzip')), -- how the content is stored
	ADD COLUMN plain_sha256 text, -- of what is encoded
	ADD COLUMN plain_sha512 text,
	ADD COLUMN plain_size   bigint,
	DROP CONSTRAINT objects_method_check,
	-- Wider than before, so that no row needs to be looked at.
	ADD CONSTRAINT objects_method_check CHECK (method IN ('', 'dataInline', 'putUrl', 'append', 'parts', 'directPut', 'signedPut')) NOT VALID;

-- What has come of an upload in parts.
CREATE TABLE object_parts (
	object_id bigint NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
	number    integer NOT NULL CHECK (number BETWEEN 1 AND 10000),
	size      bigint NOT NULL,
	sha256    text NOT NULL,
	tag       text NOT NULL, -- the store's name for it
	PRIMARY KEY (object_id, number)
);

-- Copies of contents in stores that are not their home.
CREATE TABLE object_copies (
	sha256 text COLLATE "C" NOT NULL REFERENCES object_contents ON DELETE CASCADE,
	store  text COLLATE "C" NOT NULL,
	state  text NOT NULL CHECK (state IN ('copying', 'there', 'failed')),
	until  timestamptz NOT NULL DEFAULT now(), -- copying: when it counts as broken off; failed: when it is tried again
	PRIMARY KEY (sha256, store)
);
