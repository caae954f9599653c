package push

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Log is the record of repositories and pushes. It is safe for concurrent use.
type Log struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	wake func()
	tell func(Repository, Push) ([]event.Event, error)
}

// Option changes what New makes.
type Option func(*Log)

// Telling lets f make further events of each push that is recorded. They stand in the feed right behind
// push-created, before everything that follows from the push. f must not block.
func Telling(f func(Repository, Push) ([]event.Event, error)) Option {
	return func(l *Log) { l.tell = f }
}

// New returns the record kept in pool. wake is called after each change that wrote an event; it
// must not block.
func New(pool *pgxpool.Pool, wake func(), log *slog.Logger, options ...Option) *Log {
	l := &Log{pool: pool, wake: wake, log: log}
	for _, o := range options {
		o(l)
	}
	return l
}

// Kinds of repositories.
const (
	LocalGit  = "git-local" // a git repository on this machine
	Mercurial = "hg"        // a Mercurial repository that is read over HTTP
	GitHub    = "github"    // a repository at GitHub where our App is installed
)

// Repository is one watched repository.
type Repository struct {
	Name          string `db:"name" json:"name"` // its id: letters, digits, and . _ - /
	Kind          string `db:"kind" json:"kind"` // such as LocalGit
	URL           string `db:"url" json:"url"`
	Path          string `db:"path" json:"-"`      // on this machine, for local repositories
	Level         int    `db:"level" json:"level"` // trust, 1 to 3
	DefaultBranch string `db:"default_branch" json:"defaultBranch"`
}

// ForgePath names the repository in roles and scopes: assume:repo:<forge path>:branch:<branch>.
// That of a repository on this machine is local/<name>, that of another its URL's host and path. With
// GitHub the host is always github.com, as roles have it also for a server of one's own.
func (r Repository) ForgePath() string {
	if r.Kind == LocalGit {
		return "local/" + r.Name
	}
	_, path, _ := strings.Cut(r.URL, "://")
	if r.Kind == GitHub {
		_, path, _ = strings.Cut(path, "/")
		path = "github.com/" + path
	}
	return strings.TrimSuffix(strings.TrimSuffix(path, "/"), ".git")
}

const maxName = 150 // bytes of a repository's name

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Register adds a repository or updates what is known of it; it is idempotent.
func (l *Log) Register(ctx context.Context, r Repository) error {
	if len(r.Name) > maxName || !nameRule.MatchString(r.Name) {
		return fault.New(fault.Invalid, "repository name %.200q must match %s, in at most %d bytes", r.Name, nameRule, maxName)
	}
	_, err := l.pool.Exec(ctx, registerSQL.Text, r.Name, r.Kind, r.URL, r.Path, r.Level, r.DefaultBranch)
	if err != nil {
		return fmt.Errorf("push: register %s: %w", r.Name, pg.Classify(err))
	}
	return nil
}

// Repositories returns all repositories by name.
func (l *Log) Repositories(ctx context.Context) ([]Repository, error) {
	rows, err := l.pool.Query(ctx, repositoriesSQL.Text, "")
	if err != nil {
		return nil, fmt.Errorf("push: repositories: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Repository])
	if err != nil {
		return nil, fmt.Errorf("push: repositories: %w", pg.Classify(err))
	}
	return list, nil
}

// Repository returns one repository, or a fault.NotFound.
func (l *Log) Repository(ctx context.Context, name string) (Repository, error) {
	rows, err := l.pool.Query(ctx, repositoriesSQL.Text, name)
	if err == nil {
		var r Repository
		if r, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Repository]); err == nil {
			return r, nil
		}
	}
	return Repository{}, fmt.Errorf("push: repository %s: %w", name, pg.Classify(err))
}

// Heads returns the newest recorded revision of each branch.
func (l *Log) Heads(ctx context.Context, repository string) (map[string]string, error) {
	rows, err := l.pool.Query(ctx, headsSQL.Text, repository)
	if err != nil {
		return nil, fmt.Errorf("push: heads of %s: %w", repository, pg.Classify(err))
	}
	heads := map[string]string{}
	var branch, revision string
	_, err = pgx.ForEachRow(rows, []any{&branch, &revision}, func() error {
		heads[branch] = revision
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("push: heads of %s: %w", repository, pg.Classify(err))
	}
	return heads, nil
}

var (
	registerSQL = pg.Statement{Name: "push.register", Text: `
		INSERT INTO repositories (name, kind, url, path, level, default_branch) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO UPDATE SET kind = EXCLUDED.kind, url = EXCLUDED.url, path = EXCLUDED.path,
			level = EXCLUDED.level, default_branch = EXCLUDED.default_branch`}

	repositoriesSQL = pg.Statement{Name: "push.repositories", Text: `
		SELECT name, kind, url, path, level, default_branch FROM repositories
		WHERE $1::text = '' OR name = $1 ORDER BY name`}

	headsSQL = pg.Statement{Name: "push.heads", Text: `
		SELECT branch, revision FROM repository_heads WHERE repository = $1`}
)
