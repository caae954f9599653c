-- Where the GitHub App is installed. Rows of installations that have gone stay.
CREATE TABLE github_installations (
    id            bigint PRIMARY KEY,
    account       text NOT NULL,
    account_id    bigint NOT NULL,
    state         text NOT NULL CHECK (state IN ('active', 'suspended', 'deleted')),
    permissions   jsonb NOT NULL DEFAULT '{}',
    blocked_until timestamptz NOT NULL DEFAULT '-infinity', -- GitHub takes no more requests until then
    updated       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX github_installations_account ON github_installations (lower(account)) WHERE state = 'active';

-- The repositories that the App reaches, by GitHub's id: names change.
CREATE TABLE github_repositories (
    id              bigint PRIMARY KEY,
    name            text NOT NULL UNIQUE, -- in repositories; stays when GitHub's changes
    owner           text NOT NULL,
    repo            text NOT NULL,
    installation_id bigint NOT NULL,
    default_branch  text NOT NULL,
    url             text NOT NULL,
    enabled         boolean NOT NULL DEFAULT true, -- false when the App was taken away, or the repository archived
    compared        timestamptz NOT NULL DEFAULT '-infinity', -- when its branches were last held against the record
    updated         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX github_repositories_named ON github_repositories (lower(owner), lower(repo));
CREATE INDEX github_repositories_compared ON github_repositories (compared) WHERE enabled;

-- Every authentic webhook, once by its delivery id.
CREATE TABLE github_deliveries (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    guid            text NOT NULL UNIQUE,
    event           text NOT NULL,
    action          text NOT NULL DEFAULT '',
    installation_id bigint NOT NULL DEFAULT 0,
    repository_id   bigint NOT NULL DEFAULT 0,
    source          text NOT NULL CHECK (source IN ('webhook', 'refs')),
    body            bytea NOT NULL, -- zstd
    received        timestamptz NOT NULL DEFAULT clock_timestamp(),
    state           text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done', 'failed')),
    tries           integer NOT NULL DEFAULT 0,
    retry_after     timestamptz NOT NULL DEFAULT '-infinity',
    outcome         text NOT NULL DEFAULT '', -- what became of it, or why not yet
    announced       boolean NOT NULL DEFAULT false -- its message is in the feed
);
ALTER TABLE github_deliveries ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX github_deliveries_new ON github_deliveries (seq) WHERE state = 'new';
CREATE INDEX github_deliveries_received ON github_deliveries (received);

-- A build is what one delivery asked for: a task group.
CREATE TABLE github_builds (
    task_group_id   text PRIMARY KEY,
    repository_id   bigint NOT NULL,
    organization    text NOT NULL,
    repository      text NOT NULL,
    sha             text NOT NULL,
    branch          text NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'success', 'error', 'failure', 'cancelled')),
    event_type      text NOT NULL,
    event_id        text NOT NULL,
    pull_number     integer NOT NULL DEFAULT 0,
    installation_id bigint NOT NULL,
    delivery        bigint NOT NULL, -- order of builds
    change          jsonb NOT NULL,
    reported        text NOT NULL DEFAULT '', -- the state that GitHub was told
    report_after    timestamptz NOT NULL DEFAULT '-infinity',
    report_tries    integer NOT NULL DEFAULT 0,
    created         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX github_builds_named ON github_builds (organization, repository, created DESC);
CREATE INDEX github_builds_pull ON github_builds (repository_id, pull_number) WHERE pull_number > 0;
CREATE INDEX github_builds_unreported ON github_builds (report_after) WHERE reported <> state;
CREATE INDEX github_builds_sha ON github_builds (repository_id, sha);

-- The newest revision seen of each open pull request.
CREATE TABLE github_pulls (
    repository_id bigint NOT NULL,
    number        integer NOT NULL,
    head          text NOT NULL,
    PRIMARY KEY (repository_id, number)
);

-- What was said in comments, so that nothing is said twice.
CREATE TABLE github_said (
    digest bytea PRIMARY KEY,
    said   timestamptz NOT NULL DEFAULT clock_timestamp()
);
