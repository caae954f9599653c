package github

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/push"
)

// repository is a repository that the App reaches.
type repository struct {
	ID            int64  `db:"id"`
	Name          string `db:"name"` // in the record of pushes
	Owner         string `db:"owner"`
	Repo          string `db:"repo"`
	Installation  int64  `db:"installation_id"`
	DefaultBranch string `db:"default_branch"`
	URL           string `db:"url"`
	Enabled       bool   `db:"enabled"`
}

// role is what the names of the repository's roles begin with (taskcluster-map 13.5).
func (r repository) role() string { return "repo:github.com/" + r.Owner + "/" + r.Repo }

func (g *GitHub) forge(r repository) *ghclient.Forge {
	return g.client.Forge(r.Installation, r.Owner, r.Repo)
}

// pullLevel is the trust of what anybody may propose.
const pullLevel = 1

// Forge returns what reads a repository of the record of pushes, or a fault.NotFound.
func (g *GitHub) Forge(ctx context.Context, r push.Repository) (*ghclient.Forge, error) {
	rows, err := g.Pool.Query(ctx, findRepositorySQL.Text, r.Name, "", "")
	if err != nil {
		return nil, fmt.Errorf("github: repository %s: %w", r.Name, pg.Classify(err))
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[repository])
	if err != nil {
		return nil, fmt.Errorf("github: repository %s: %w", r.Name, pg.Classify(err))
	}
	return g.forge(found), nil
}

// repository returns a repository by its id, or a fault.NotFound.
func (g *GitHub) repository(ctx context.Context, id int64) (repository, error) {
	rows, err := g.Pool.Query(ctx, repositorySQL.Text, id)
	if err == nil {
		var r repository
		if r, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[repository]); err == nil {
			return r, nil
		}
	}
	return repository{}, fmt.Errorf("github: repository %d: %w", id, pg.Classify(err))
}

// named returns a repository by owner and name, or a fault.NotFound.
func (g *GitHub) named(ctx context.Context, owner, repo string) (repository, error) {
	rows, err := g.Pool.Query(ctx, findRepositorySQL.Text, "", owner, repo)
	if err == nil {
		var r repository
		if r, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[repository]); err == nil {
			return r, nil
		}
	}
	if err = pg.Classify(err); errors.Is(err, fault.NotFound) {
		return repository{}, fault.New(fault.NotFound, "The GitHub App of this server is not installed at %s/%s.", owner, repo)
	}
	return repository{}, fmt.Errorf("github: repository %s/%s: %w", owner, repo, err)
}

// know writes down a repository as a webhook or GitHub tells of it, here and in the record of pushes.
func (g *GitHub) know(ctx context.Context, installation int64, told repoPayload) (repository, error) {
	owner := told.Owner.login()
	if owner == "" {
		owner, _, _ = strings.Cut(told.FullName, "/")
	}
	if told.ID == 0 || owner == "" || told.Name == "" {
		return repository{}, fmt.Errorf("github: the webhook names no repository: %w", errNever)
	}
	rows, err := g.Pool.Query(ctx, setRepositorySQL.Text, told.ID, owner+"."+told.Name, owner, told.Name, installation, told.DefaultBranch, told.CloneURL, !told.Archived)
	if err != nil {
		return repository{}, fmt.Errorf("github: repository %s/%s: %w", owner, told.Name, pg.Classify(err))
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[repository])
	if err != nil {
		return repository{}, fmt.Errorf("github: repository %s/%s: %w", owner, told.Name, pg.Classify(err))
	}
	known, err := g.Push.Repository(ctx, r.Name)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return r, err
	}
	want := push.Repository{Name: r.Name, Kind: push.GitHub, URL: r.URL, Level: g.Level(r.Name), DefaultBranch: r.DefaultBranch}
	if want != known {
		err = g.Push.Register(ctx, want)
	} else {
		err = nil
	}
	return r, err
}

// sync reads all repositories of an installation from GitHub: webhooks may name only some.
func (g *GitHub) sync(ctx context.Context, installation int64) (int, error) {
	c := g.client.Installation(installation)
	o := &github.ListOptions{PerPage: 100}
	var ids []int64
	for {
		page, answer, err := c.Apps.ListRepos(ctx, o)
		if err != nil {
			return 0, fmt.Errorf("github: repositories of installation %d: %w", installation, err)
		}
		for _, r := range page.Repositories {
			ids = append(ids, r.GetID())
			_, err := g.know(ctx, installation, repoPayload{
				ID: r.GetID(), Name: r.GetName(), FullName: r.GetFullName(), DefaultBranch: r.GetDefaultBranch(), CloneURL: r.GetCloneURL(),
				Archived: r.GetArchived(), Owner: person{Login: r.GetOwner().GetLogin()},
			})
			if err != nil {
				return 0, err
			}
		}
		if answer.NextPage == 0 {
			break
		}
		o.Page = answer.NextPage
	}
	if _, err := g.Pool.Exec(ctx, disableSQL.Text, installation, ids); err != nil {
		return 0, fmt.Errorf("github: repositories of installation %d: %w", installation, pg.Classify(err))
	}
	return len(ids), nil
}

// setInstallation writes down how an installation stands.
func (g *GitHub) setInstallation(ctx context.Context, in installationPayload, state string) error {
	if _, err := g.Pool.Exec(ctx, setInstallationSQL.Text, in.ID, clean(in.Account.Login), in.Account.ID, state, in.Permissions); err != nil {
		return fmt.Errorf("github: installation %d: %w", in.ID, pg.Classify(err))
	}
	return nil
}

const repositoryColumns = `id, name, owner, repo, installation_id, default_branch, url, enabled`

var (
	setInstallationSQL = pg.Statement{Name: "github.set-installation", Text: `
		INSERT INTO github_installations (id, account, account_id, state, permissions) VALUES ($1, $2, $3, $4, coalesce($5::jsonb, '{}'))
		ON CONFLICT (id) DO UPDATE SET account = EXCLUDED.account, account_id = EXCLUDED.account_id, state = EXCLUDED.state,
			permissions = EXCLUDED.permissions, updated = clock_timestamp()`}

	blockSQL = pg.Statement{Name: "github.block", Text: `
		UPDATE github_installations SET blocked_until = greatest(blocked_until, clock_timestamp() + make_interval(secs => $2)) WHERE id = $1`}

	// A name once given stays: what is recorded of the repository goes by it.
	setRepositorySQL = pg.Statement{Name: "github.set-repository", Text: `
		WITH was AS (SELECT owner || '/' || repo AS name FROM github_repositories WHERE id = $1 AND (lower(owner), lower(repo)) <> (lower($3), lower($4))),
		renamed AS (
			UPDATE github_checks SET repository = $3 || '/' || $4 FROM was
			WHERE lower(repository) = lower(was.name) AND NOT EXISTS (SELECT FROM github_checks WHERE lower(repository) = lower($3 || '/' || $4)))
		INSERT INTO github_repositories AS r (id, name, owner, repo, installation_id, default_branch, url, enabled)
		VALUES ($1, CASE WHEN EXISTS (SELECT FROM github_repositories WHERE name = $2 AND id <> $1) THEN $2 || '.' || $1::bigint ELSE $2 END, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, repo = EXCLUDED.repo,
			installation_id = CASE WHEN EXCLUDED.installation_id = 0 THEN r.installation_id ELSE EXCLUDED.installation_id END,
			default_branch = CASE WHEN EXCLUDED.default_branch = '' THEN r.default_branch ELSE EXCLUDED.default_branch END,
			url = CASE WHEN EXCLUDED.url = '' THEN r.url ELSE EXCLUDED.url END, enabled = EXCLUDED.enabled, updated = clock_timestamp()
		RETURNING ` + repositoryColumns}

	repositorySQL = pg.Statement{Name: "github.repository", Text: `SELECT ` + repositoryColumns + ` FROM github_repositories WHERE id = $1`}

	findRepositorySQL = pg.Statement{Name: "github.find-repository", Text: `
		SELECT ` + repositoryColumns + ` FROM github_repositories
		WHERE $1::text <> '' AND name = $1 OR $1 = '' AND lower(owner) = lower($2) AND lower(repo) = lower($3) ORDER BY enabled DESC, updated DESC LIMIT 1`}

	disableSQL = pg.Statement{Name: "github.disable", Text: `
		UPDATE github_repositories SET enabled = false, updated = clock_timestamp() WHERE installation_id = $1 AND enabled AND id <> ALL ($2::bigint[])`}

	disableRepositorySQL = pg.Statement{Name: "github.disable-repositories", Text: `
		UPDATE github_repositories SET enabled = false, updated = clock_timestamp() WHERE id = ANY ($1::bigint[])`}
)
