// Package cron keeps the calendar of .cron.yml: which branches are followed, what their files said when
// they were read last, and what became of each slot of each job.
//
// A slot is settled once: Settle moves the branch's mark from one slot to a later one and writes a Run for
// every job that was due between, in one transaction that no second server can repeat. A Run that waits is
// taken on a lease until its task stands in the queue; the task's id is the row's, so that whoever takes
// it again makes the same task. Which slot it is, cron_clock() of the database says, and no server's clock.
//
// Lock order: a branch, then its runs.
package cron

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	// Late is how long after its slot a job still starts, when nothing could start it in time: no server
	// ran, or the repository could not be read.
	Late = 6 * time.Hour

	// Keep is how long runs are shown.
	Keep = 400 * 24 * time.Hour
)

// Calendar is the room. It is safe for concurrent use.
type Calendar struct {
	pool *pgxpool.Pool
	wake func()
	log  *slog.Logger
}

// New returns the calendar kept in pool. wake is called when a run was asked for by hand; it must not
// block.
func New(pool *pgxpool.Pool, wake func(), log *slog.Logger) *Calendar {
	return &Calendar{pool: pool, wake: wake, log: log}
}

// Error says what is wrong, for the person who wrote the file or keeps the repository.
type Error struct {
	Code    string `json:"code"` // such as "bad-file", "no-branch", "forge", "insufficient-scopes"
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // 1 is the first; 0 unknown
	Detail  string `json:"detail,omitempty"`
}

// String is the error in one line.
func (e Error) String() string {
	switch {
	case e.File == "":
		return e.Message
	case e.Line == 0:
		return e.File + ": " + e.Message
	default:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
}

// Statements are the room's SQL, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{
		clockSQL, followSQL, unfollowSQL, takeBranchesSQL, settleSQL, failBranchSQL, pokeSQL, branchesSQL, runSQL, takeRunsSQL, atHeadSQL,
		groupSQL, endSQL, retrySQL, byGroupSQL, runsSQL, latestSQL, ofPushesSQL, keyedSQL, forgetSQL, lapseSQL, refusedSQL,
	}
}

func failed(what string, err error) error { return fmt.Errorf("cron: %s: %w", what, pg.Classify(err)) }

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	return min(15*time.Second<<min(failures, 6), 10*time.Minute)
}

func compareRuns(a, b Run) int { return cmp.Or(b.Slot.Compare(a.Slot), cmp.Compare(b.ID, a.ID)) }
