-- Wishes that caches on the workers of a pool made before a moment be dropped: one row for each cache,
-- with the latest wish.
CREATE TABLE cache_purges (
	worker_pool_id text        COLLATE "C" NOT NULL,
	cache_name     text        COLLATE "C" NOT NULL,
	before         timestamptz NOT NULL,
	expires        timestamptz NOT NULL,
	PRIMARY KEY (worker_pool_id, cache_name)
);
CREATE INDEX cache_purges_expires ON cache_purges (expires);
