-- Where the newest task of its kind is found: one row a path, and the namespaces above the paths.
CREATE TABLE indexed_tasks (
    namespace text COLLATE "C" NOT NULL, -- all words of the path but the last
    name      text COLLATE "C" NOT NULL, -- the last word
    task_id   text NOT NULL,
    rank      double precision NOT NULL,
    data      jsonb NOT NULL,
    expires   timestamptz NOT NULL,
    PRIMARY KEY (namespace, name)
);

CREATE INDEX indexed_tasks_expires ON indexed_tasks (expires);

CREATE TABLE index_namespaces (
    parent  text COLLATE "C" NOT NULL, -- '' is the root
    name    text COLLATE "C" NOT NULL,
    expires timestamptz NOT NULL,      -- not before anything below it; whole days, so that it rarely changes
    PRIMARY KEY (parent, name)
);

CREATE INDEX index_namespaces_expires ON index_namespaces (expires);
