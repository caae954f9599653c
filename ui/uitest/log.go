package uitest

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// uploads joins queue and object store.
type uploads struct{ *object.Store }

// Content describes a finished object.
func (u uploads) Content(ctx context.Context, name string) (queue.Content, error) {
	o, err := u.Get(ctx, name)
	return queue.Content{SHA256: o.SHA256, Size: o.Size}, err
}

// Log is the log of a running task, as a worker writes it: it grows behind a reference, and in the
// end is an artifact that a link leads to.
type Log struct {
	site   *Site
	task   string
	target *object.AppendTarget
	backing,
	upload string
	size int64
}

const (
	liveLog    = "public/logs/live.log"
	backingLog = "public/logs/live_backing.log"
)

// Log begins the log of a running task's first run.
func (s *Site) Log(t testing.TB, id string) *Log {
	t.Helper()
	l := &Log{site: s, task: id, upload: slug.New()}
	expires := task.At(time.Now().Add(12 * time.Hour))
	u, err := s.Queue.CreateArtifact(t.Context(), id, 0, backingLog, queue.NewArtifact{StorageType: queue.StorageObject, ContentType: "text/plain", Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	l.backing, l.upload = u.Name, u.UploadID
	o, err := s.objects.CreateUpload(t.Context(), object.UploadRequest{
		Name: u.Name, ProjectID: u.ProjectID, UploadID: u.UploadID, Expires: u.Expires.Time, Append: &object.AppendUpload{ContentType: "text/plain"},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.target = o.Append
	l.artifact(t, liveLog, queue.NewArtifact{StorageType: queue.StorageReference, ContentType: "text/plain", Expires: expires, URL: o.Append.StreamURL})
	return l
}

// Artifact publishes an artifact of a running task's first run.
func (s *Site) Artifact(t testing.TB, id, name, contentType, content string) {
	t.Helper()
	ctx := t.Context()
	u, err := s.Queue.CreateArtifact(ctx, id, 0, name, queue.NewArtifact{
		StorageType: queue.StorageObject, ContentType: contentType, Expires: task.At(time.Now().Add(12 * time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := object.UploadRequest{Name: u.Name, ProjectID: u.ProjectID, UploadID: u.UploadID, Expires: u.Expires.Time}
	const maxInline = 8 << 10
	if len(content) <= maxInline {
		r.Inline = &object.InlineUpload{ContentType: contentType, Data: base64.StdEncoding.EncodeToString([]byte(content))}
	} else {
		r.Append = &object.AppendUpload{ContentType: contentType}
	}
	o, err := s.objects.CreateUpload(ctx, r)
	if err == nil && r.Append != nil {
		(&Log{site: s, target: o.Append}).Write(t, content)
	}
	if err == nil {
		err = s.objects.FinishUpload(ctx, u.Name, u.ProjectID, u.UploadID, nil)
	}
	if err == nil {
		err = s.Queue.FinishArtifact(ctx, id, 0, name, u.UploadID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *Log) artifact(t testing.TB, name string, a queue.NewArtifact) {
	t.Helper()
	if _, err := l.site.Queue.CreateArtifact(t.Context(), l.task, 0, name, a); err != nil {
		t.Fatal(err)
	}
}

// Write adds to the log.
func (l *Log) Write(t testing.TB, text string) {
	t.Helper()
	address := l.target.AppendURL
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+separator+"offset="+strconv.FormatInt(l.size, 10), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("append: status %d, error %v: %s", response.StatusCode, err, body)
	}
	l.size += int64(len(text))
}

// Finish ends the log and then the run.
func (l *Log) Finish(t testing.TB, end task.State) {
	t.Helper()
	ctx, q := t.Context(), l.site.Queue
	o := l.backing
	if err := l.site.objects.FinishUpload(ctx, o, "none", l.upload, nil); err != nil {
		t.Fatal(err)
	}
	if err := q.FinishArtifact(ctx, l.task, 0, backingLog, l.upload); err != nil {
		t.Fatal(err)
	}
	l.artifact(t, liveLog, queue.NewArtifact{
		StorageType: queue.StorageLink, ContentType: "text/plain", Expires: task.At(time.Now().Add(12 * time.Hour)), Artifact: backingLog,
	})
	var err error
	if end == task.Failed {
		_, err = q.ReportFailed(ctx, l.task, 0)
	} else {
		_, err = q.ReportCompleted(ctx, l.task, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}
