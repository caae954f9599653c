package app_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// TestAnIndexedErrorIsTold: who asks the index for an artifact that a worker could not make hears why, as at the queue.
func TestAnIndexedErrorIsTold(t *testing.T) {
	s := apptest.Start(t)
	c, err := client.New(client.Config{RootURL: s.URL, Credentials: s.Root})
	if err != nil {
		t.Fatal(err)
	}
	call := func(service, method, path string, body any) {
		t.Helper()
		if err := c.Call(t.Context(), service, method, path, nil, body, nil); err != nil {
			t.Fatal(err)
		}
	}
	type object = map[string]any
	id, now := slug.Nice(), time.Now()
	later := task.At(now.Add(time.Hour))
	call("queue", "PUT", "/task/"+id, object{
		"taskQueueId": "lab/one", "created": task.At(now), "deadline": later, "expires": later, "payload": object{},
		"metadata": object{"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	})
	call("queue", "POST", "/task/"+id+"/runs/0/claim", object{"workerGroup": "g", "workerId": "w"})
	call("queue", "POST", "/task/"+id+"/runs/0/artifacts/public%2Fa%20b", object{"storageType": "error", "reason": "file-missing-on-worker", "message": "It is not there.", "expires": later})
	call("index", "PUT", "/task/a.b", object{"taskId": id, "rank": 1, "data": object{}, "expires": later})

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/index/v1/task/a.b/artifacts/public%2Fa%20b", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var told struct{ Reason, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || resp.StatusCode != http.StatusFailedDependency || told.Reason != "file-missing-on-worker" || told.Message != "It is not there." {
		t.Errorf("%s %+v, %v", resp.Status, told, err)
	}
}
