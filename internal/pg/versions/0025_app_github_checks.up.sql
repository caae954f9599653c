-- What .taskcluster.yml asks to be told at GitHub of a build, and what is to be told of it besides its tasks.
ALTER TABLE github_builds ADD COLUMN reporting jsonb NOT NULL DEFAULT '{}';
ALTER TABLE github_builds ADD COLUMN trouble jsonb; -- what is wrong with the tree that the decision read

-- What GitHub is to show at a revision (desired), what it shows as far as is known (observed), and who is telling it.
-- One row is one check run, or one commit status.
CREATE TABLE github_checks (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation_id bigint NOT NULL,
    repository      text NOT NULL, -- owner/repo
    sha             text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('aggregate', 'task', 'group', 'graph-diff', 'status')),
    subject         text NOT NULL, -- tells apart the checks of a kind at a revision
    attempt         integer NOT NULL CHECK (attempt > 0),
    name            text NOT NULL,
    task_group_id   text NOT NULL DEFAULT '',
    task_id         text NOT NULL DEFAULT '',

    state           jsonb NOT NULL,
    open            boolean NOT NULL, -- the state is not that of something completed
    latest          boolean NOT NULL DEFAULT true, -- there is no later attempt
    notes           text[] NOT NULL DEFAULT '{}',
    wanted          bigint NOT NULL DEFAULT 1, -- counts the states
    urgency         smallint NOT NULL, -- 0 first

    github_id       bigint NOT NULL DEFAULT 0,
    perhaps         boolean NOT NULL DEFAULT false, -- it may have been made at GitHub, and its id is not known
    annotated       integer NOT NULL DEFAULT 0, -- annotations that GitHub has
    sent            bigint NOT NULL DEFAULT 0, -- the state that GitHub has
    sent_at         timestamptz NOT NULL DEFAULT '-infinity',
    ended           text NOT NULL DEFAULT '', -- why GitHub is told no more

    fence           bigint NOT NULL DEFAULT 0, -- counts the claims
    leased_until    timestamptz NOT NULL DEFAULT '-infinity',
    due             timestamptz NOT NULL DEFAULT '-infinity',
    tries           integer NOT NULL DEFAULT 0,
    error           text NOT NULL DEFAULT '',
    created         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX github_checks_subject ON github_checks (lower(repository), sha, kind, subject, attempt);
CREATE INDEX github_checks_unsent ON github_checks (installation_id, urgency, due) WHERE sent < wanted AND ended = '';
CREATE INDEX github_checks_github_id ON github_checks (github_id) WHERE github_id > 0;
CREATE INDEX github_checks_updated ON github_checks (updated);

-- How fast GitHub may be asked for an installation; one row is held while its next request is chosen.
CREATE TABLE github_pace (
    installation_id bigint PRIMARY KEY,
    paid_until      timestamptz NOT NULL DEFAULT '-infinity', -- each write moves it on
    blocked_until   timestamptz NOT NULL DEFAULT '-infinity',
    refusals        integer NOT NULL DEFAULT 0, -- one after another
    remaining       integer NOT NULL DEFAULT 5000,
    refilled        timestamptz NOT NULL DEFAULT '-infinity' -- when remaining begins anew
);

-- Revisions of which something changed. A row is added for each change and removed by whoever looked since.
CREATE TABLE github_check_marks (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id bigint NOT NULL,
    sha           text NOT NULL
);
CREATE INDEX github_check_marks_head ON github_check_marks (repository_id, sha);

-- When a revision was last looked at, and when what GitHub shows was last held against what it ought to.
CREATE TABLE github_check_heads (
    repository_id bigint NOT NULL,
    sha           text NOT NULL,
    planned       timestamptz NOT NULL DEFAULT clock_timestamp(),
    tasks         integer NOT NULL DEFAULT 0,
    compared      timestamptz NOT NULL DEFAULT clock_timestamp(),
    open          boolean NOT NULL DEFAULT true,
    updated       timestamptz NOT NULL DEFAULT clock_timestamp(), -- when something changed
    PRIMARY KEY (repository_id, sha)
);
CREATE INDEX github_check_heads_compared ON github_check_heads (compared);

-- What is said of a revision that became no build: that there is nothing to do, that the file is wrong, that the policy
-- refuses. The newest of each source counts.
CREATE TABLE github_verdicts (
    repository_id bigint NOT NULL,
    sha           text NOT NULL,
    source        text NOT NULL, -- the kind of event, and the pull request
    delivery      bigint NOT NULL,
    reporting     jsonb NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('nothing', 'refused', 'wrong')),
    verdict       jsonb NOT NULL,
    created       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (repository_id, sha, source)
);
