package push

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
)

// State says how far Treeline is with a push.
type State string

// The states of a push.
const (
	Received State = "received" // recorded; its tasks are not made yet
	Deciding State = "deciding" // its decision task is made and at work
	Decided  State = "decided"  // its graph is in the queue
	Failed   State = "failed"   // Error says why there is no graph
	Ignored  State = "ignored"  // the repository asks for nothing; Error says why
)

// Commit is one commit of a push.
type Commit struct {
	Revision string    `json:"revision"`
	Author   string    `json:"author"`
	Email    string    `json:"email"`
	Message  string    `json:"message"`
	Time     time.Time `json:"time"`
}

// Error says why a push has no graph, for the person who pushed.
type Error struct {
	Code    string `json:"code"` // e.g. "yaml-syntax", "template-error", "missing-dependency", "insufficient-scopes"
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // 1 is the first; 0 unknown
	Detail  string `json:"detail,omitempty"`
}

// clean returns the error with texts that PostgreSQL can hold: they quote what strangers wrote.
func (e *Error) clean() *Error {
	if e == nil {
		return nil
	}
	return &Error{Code: clean(e.Code), Message: clean(e.Message), File: clean(e.File), Line: e.Line, Detail: clean(e.Detail)}
}

// Push is one step of a branch from Base to Revision.
type Push struct {
	Repository     string    `db:"repository" json:"repository"`
	ID             int64     `db:"id" json:"id"` // counts up within the repository from 1
	Revision       string    `db:"revision" json:"revision"`
	Base           string    `db:"base" json:"base"` // "" for a new branch without an ancestor known here
	Branch         string    `db:"branch" json:"branch"`
	Author         string    `db:"author" json:"author"`
	Email          string    `db:"email" json:"email"`
	Message        string    `db:"message" json:"message"`
	Commits        []Commit  `db:"commits" json:"commits"` // newest first
	FilesChanged   []string  `db:"files_changed" json:"filesChanged"`
	Time           time.Time `db:"pushed" json:"time"`
	State          State     `db:"state" json:"state"`
	TaskGroupID    string    `db:"task_group_id" json:"taskGroupId,omitempty"` // the decision task's id too
	Error          *Error    `db:"error" json:"error,omitempty"`
	DecisionMillis int64     `db:"decision_millis" json:"decisionMillis"` // from record to graph in the queue

	PushlogID int64  `db:"pushlog_id" json:"pushlogId,omitempty"` // as the forge counts pushes; 0 where it does not
	Key       string `db:"forge_key" json:"-"`                    // of an Arrival; "" otherwise
	Attempts  int    `db:"attempts" json:"-"`                     // how often Undecided gave it
}

// Number is the push's number for tasks: the forge's own where it counts, else ID.
func (p Push) Number() string {
	if p.PushlogID > 0 {
		return strconv.FormatInt(p.PushlogID, 10)
	}
	return strconv.FormatInt(p.ID, 10)
}

// Record writes p, a step of p.Branch from the recorded head to p.Revision, and returns it with
// its id and time. When the branch's recorded head is p.Revision already, nothing is written and
// fresh is false: hook and poll may both report a push. A step from a head that is no longer the
// recorded one is also left for the next report. Its state is Received unless p says otherwise.
func (l *Log) Record(ctx context.Context, p Push, knownHead string) (recorded Push, fresh bool, err error) {
	err = pg.Tx(ctx, l.pool, func(ctx context.Context, tx pgx.Tx) error {
		recorded, fresh = p, false
		if err := tx.QueryRow(ctx, nextPushSQL.Text, p.Repository, p.Branch, knownHead, p.Revision).Scan(&recorded.ID); err != nil {
			return err
		}
		if recorded.ID == 0 {
			return nil
		}
		fresh = true
		recorded.Time, recorded.PushlogID, recorded.Key = time.Time{}, 0, ""
		return l.insert(ctx, tx, &recorded)
	})
	if err != nil {
		return Push{}, false, fmt.Errorf("push: record %s in %s: %w", p.Revision, p.Repository, err)
	}
	if fresh {
		l.wake()
	}
	return recorded, fresh, nil
}

// insert writes a push that has its id. A Time that it has is the forge's; it gets the database's otherwise.
func (l *Log) insert(ctx context.Context, tx pgx.Tx, p *Push) error {
	if p.Commits == nil {
		p.Commits = []Commit{}
	}
	// Git keeps the bytes of names and messages as they came, in whatever encoding.
	files := make([]string, len(p.FilesChanged))
	for i, name := range p.FilesChanged {
		files[i] = clean(name)
	}
	p.FilesChanged = files
	if p.State == "" {
		p.State = Received
	}
	var dated *time.Time
	if !p.Time.IsZero() {
		dated = &p.Time
	}
	err := tx.QueryRow(ctx, insertPushSQL.Text, p.Repository, p.ID, p.Revision, p.Base, p.Branch, clean(p.Author), clean(p.Email),
		clean(p.Message), p.Commits, p.FilesChanged, p.State, p.Error.clean(), p.PushlogID, dated, p.Key).Scan(&p.Time)
	if err != nil {
		return err
	}
	if err := appendEvent(ctx, tx, "push-created", *p); err != nil || l.tell == nil {
		return err
	}
	rows, err := tx.Query(ctx, repositoriesSQL.Text, p.Repository)
	if err != nil {
		return err
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Repository])
	if err != nil {
		return err
	}
	more, err := l.tell(r, *p)
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, more...)
}

// SetHead moves a branch's recorded head without recording a push: for the history that was there
// before Treeline watched.
func (l *Log) SetHead(ctx context.Context, repository, branch, revision string) error {
	if _, err := l.pool.Exec(ctx, setHeadSQL.Text, repository, branch, revision); err != nil {
		return fmt.Errorf("push: set head of %s in %s: %w", branch, repository, pg.Classify(err))
	}
	return nil
}

// DropHead forgets a branch that was deleted.
func (l *Log) DropHead(ctx context.Context, repository, branch string) error {
	if _, err := l.pool.Exec(ctx, dropHeadSQL.Text, repository, branch); err != nil {
		return fmt.Errorf("push: drop head of %s in %s: %w", branch, repository, pg.Classify(err))
	}
	return nil
}

// clean drops what PostgreSQL's text cannot hold.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func appendEvent(ctx context.Context, tx pgx.Tx, kind string, p Push) error {
	body := map[string]any{
		"repository": p.Repository, "id": p.ID, "revision": p.Revision, "state": p.State, "taskGroupId": p.TaskGroupID,
	}
	if e := p.Error; e != nil { // without the detail, which may be long
		body["error"] = Error{Code: e.Code, Message: e.Message, File: e.File, Line: e.Line}
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: kind, TaskGroupID: p.TaskGroupID, Topic: p.Repository, Payload: payload})
}

var (
	// One statement decides whether the step is new and takes the next id: the head's row moves
	// only from the head that the caller saw.
	nextPushSQL = pg.Statement{Name: "push.next", Text: `
		WITH moved AS (
			INSERT INTO repository_heads AS h (repository, branch, revision) VALUES ($1, $2, $4)
			ON CONFLICT (repository, branch) DO UPDATE SET revision = EXCLUDED.revision
				WHERE h.revision = $3 AND h.revision <> EXCLUDED.revision
			RETURNING 1
		), counted AS (
			UPDATE repositories SET last_push = last_push + 1 WHERE name = $1 AND EXISTS (SELECT FROM moved) RETURNING last_push
		)
		SELECT coalesce((SELECT last_push FROM counted), 0)`}

	insertPushSQL = pg.Statement{Name: "push.insert", Text: `
		INSERT INTO pushes (repository, id, revision, base, branch, author, email, message, commits, files_changed, state, error,
			pushlog_id, dated, forge_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, nullif($15, '')) RETURNING coalesce(dated, pushed)`}

	setHeadSQL = pg.Statement{Name: "push.set-head", Text: `
		INSERT INTO repository_heads (repository, branch, revision) VALUES ($1, $2, $3)
		ON CONFLICT (repository, branch) DO UPDATE SET revision = EXCLUDED.revision`}

	dropHeadSQL = pg.Statement{Name: "push.drop-head", Text: `
		DELETE FROM repository_heads WHERE repository = $1 AND branch = $2`}
)
