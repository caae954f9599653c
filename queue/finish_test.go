package queue_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

func (s *shelf) Keep(_ context.Context, name, _, _ string, _ time.Time, content []byte) error {
	c := contentOf(string(content))
	if there, ok := s.has[name]; ok && there != c {
		return fault.New(fault.Conflict, "object %s has other content", name)
	}
	s.has[name] = c
	return nil
}

func (s *shelf) FinishUpload(ctx context.Context, name, _, _ string, hashes map[string]string) error {
	c, err := s.Content(ctx, name)
	if err == nil && c.SHA256 != hashes["sha256"] {
		err = fault.New(fault.Invalid, "object %s has another hash", name)
	}
	return err
}

func contentOf(text string) queue.Content {
	sum := sha256.Sum256([]byte(text))
	return queue.Content{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
}

func whole(name, text string, expires task.Time) queue.WholeArtifact {
	w := queue.WholeArtifact{Name: name, Data: []byte(text)}
	w.StorageType, w.ContentType, w.Expires = queue.StorageObject, "text/plain", expires
	return w
}

func link(name, to string, expires task.Time) queue.WholeArtifact {
	w := queue.WholeArtifact{Name: name}
	w.StorageType, w.ContentType, w.Expires, w.Artifact = queue.StorageLink, "text/plain", expires, to
	return w
}

func TestFinishRunMakesArtifactsAndReports(t *testing.T) {
	e, s := withShelf(t)
	ctx := t.Context()
	id := e.Task(t, task.Running)
	expires := e.Status(t, id).Expires
	list := []queue.WholeArtifact{whole("log", "hello", expires), link("live", "log", expires)}
	for range 2 { // the same again is no error
		st, err := e.Queue.FinishRun(ctx, id, 0, task.ReasonCompleted, list)
		if err != nil || st.State != task.Completed {
			t.Fatalf("%s: %v", st.State, err)
		}
	}
	a, names, err := e.Queue.FollowLinks(ctx, id, queue.LatestRun, "live")
	if err != nil || a.ContentSHA256 != contentOf("hello").SHA256 || *a.ContentLength != 5 {
		t.Errorf("by %v: %+v, %v", names, a, err)
	}
	if _, ok := s.has[queue.ObjectName(id, 0, "log")]; !ok {
		t.Error("the content is not in the store")
	}
	rows, err := e.Pool.Query(ctx, "SELECT kind FROM events WHERE task_id = $1 ORDER BY seq", id)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	want := []string{"task-defined", "task-pending", "task-running", "artifact-created", "artifact-created", "task-completed"}
	if diff := cmp.Diff(want, kinds); err != nil || diff != "" {
		t.Errorf("events: %v\n%s", err, diff)
	}
	e.Check(t)
}

func TestFinishRunFinishesUploads(t *testing.T) {
	e, s := withShelf(t)
	ctx := t.Context()
	id := e.Task(t, task.Running)
	expires := e.Status(t, id).Expires
	n := queue.NewArtifact{StorageType: queue.StorageObject, ContentType: "text/plain", Expires: expires}
	up, err := e.Queue.CreateArtifact(ctx, id, 0, "log", n)
	if err != nil {
		t.Fatal(err)
	}
	reference := queue.NewArtifact{StorageType: queue.StorageReference, ContentType: "text/plain", URL: "https://example.com/live", Expires: expires}
	if _, err := e.Queue.CreateArtifact(ctx, id, 0, "live", reference); err != nil {
		t.Fatal(err)
	}
	finish := whole("log", "", expires)
	finish.Data, finish.UploadID, finish.SHA256 = nil, up.UploadID, contentOf("streamed").SHA256
	report := func() error {
		_, err := e.Queue.FinishRun(ctx, id, 0, task.ReasonCompleted, []queue.WholeArtifact{finish, link("live", "log", expires)})
		return err
	}
	if err := report(); !errors.Is(err, fault.NotFound) {
		t.Errorf("without the content: %v", err)
	}
	s.has[queue.ObjectName(id, 0, "log")] = contentOf("streamed")
	other, err := e.Queue.CreateArtifact(ctx, id, 0, "report", n)
	if err != nil {
		t.Fatal(err)
	}
	if err := report(); !errors.Is(err, fault.Conflict) {
		t.Errorf("with another upload open: %v", err)
	}
	if a, err := e.Queue.Artifact(ctx, id, 0, "log"); !errors.Is(err, fault.NotFound) {
		t.Errorf("of a refused report there is %+v, %v", a, err)
	}
	s.has[queue.ObjectName(id, 0, "report")] = contentOf("r")
	if err := e.Queue.FinishArtifact(ctx, id, 0, "report", other.UploadID); err != nil {
		t.Fatal(err)
	}
	if err := report(); err != nil {
		t.Fatal(err)
	}
	if a, _, err := e.Queue.FollowLinks(ctx, id, 0, "live"); err != nil || a.Name != "log" || *a.ContentLength != 8 {
		t.Errorf("%+v, %v", a, err)
	}
	e.Check(t)
}

func TestFinishRunRefuses(t *testing.T) {
	e, _ := withShelf(t)
	id, other := e.Task(t, task.Running), e.Task(t, task.Pending)
	expires := e.Status(t, id).Expires
	upload := whole("log", "", expires)
	upload.UploadID = "Ne9vShUCT_KdH8HGiIij5w"
	for _, c := range []struct {
		name   string
		task   string
		reason task.ReasonResolved
		list   []queue.WholeArtifact
		want   error
	}{
		{"a reason that is not a worker's", id, task.ReasonCanceled, nil, fault.Invalid},
		{"a name that comes twice", id, task.ReasonFailed, []queue.WholeArtifact{whole("a", "1", expires), whole("a", "2", expires)}, fault.Invalid},
		{"content beyond the limit", id, task.ReasonFailed, []queue.WholeArtifact{whole("a", string(make([]byte, 64<<10+1)), expires)}, fault.TooLarge},
		{"an expiry after the task's", id, task.ReasonFailed, []queue.WholeArtifact{whole("a", "1", task.At(expires.Add(time.Hour)))}, fault.Invalid},
		{"a run that does not run", other, task.ReasonFailed, []queue.WholeArtifact{whole("a", "1", expires)}, fault.NotFound},
		{"an upload that nobody began", id, task.ReasonFailed, []queue.WholeArtifact{upload}, fault.NotFound},
	} {
		if _, err := e.Queue.FinishRun(t.Context(), c.task, 0, c.reason, c.list); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if st := e.Status(t, id); st.State != task.Running {
		t.Errorf("the run is %s", st.State)
	}
}

func TestFinishesTogetherAreJudgedEachByItself(t *testing.T) {
	e, _ := withShelf(t)
	good, bad := e.Task(t, task.Running), e.Task(t, task.Running)
	expires := e.Status(t, good).Expires
	far := whole("log", "x", task.At(expires.Add(time.Hour)))
	reports := []queue.Report{
		{ID: good, Reason: task.ReasonCompleted, Artifacts: []queue.WholeArtifact{whole("log", "x", expires)}},
		{ID: bad, Reason: task.ReasonCompleted, Artifacts: []queue.WholeArtifact{far}},
	}
	got, err := e.Queue.ReportTogether(t.Context(), reports...)
	if err != nil || got[0].Err != nil || !errors.Is(got[1].Err, fault.Invalid) {
		t.Fatalf("%v: %+v", err, got)
	}
	if _, err := e.Queue.Artifact(t.Context(), good, 0, "log"); err != nil {
		t.Error(err)
	}
	if _, err := e.Queue.Artifact(t.Context(), bad, 0, "log"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if st := e.Status(t, bad); st.State != task.Running {
		t.Errorf("the refused run is %s", st.State)
	}
}
