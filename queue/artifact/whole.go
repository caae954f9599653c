package artifact

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Whole is an artifact that is made together with the report of its run. One of type object either has its content
// with it, or is an upload that is to be finished, with its UploadID.
type Whole struct {
	Name string `json:"name"`
	New
	Data     []byte `json:"content"`
	UploadID string `json:"uploadId"`
	SHA256   string `json:"sha256"` // of the content, lower-case hex; only of an upload, and then it must be given

	found Content // what the store says
}

// Limits of what comes with a report.
const (
	MaxWhole     = 20       // artifacts of one report
	MaxWholeData = 64 << 10 // bytes of one content
)

// CheckWhole refuses what cannot come with a report.
func CheckWhole(list []Whole) error {
	if len(list) > MaxWhole {
		return fault.New(fault.Invalid, "A report brings up to %d artifacts, not %d.", MaxWhole, len(list))
	}
	names := map[string]bool{}
	for i := range list {
		w := &list[i]
		if err := w.Check(w.Name); err != nil {
			return err
		}
		switch {
		case names[w.Name]:
			return fault.New(fault.Invalid, "The artifact %q comes twice with one report.", w.Name)
		case w.StorageType == S3:
			return fault.New(fault.Invalid, "An artifact of type s3 cannot come with a report.")
		case len(w.Data) > MaxWholeData:
			return fault.New(fault.TooLarge, "The artifact %q has %d bytes; up to %d come with a report.", w.Name, len(w.Data), MaxWholeData)
		}
		names[w.Name] = true
	}
	return nil
}

// Of makes the artifact, which is Present, of a task's run as of now; see New.Of. there is what is known of the name
// before, nil: nothing. changed is false when that is the same.
func (w *Whole) Of(s *task.Status, run *task.Run, there *Artifact, now time.Time) (a Artifact, changed bool, err error) {
	if a, err = w.New.Of(s, run, w.Name, now); err != nil {
		return a, false, err
	}
	a.Present = true
	if a.StorageType == Object {
		a.ContentSHA256, a.ContentLength = w.found.SHA256, &w.found.Size
		if w.UploadID != "" {
			a.UploadID = w.UploadID
		}
	}
	switch {
	case there == nil && w.UploadID != "":
		return a, false, fault.New(fault.NotFound, "Run %d of task %s has no artifact %q, of which an upload could be finished.", a.RunID, a.TaskID, a.Name)
	case there == nil:
		return a, true, nil
	case w.UploadID != "" && there.UploadID != w.UploadID:
		return a, false, fault.New(fault.Invalid, "Artifact %q has another uploadId than %s.", a.Name, w.UploadID)
	}
	reason := collides(there, &a)
	if reason == "" && there.Present && there.StorageType == Object && there.ContentSHA256 != a.ContentSHA256 {
		reason = "it has other content"
	}
	if reason != "" {
		return a, false, fault.New(fault.Conflict, "Artifact %q of run %d of task %s exists already, and %s.", a.Name, a.RunID, a.TaskID, reason)
	}
	changed = !there.Present || there.StorageType != a.StorageType || there.Target != a.Target || !there.Expires.Equal(a.Expires.Time)
	return a, changed, nil
}

// Key names an artifact.
type Key struct {
	TaskID string
	RunID  int
	Name   string
}

// QueueRead adds to a batch the look for the artifacts of these names.
func QueueRead(batch *pgx.Batch, keys []Key, into map[Key]*Artifact) {
	if len(keys) == 0 {
		return
	}
	var ids, names []string
	var runs []int
	for _, k := range keys {
		ids, runs, names = append(ids, k.TaskID), append(runs, k.RunID), append(names, k.Name)
	}
	batch.Queue(readManySQL.Text, ids, runs, names).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, scan)
		for i := range list {
			into[Key{list[i].TaskID, list[i].RunID, list[i].Name}] = &list[i]
		}
		return err
	})
}

// QueuePublish adds to a batch the writing of artifacts that Whole.Of made.
func QueuePublish(batch *pgx.Batch, list []Artifact) {
	if len(list) == 0 {
		return
	}
	n := len(list)
	text := func(of func(*Artifact) string) []string {
		column := make([]string, n)
		for i := range list {
			column[i] = of(&list[i])
		}
		return column
	}
	runs, lengths, sums, expires := make([]int, n), make([]*int64, n), make([]*string, n), make([]time.Time, n)
	for i := range list {
		a := &list[i]
		runs[i], lengths[i], expires[i] = a.RunID, a.ContentLength, a.Expires.Time
		if a.ContentSHA256 != "" {
			sums[i] = &a.ContentSHA256
		}
	}
	batch.Queue(publishWholeSQL.Text,
		text(func(a *Artifact) string { return a.TaskID }), runs, text(func(a *Artifact) string { return a.Name }),
		text(func(a *Artifact) string { return string(a.StorageType) }), text(func(a *Artifact) string { return a.ContentType }), lengths, sums,
		text(func(a *Artifact) string { return a.Target }), text(func(a *Artifact) string { return a.Reason }), text(func(a *Artifact) string { return a.Message }),
		text(func(a *Artifact) string { return a.UploadID }), expires,
	).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("queue: %s: %d of %d artifacts were written", publishWholeSQL.Name, tag.RowsAffected(), n)
		}
		return nil
	})
}

var (
	readManySQL = pg.Statement{Name: "queue.read-artifacts", Text: selectArtifacts + `
JOIN unnest($1::text[], $2::smallint[], $3::text[]) AS u (task_id, run_id, name)
    ON a.task_id = u.task_id AND a.run_id = u.run_id AND a.name = u.name`}

	publishWholeSQL = pg.Statement{Name: "queue.publish-whole", Text: `
INSERT INTO artifacts (task_id, run_id, name, storage_type, content_type, content_length, content_sha256, target, reason, message, upload_id, expires, present)
SELECT u.*, true
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::timestamptz[]) AS u
ON CONFLICT (task_id, run_id, name) DO UPDATE SET
    storage_type = excluded.storage_type, content_type = excluded.content_type, content_length = excluded.content_length,
    content_sha256 = excluded.content_sha256, target = excluded.target, expires = excluded.expires, present = true`}
)
