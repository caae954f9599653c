// Package artifact is what the queue knows of artifacts: their rows, and the rules by which they may
// be made and made again (taskcluster-map 5.8). The verbs of package queue hold the task's lock around
// it, tell the events, and know the object store.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/task"
)

// StorageType says where the content of an artifact is.
type StorageType string

// The storage types (taskcluster-map 5.8).
const (
	S3        StorageType = "s3"        // in the object store, by one PUT to a signed URL
	Object    StorageType = "object"    // in the object store
	Reference StorageType = "reference" // elsewhere, at a URL
	Link      StorageType = "link"      // another artifact of the same run
	Error     StorageType = "error"     // nowhere, for a reason
)

// Stored reports whether the content is in the object store.
func (s StorageType) Stored() bool { return s == S3 || s == Object }

// Artifact is what the queue knows of an artifact.
type Artifact struct {
	TaskID        string      `json:"-"`
	RunID         int         `json:"-"`
	ProjectID     string      `json:"-"`
	StorageType   StorageType `json:"storageType"`
	Name          string      `json:"name"`
	Expires       task.Time   `json:"expires"`
	ContentType   string      `json:"contentType"`
	ContentLength *int64      `json:"contentLength,omitempty"` // bytes
	ContentSHA256 string      `json:"contentSha256,omitempty"` // hex; ours, the peer does not have it
	Target        string      `json:"-"`                       // a reference's URL, the name that a link means
	Reason        string      `json:"-"`                       // of an error
	Message       string      `json:"-"`                       // of an error
	UploadID      string      `json:"-"`                       // of an object
	// Present is false for an upload that is not finished, or, of type s3, not known to be.
	Present bool      `json:"-"`
	Now     time.Time `json:"-"` // the database's clock when the artifact was read
}

// ObjectName is the name in the object store of an artifact whose content is there.
func ObjectName(taskID string, run int, name string) string {
	return fmt.Sprintf("t/%s/%d/%s", taskID, run, name)
}

// ObjectName returns the name in the object store of an artifact whose content is there.
func (a *Artifact) ObjectName() string { return ObjectName(a.TaskID, a.RunID, a.Name) }

// Expired is a fault.Gone for an artifact past its expiry.
func (a *Artifact) Expired() error {
	if a.Expires.After(a.Now) {
		return nil
	}
	return fault.New(fault.Gone, "Artifact %q of run %d of task %s expired at %s.", a.Name, a.RunID, a.TaskID, a.Expires)
}

// Uploading is what to say of an artifact that is not Present.
func (a *Artifact) Uploading() error {
	return fault.New(fault.NotFound, "Artifact %q of run %d of task %s is still being uploaded.", a.Name, a.RunID, a.TaskID)
}

// Page is a page of artifacts, sorted by name.
type Page struct {
	Artifacts []Artifact `json:"artifacts"`
	Next      string     `json:"continuationToken,omitempty"`
}

// Database is a pool or a transaction.
type Database interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Read returns an artifact, fault.NotFound when there is no row of it.
func Read(ctx context.Context, db Database, taskID string, run int, name string) (Artifact, error) {
	list, err := collect(ctx, db, readSQL, taskID, run, name)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "Run %d of task %s has no artifact %q.", run, taskID, name)
	}
	if err != nil {
		return Artifact{}, err
	}
	return list[0], nil
}

// List lists the artifacts of a run, without the objects that are not finished; those of type s3 are
// among them whether they are Present or not.
func List(ctx context.Context, db Database, taskID string, run, limit int, token string) (Page, error) {
	var after string
	if err := paging.Read(token, &after); err != nil {
		return Page{}, err
	}
	limit = paging.Size(limit)
	list, err := collect(ctx, db, listSQL, taskID, run, after, limit+1)
	if err != nil {
		return Page{}, err
	}
	var page Page
	page.Artifacts, page.Next, err = paging.Cut(list, limit, func(a Artifact) []any { return []any{a.Name} })
	return page, err
}

// maxUnfinished bounds QueueUnfinished.
const maxUnfinished = 10000

// QueueUnfinished adds to a batch the look for the artifacts of the tasks that are not Present.
func QueueUnfinished(batch *pgx.Batch, taskIDs []string, into *[]Artifact) {
	if len(taskIDs) == 0 {
		return
	}
	batch.Queue(unfinishedSQL.Text, taskIDs, maxUnfinished).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scan)
		return err
	})
}

// Expire locks up to limit artifacts that expired half an hour ago or longer, and returns them.
func Expire(ctx context.Context, db Database, limit int) ([]Artifact, error) {
	return collect(ctx, db, expiredSQL, limit)
}

// Remove deletes the rows of artifacts.
func Remove(ctx context.Context, db Database, list []Artifact) error {
	var ids, names []string
	var runs []int
	for _, a := range list {
		ids, runs, names = append(ids, a.TaskID), append(runs, a.RunID), append(names, a.Name)
	}
	return exec(ctx, db, removeSQL, ids, runs, names)
}

// Finish makes an artifact Present and notes what its content is; sha256 is "" when it is not known.
func Finish(ctx context.Context, db Database, a *Artifact, sha256 string, size int64) error {
	a.Present, a.ContentSHA256, a.ContentLength = true, sha256, &size
	var sum *string
	if sha256 != "" {
		sum = &sha256
	}
	return exec(ctx, db, finishSQL, a.TaskID, a.RunID, a.Name, sum, size)
}

// Publish writes an artifact that was made by New, unless it is there already: then a becomes what is
// there, and again is true. What differs more than the rules allow is fault.Conflict. changed is true
// when readers see another artifact than before.
func Publish(ctx context.Context, db Database, a *Artifact) (changed, again bool, err error) {
	there, err := Read(ctx, db, a.TaskID, a.RunID, a.Name)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return false, false, err
	}
	if again = err == nil; again {
		if reason := collides(&there, a); reason != "" {
			return false, true, fault.New(fault.Conflict, "Artifact %q of run %d of task %s exists already, and %s.", a.Name, a.RunID, a.TaskID, reason)
		}
		if there.StorageType == a.StorageType {
			a.UploadID, a.Present, a.ContentLength, a.ContentSHA256 = there.UploadID, there.Present, there.ContentLength, there.ContentSHA256
			changed = there.Target != a.Target
			if !changed && there.Expires.Equal(a.Expires.Time) {
				return false, true, nil
			}
		}
	}
	err = exec(ctx, db, publishSQL, a.TaskID, a.RunID, a.Name, a.StorageType, a.ContentType, a.ContentLength, a.Target, a.Reason, a.Message,
		a.UploadID, a.Present, a.Expires.Time)
	return changed || there.StorageType != a.StorageType, again, err
}

func exec(ctx context.Context, db Database, s pg.Statement, args ...any) error {
	if _, err := db.Exec(ctx, s.Text, args...); err != nil {
		return fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return nil
}

func collect(ctx context.Context, db Database, s pg.Statement, args ...any) ([]Artifact, error) {
	rows, err := db.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return list, nil
}

func scan(row pgx.CollectableRow) (a Artifact, err error) {
	var sha256 *string
	err = row.Scan(&a.TaskID, &a.RunID, &a.ProjectID, &a.Name, &a.StorageType, &a.ContentType, &a.ContentLength, &sha256,
		&a.Target, &a.Reason, &a.Message, &a.UploadID, &a.Present, &a.Expires.Time, &a.Now)
	if sha256 != nil {
		a.ContentSHA256 = *sha256
	}
	a.Expires = task.At(a.Expires.Time)
	return a, err
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{readSQL, listSQL, unfinishedSQL, expiredSQL, removeSQL, finishSQL, publishSQL, lastRunSQL, readManySQL, publishWholeSQL}

const selectArtifacts = `
SELECT a.task_id, a.run_id, t.project_id, a.name, a.storage_type, a.content_type, a.content_length, a.content_sha256,
    a.target, a.reason, a.message, a.upload_id, a.present, a.expires, now()
FROM artifacts a JOIN tasks t USING (task_id)`

var (
	readSQL = pg.Statement{Name: "queue.artifact", Text: selectArtifacts + `
WHERE a.task_id = $1 AND a.run_id = $2 AND a.name = $3`}

	listSQL = pg.Statement{Name: "queue.list-artifacts", Text: selectArtifacts + `
WHERE a.task_id = $1 AND a.run_id = $2 AND a.name > $3 AND (a.present OR a.storage_type = 's3')
ORDER BY a.name LIMIT $4`}

	unfinishedSQL = pg.Statement{Name: "queue.unfinished", Text: selectArtifacts + `
WHERE a.task_id = ANY($1) AND NOT a.present ORDER BY a.task_id, a.run_id, a.name LIMIT $2`}

	// Artifacts stay readable as "expired" for half an hour, so that readers learn why they are gone.
	expiredSQL = pg.Statement{Name: "queue.expired-artifacts", Text: selectArtifacts + `
WHERE a.expires < now() - interval '30 minutes' ORDER BY a.expires LIMIT $1 FOR UPDATE OF a SKIP LOCKED`}

	removeSQL = pg.Statement{Name: "queue.remove-artifacts", Text: `
DELETE FROM artifacts a USING unnest($1::text[], $2::smallint[], $3::text[]) AS u (task_id, run_id, name)
WHERE a.task_id = u.task_id AND a.run_id = u.run_id AND a.name = u.name`}

	finishSQL = pg.Statement{Name: "queue.finish-artifact", Text: `
UPDATE artifacts SET present = true, content_sha256 = $4, content_length = $5 WHERE task_id = $1 AND run_id = $2 AND name = $3`}

	publishSQL = pg.Statement{Name: "queue.publish", Text: `
INSERT INTO artifacts (task_id, run_id, name, storage_type, content_type, content_length, target, reason, message, upload_id, present, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (task_id, run_id, name) DO UPDATE SET
    storage_type = excluded.storage_type, content_type = excluded.content_type, content_length = excluded.content_length, target = excluded.target,
    expires = excluded.expires`}
)
