package e2e_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// claimed makes a task that this test works on itself, and returns it with a client of its run.
func (m *machine) claimed(queue string) (id string, own *client.Client, expires task.Time) {
	m.t.Helper()
	id, now := slug.New(), time.Now()
	expires = task.At(now.Add(24 * time.Hour))
	_, err := m.client.CreateTask(m.t.Context(), id, map[string]any{
		"taskQueueId": queue, "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": expires, "payload": map[string]any{},
		"metadata": map[string]any{"name": "artifacts", "description": "The test is its worker.", "owner": "test@example.com", "source": "https://example.com/"},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	claims, err := m.client.ClaimWork(m.t.Context(), queue, client.ClaimRequest{WorkerGroup: "e2e", WorkerID: "test", Tasks: 1})
	if err != nil || len(claims) != 1 {
		m.t.Fatalf("%d claims: %v", len(claims), err)
	}
	return id, m.client.WithCredentials(claims[0].Credentials.Hawk()), expires
}

// TestWorkersThatAskForS3 uploads as workers do that know nothing of the object service: with one PUT
// to a signed URL, compressed, and nothing after it.
func TestWorkersThatAskForS3(t *testing.T) {
	m := shared(t)
	id, own, expires := m.claimed("e2e/s3")
	const path = "/runs/0/artifacts/public%2Fbuild%2Fhello.txt"
	var up struct{ StorageType, PutURL, ContentType, Expires string } // names match whatever their case
	create := func() {
		t.Helper()
		in := map[string]any{"storageType": "s3", "contentType": "text/plain; charset=utf-8", "expires": expires, "contentLength": 26}
		if err := own.Call(t.Context(), "queue", http.MethodPost, "/task/"+id+path, nil, in, &up); err != nil {
			t.Fatal(err)
		}
	}
	create()
	create() // the answer may have been lost
	if up.StorageType != "s3" || up.ContentType != "text/plain; charset=utf-8" || up.Expires == "" {
		t.Errorf("to upload: %+v", up)
	}
	if _, err := own.ReportCompleted(t.Context(), id, 0); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "public/build/hello.txt") {
		t.Fatalf("completed before the upload: %v", err)
	}
	const content = "Hello, hello, hello there.\n"
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := io.WriteString(zip, content)
	if err := errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, up.PutURL, bytes.NewReader(packed.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", up.ContentType)
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT: %s", resp.Status)
	}
	if _, err := own.ReportCompleted(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := m.get(t.Context(), "/api/queue/v1/task/"+id+path); err != nil || got != content {
		t.Errorf("anybody reads %q: %v", got, err)
	}
	info, err := m.client.ArtifactInfo(t.Context(), id, 0, "public/build/hello.txt")
	if err != nil || info.StorageType != "s3" || info.ContentLength == nil {
		t.Errorf("the artifact: %+v, %v", info, err)
	}
	var got bytes.Buffer
	if _, err := m.client.DownloadArtifact(t.Context(), client.Download{TaskID: id, RunID: 0, Name: "public/build/hello.txt"}, &got); err != nil || got.String() != content {
		t.Errorf("our client reads %q: %v", &got, err)
	}
}

// TestAPutOffExpiryHoldsForTheObject makes an artifact anew with a later expiry, before and after its
// upload.
func TestAPutOffExpiryHoldsForTheObject(t *testing.T) {
	m := shared(t)
	id, own, expires := m.claimed("e2e/expiry")
	var up struct {
		Name, ProjectID, UploadID string
		Credentials               client.TaskCredentials
	}
	create := func(at time.Time) {
		t.Helper()
		in := map[string]any{"storageType": "object", "contentType": "text/plain", "expires": task.At(at)}
		if err := own.Call(t.Context(), "queue", http.MethodPost, "/task/"+id+"/runs/0/artifacts/log", nil, in, &up); err != nil {
			t.Fatal(err)
		}
	}
	upload := func(at time.Time) {
		t.Helper()
		in := map[string]any{"projectId": up.ProjectID, "uploadId": up.UploadID, "expires": task.At(at), "proposedUploadMethods": map[string]any{
			"dataInline": map[string]any{"contentType": "text/plain", "objectData": "aGk="},
		}}
		if err := m.client.Call(t.Context(), "object", http.MethodPut, "/upload/"+strings.ReplaceAll(up.Name, "/", "%2F"), nil, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	create(expires.Add(-3 * time.Hour))
	upload(expires.Add(-3 * time.Hour))
	create(expires.Add(-2 * time.Hour))
	upload(expires.Add(-2 * time.Hour))
	if err := m.client.Call(t.Context(), "object", http.MethodPost, "/finish-upload/"+strings.ReplaceAll(up.Name, "/", "%2F"), nil,
		map[string]any{"projectId": up.ProjectID, "uploadId": up.UploadID}, nil); err != nil {
		t.Fatal(err)
	}
	if err := own.Call(t.Context(), "queue", http.MethodPut, "/task/"+id+"/runs/0/artifacts/log", nil, map[string]any{"uploadId": up.UploadID}, nil); err != nil {
		t.Fatal(err)
	}
	create(expires.Time)
	var object struct{ Expires task.Time }
	if err := m.client.Call(t.Context(), "object", http.MethodGet, "/metadata/"+strings.ReplaceAll(up.Name, "/", "%2F"), nil, nil, &object); err != nil || !object.Expires.Equal(expires.Time) {
		t.Errorf("the object expires at %s, its artifact at %s: %v", object.Expires, expires, err)
	}
	if _, err := own.ReportCompleted(t.Context(), id, 0); err != nil {
		t.Error(err)
	}
}
