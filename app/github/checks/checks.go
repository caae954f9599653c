// Package checks brings what GitHub shows of a revision to what it ought to show: check runs and commit statuses.
//
// What ought to be shown is a row (Want); whoever knows something says it there and is done. One writer at a time has a
// row: it tells GitHub the newest state and no other, within the limits of the installation, the aggregate first, then
// what failed. What GitHub may have done without our hearing of it is looked for before anything is made: there are
// never two check runs of one attempt. A completed check run stays completed; what begins anew is a new attempt, which
// is a new check run of the same name.
//
// The states of builds follow from their tasks: the feed says of which revision something changed, and the revision is
// then looked at as it stands. Every ten minutes what GitHub shows is held against the rows, and made good.
//
// Facts: vcs-integration 1.5, 1.7, 1.11, 1.12; taskcluster-map 13.7.
package checks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// The kinds of checks.
const (
	Aggregate = "aggregate"  // of all that was asked for at a revision; branches can require it
	OfTask    = "task"       // of one task
	OfGroup   = "group"      // of the tasks of a platform, a kind or a symbol's group
	GraphDiff = "graph-diff" // what a change does to the task graph
	status    = "status"     // a commit status, where no check runs are wanted
)

// The statuses and conclusions of check runs.
const (
	Queued     = "queued"
	InProgress = "in_progress"
	Completed  = "completed"

	Success        = "success"
	Failure        = "failure"
	Neutral        = "neutral"
	Cancelled      = "cancelled"
	Skipped        = "skipped"
	TimedOut       = "timed_out"
	ActionRequired = "action_required"
)

// Check is one check run, made or to be made: an attempt of its subject at a revision.
type Check struct {
	ID           int64  // our row's; given by the package
	Installation int64  // of the App
	Repository   string // owner/repo
	SHA          string
	Name         string // as people see it and branches require it
	Kind         string // Aggregate, OfTask, OfGroup or GraphDiff
	TaskGroupID  string // of an aggregate that speaks of several builds: the newest
	TaskID       string // of OfTask
	Attempt      int    // from 1; 0 in Want: the one that is on, or a new one where a completed check begins anew
	GitHubID     int64  // the check run's id at GitHub; 0 when it is not made yet
}

// subject tells checks of a kind apart at a revision.
func (c Check) subject() string {
	switch c.Kind {
	case OfTask:
		return c.TaskGroupID + "/" + c.TaskID
	case OfGroup:
		return c.TaskGroupID + "/" + c.Name
	}
	return c.Name
}

// externalID is the key by which a check run at GitHub says which row it is of. It does not depend on the row's number,
// which another database may give to another.
func (c Check) externalID() string {
	sum := sha256.Sum256([]byte(c.Kind + " " + c.SHA + " " + c.subject()))
	id := c.TaskID
	if id == "" {
		id = c.TaskGroupID
	}
	return strings.Trim(fmt.Sprintf("%s/%s/%s/%d", id, c.Kind, hex.EncodeToString(sum[:6]), c.Attempt), "/")
}

// State is what a check run shows. Texts longer than GitHub takes are cut.
type State struct {
	Status      string       `json:"status"`                // Queued, InProgress, Completed
	Conclusion  string       `json:"conclusion,omitempty"`  // when Completed
	Title       string       `json:"title"`                 // one line
	Summary     string       `json:"summary"`               // Markdown
	Text        string       `json:"text,omitempty"`        // Markdown
	DetailsURL  string       `json:"details_url,omitempty"` // absolute
	Annotations []Annotation `json:"annotations,omitempty"` // told once, when the check is completed
	Actions     []Action     `json:"actions,omitempty"`     // buttons, three at most; they show when the check is completed
	StartedAt   time.Time    `json:"started_at,omitzero"`   // when work began, not when it was asked for
	CompletedAt time.Time    `json:"completed_at,omitzero"`
}

// Annotation is a remark at lines of a file, in GitHub's words.
type Annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn int    `json:"start_column,omitempty"` // of remarks on one line
	EndColumn   int    `json:"end_column,omitempty"`
	Level       string `json:"annotation_level"` // notice, warning, failure
	Message     string `json:"message"`
	Title       string `json:"title,omitempty"`
	RawDetails  string `json:"raw_details,omitempty"`
}

// Action is a button. What is longer than GitHub takes is cut, except the identifier: see Want.
type Action struct {
	Label       string `json:"label"`       // 20 characters at most
	Description string `json:"description"` // 40
	Identifier  string `json:"identifier"`  // 20
}

// Task is how a task of a check stands.
type Task struct {
	ID, Name string
	State    task.State
	Reason   task.ReasonResolved // "" while the task is not resolved
}

// Times of the package; zero values stand for the defaults.
type Times struct {
	Reconcile time.Duration // between two comparisons of a revision with GitHub: 10 minutes
	Recent    time.Duration // how long a revision that ended is compared still: 24 hours
	Progress  time.Duration // between two updates of a check that is on, at least: 10 seconds
	Gather    time.Duration // how long changes of a revision gather, at least: 300 ms
	Backoff   time.Duration // after a failure; doubled each time up to 5 minutes: 2 seconds
	Poll      time.Duration // for what another server wrote down: 2 seconds
	Lease     time.Duration // of a row: 90 seconds, longer than its requests with their repetitions
}

// Pace is how fast GitHub is written to for one installation; zero values stand for the defaults.
type Pace struct {
	PerSecond float64 // writes in the long run: 1, which is a third of the points that GitHub gives
	Burst     int     // writes at once: 10
}

// Deps are what the package needs.
type Deps struct {
	Pool  *pgxpool.Pool
	Feed  *event.Feed
	Queue *queue.Queue
	// Client returns the client that acts for an installation of the App.
	Client func(installation int64) *github.Client
	AppID  int64
	// Offer says which buttons a completed check has, of those its task group has actions for: three at most, and what
	// is to stand in Markdown at the end of its text, for actions that no button can start. It is asked when the check
	// completes and again when it changes. nil: none.
	Offer func(ctx context.Context, c Check, tasks []Task) ([]Action, string, error)
	// Open opens an artifact of a task's run; a fault.NotFound when there is none that can be read. It follows no
	// references, which lead where a task says. nil: texts have no lines of logs.
	Open func(ctx context.Context, taskID string, run int, name string) (io.ReadSeekCloser, error)
	// Why says in a sentence or two, in Markdown, why the task of a name is there; "" when that is not recorded. nil: never.
	Why func(ctx context.Context, taskGroupID, name string) (string, error)

	RootURL string
	Log     *slog.Logger
	Times   Times
	Pace    Pace
}

// Checks is the writer of checks. It is safe for concurrent use, and any number of servers may have one.
type Checks struct {
	Deps
	fresh  chan struct{} // a row is to be sent
	marked chan struct{} // a revision is to be looked at
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// New makes the writer. It does nothing until Start.
func New(d Deps) *Checks {
	for into, usual := range map[*time.Duration]time.Duration{
		&d.Times.Reconcile: 10 * time.Minute, &d.Times.Recent: 24 * time.Hour, &d.Times.Progress: 10 * time.Second,
		&d.Times.Gather: 300 * time.Millisecond, &d.Times.Backoff: 2 * time.Second, &d.Times.Poll: 2 * time.Second, &d.Times.Lease: 90 * time.Second,
	} {
		if *into == 0 {
			*into = usual
		}
	}
	if d.Pace.PerSecond == 0 {
		d.Pace.PerSecond = 1
	}
	if d.Pace.Burst == 0 {
		d.Pace.Burst = 10
	}
	return &Checks{Deps: d, fresh: make(chan struct{}, 1), marked: make(chan struct{}, 1)}
}

// wake tells a loop that there may be work; it never blocks.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{
		lockSubjectSQL, latestSQL, attemptSQL, insertSQL, changeSQL, supersedeSQL, findSQL, suiteSQL, noteSQL, claimSQL, nextDueSQL, sentSQL, laterSQL, endSQL,
		endRepositorySQL, blockSQL, perhapsSQL, madeSQL, lostSQL, paySQL, remainingSQL, markGroupsSQL, markSQL, markedSQL, holdHeadSQL, lastMarkSQL, plannedSQL,
		judgeSQL, headSQL, membersSQL, headRowsSQL, dueHeadsSQL, compareSoonSQL, allRowsSQL, resendSQL, remakeSQL, foundSQL, endInstallationSQL, endRepositoriesSQL,
		resumeSQL, figuresSQL, forgetSQL, forgetHeadsSQL, forgetVerdictsSQL,
	}
}
