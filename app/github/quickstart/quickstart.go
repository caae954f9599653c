// Package quickstart proposes the files of the page of that name: as a pull request that the GitHub App opens in the
// repository, for its people to look at, change and merge.
package quickstart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/create"
)

// Branch is where the files stand until they are merged. It is the App's own.
const Branch = "treeline/starter"

const title = "Build with Treeline"

// Proposals make the pull requests. They are safe for concurrent use.
type Proposals struct {
	Pool  *pgxpool.Pool
	Forge func(ctx context.Context, r push.Repository) (*ghclient.Forge, error)
	// Note writes down who asked for a pull request, before it is made.
	Note    func(ctx context.Context, by, repository string, what any) error
	RootURL string
}

// repository is where a pull request can be opened, with what the App may do there.
type repository struct {
	Owner    string `db:"owner"`
	Repo     string `db:"repo"`
	Branch   string `db:"default_branch"`
	Contents string `db:"contents"`
	Pulls    string `db:"pulls"`
}

// lacks are the permissions that are missing.
func (r repository) lacks() (out []string) {
	for _, p := range []struct{ name, level string }{{"contents", r.Contents}, {"pull_requests", r.Pulls}} {
		if p.level != "write" && p.level != "admin" {
			out = append(out, p.name)
		}
	}
	return out
}

func (p *Proposals) find(ctx context.Context, name string) (r repository, err error) {
	rows, err := p.Pool.Query(ctx, repositorySQL.Text, name)
	if err == nil {
		r, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[repository])
	}
	if err != nil {
		return r, fmt.Errorf("quickstart: repository %s: %w", name, pg.Classify(err))
	}
	return r, nil
}

// Way tells how files come into a repository; nil when the App does not reach it.
func (p *Proposals) Way(ctx context.Context, name string) (*create.Way, error) {
	r, err := p.find(ctx, name)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &create.Way{Scope: "github:create-pull-request:" + r.Owner + "/" + r.Repo, Account: r.Owner, Branch: Branch, Lacks: r.lacks()}, nil
}

// Propose opens the pull request, or finds the one that is open. by is the client that asks for it. It says in its
// error what GitHub refuses.
func (p *Proposals) Propose(ctx context.Context, by string, s create.Starter) (create.Proposed, error) {
	r, err := p.find(ctx, s.Repository)
	if err != nil {
		return create.Proposed{}, err
	}
	if lacks := r.lacks(); len(lacks) > 0 {
		return create.Proposed{}, fault.New(fault.Forbidden, "The GitHub App lacks the permission to write %s at %s.", strings.Join(lacks, " and "), r.Owner)
	}
	forge, err := p.Forge(ctx, push.Repository{Name: s.Repository})
	if err != nil {
		return create.Proposed{}, err
	}
	wanted := ghclient.Proposal{Base: r.Branch, Branch: Branch, Title: title, Body: p.body(r, s), Files: map[string]string{}}
	names := []string{}
	for _, f := range s.Files {
		wanted.Files[f.Name] = f.Content
		names = append(names, f.Name)
	}
	if err := p.Note(ctx, by, s.Repository, map[string]any{"base": r.Branch, "branch": Branch, "files": names}); err != nil {
		return create.Proposed{}, err
	}
	made, err := forge.Propose(ctx, wanted)
	if err != nil {
		return create.Proposed{}, told(err)
	}
	return create.Proposed(made), nil
}

// told is an error for people.
func told(err error) error {
	if fault.KindOf(err) == fault.Conflict {
		return err
	}
	if wait, ok := ghclient.Limited(err, time.Now()); ok {
		return fault.Wrap(fault.Unavailable, err, "GitHub takes no more requests for now: try again in %v.", wait.Round(time.Second))
	}
	said := ghclient.Said(err)
	switch ghclient.Status(err) {
	case http.StatusForbidden, http.StatusUnauthorized:
		return fault.Wrap(fault.Forbidden, err, "GitHub does not let the App do it: %s", said)
	case http.StatusNotFound, http.StatusGone:
		return fault.Wrap(fault.NotFound, err, "GitHub says that it is not there for the App: %s", said)
	case http.StatusConflict, http.StatusUnprocessableEntity, http.StatusBadRequest:
		return fault.Wrap(fault.Conflict, err, "GitHub refuses it: %s", said)
	}
	return fault.Wrap(fault.Unavailable, err, "GitHub could not be reached, or broke off. Try again: what is made already is used.")
}

// body says what the pull request is.
func (p *Proposals) body(r repository, s create.Starter) string {
	var b strings.Builder
	query := url.Values{"repo": {s.Repository}}.Encode()
	fmt.Fprintf(&b, "[Treeline](%s) looked at `%s` (%.7s) and wrote a configuration for what it found. No other file is touched.\n\n| file | what it is for |\n|---|---|\n", p.RootURL, r.Branch, s.Revision)
	for _, f := range s.Files {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, f.Why)
	}
	fmt.Fprintf(&b, `
How to go on:

1. Look at the commands in the files, and change them here where they are wrong: further commits on this branch are fine.
2. [Try it](%[1]s/config-debug?%[2]s&starter=1): the page shows the tasks that the files as Treeline wrote them make, and creates nothing.
3. Tasks need a role that lets them be created, such as `+"`repo:github.com/%[3]s/%[4]s:branch:%[5]s`"+`: see [Give roles](%[1]s/docs/how-to/github#give-roles).
   Where a role takes in this branch, `+"`%[6]s`"+`, it is built already.
4. Merge. From then on each push and each pull request is built as the files say.

Not wanted? Close this and delete the branch: nothing else was changed.
`, p.RootURL, query, r.Owner, r.Repo, r.Branch, Branch)
	return b.String()
}

// Statements lists every statement of the package, to be counted by name.
func Statements() []pg.Statement { return []pg.Statement{repositorySQL} }

var repositorySQL = pg.Statement{Name: "quickstart.repository", Text: `
	SELECT r.owner, r.repo, r.default_branch, coalesce(i.permissions ->> 'contents', '') AS contents, coalesce(i.permissions ->> 'pull_requests', '') AS pulls
	FROM github_repositories AS r JOIN github_installations AS i ON i.id = r.installation_id
	WHERE r.name = $1 AND r.enabled AND i.state = 'active'`}
