package checks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// row is a check with its state as the database has it.
type row struct {
	ID           int64     `db:"id"`
	Installation int64     `db:"installation_id"`
	Repository   string    `db:"repository"`
	SHA          string    `db:"sha"`
	Kind         string    `db:"kind"`
	Attempt      int       `db:"attempt"`
	Name         string    `db:"name"`
	TaskGroupID  string    `db:"task_group_id"`
	TaskID       string    `db:"task_id"`
	State        []byte    `db:"state"`
	Open         bool      `db:"open"`
	Latest       bool      `db:"latest"`
	Notes        []string  `db:"notes"`
	Wanted       int64     `db:"wanted"`
	GitHubID     int64     `db:"github_id"`
	Perhaps      bool      `db:"perhaps"`
	Annotated    int       `db:"annotated"`
	Sent         int64     `db:"sent"`
	Ended        string    `db:"ended"`
	Fence        int64     `db:"fence"`
	Tries        int       `db:"tries"`
	Updated      time.Time `db:"updated"`
}

const rowColumns = `id, installation_id, repository, sha, kind, attempt, name, task_group_id, task_id, state, open, latest, notes, wanted, github_id, perhaps, annotated, sent, ended, fence, tries, updated`

func (r row) check() Check {
	return Check{
		ID: r.ID, Installation: r.Installation, Repository: r.Repository, SHA: r.SHA, Name: r.Name, Kind: r.Kind, TaskGroupID: r.TaskGroupID,
		TaskID: r.TaskID, Attempt: r.Attempt, GitHubID: r.GitHubID,
	}
}

// state is what the check is to show: with the notes, which stand before everything else.
func (r row) state() (State, error) {
	var s State
	if err := json.Unmarshal(r.State, &s); err != nil {
		return s, fmt.Errorf("checks: row %d: %w", r.ID, err)
	}
	if len(r.Notes) > 0 {
		list := slices.Clone(r.Notes)
		slices.Reverse(list) // the newest first
		s.Summary = cut(strings.Join(list, "\n\n")+"\n\n"+s.Summary, maxText)
	}
	return s, nil
}

// Find returns the check of a check run of ours at GitHub and what it is to show, or a fault.NotFound. The actions of
// the state are those that are offered.
func (c *Checks) Find(ctx context.Context, repository string, githubID int64) (Check, State, error) {
	list, err := c.rows(ctx, findSQL, repository, githubID)
	if err == nil && len(list) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return Check{}, State{}, fmt.Errorf("checks: check run %d of %s: %w", githubID, repository, pg.Classify(err))
	}
	s, err := list[0].state()
	return list[0].check(), s, err
}

// OfSuite returns the last attempt of each check at a revision, in the order in which they were first wanted.
func (c *Checks) OfSuite(ctx context.Context, repository, sha string) ([]Check, error) {
	list, err := c.rows(ctx, suiteSQL, repository, sha)
	if err != nil {
		return nil, fmt.Errorf("checks: those of %s at %s: %w", repository, sha, pg.Classify(err))
	}
	out := make([]Check, 0, len(list))
	for _, r := range list {
		out = append(out, r.check())
	}
	return out, nil
}

func (c *Checks) rows(ctx context.Context, s pg.Statement, args ...any) ([]row, error) {
	rows, err := c.Pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[row])
}

var (
	findSQL = pg.Statement{Name: "checks.find", Text: `SELECT ` + rowColumns + ` FROM github_checks WHERE lower(repository) = lower($1) AND github_id = $2 AND kind <> 'status'`}

	suiteSQL = pg.Statement{Name: "checks.suite", Text: `
		SELECT ` + rowColumns + ` FROM github_checks WHERE lower(repository) = lower($1) AND sha = $2 AND latest AND kind <> 'status' ORDER BY id`}
)
