package app_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/enroll"
)

// TestAWorkerRegistersRenewsItsCredentialsAndIsRemoved follows a machine that its operator has set up: what it
// gets from worker-manager is good for work, is renewed before it ends, and its task comes back when it is
// removed.
func TestAWorkerRegistersRenewsItsCredentialsAndIsRemoved(t *testing.T) {
	s := apptest.Start(t)
	c, err := client.New(client.Config{RootURL: s.URL, Credentials: s.Root})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path string, in, out any) {
		t.Helper()
		if err := c.Call(t.Context(), "worker-manager", method, path, nil, in, out); err != nil {
			t.Fatal(err)
		}
	}
	secret := slug.Nice() + slug.Nice()
	info := map[string]any{"staticSecret": secret}
	call("PUT", "/worker-pool/lab%2Fbench", map[string]any{
		"providerId": "static", "description": "d", "owner": "ada@example.com", "emailOnError": false,
		"config": map[string]any{"lifecycle": map[string]any{"reregistrationTimeout": 3}, "workerConfig": map[string]any{"capacity": 2}},
	}, nil)
	call("PUT", "/workers/lab%2Fbench/rack/w1", map[string]any{"expires": task.At(time.Now().Add(time.Hour)), "providerInfo": info}, nil)
	proof, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	w, err := enroll.Register(t.Context(), enroll.File{RootURL: s.URL, ProviderID: "static", WorkerPoolID: "lab/bench", WorkerGroup: "rack", WorkerID: "w1", Proof: proof}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.Config.Capacity != 2 {
		t.Errorf("its pool's config is %+v", w.Config)
	}
	first := w.Client().Credentials()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	go w.Keep(ctx)

	id, now := slug.Nice(), time.Now()
	_, err = c.CreateTask(t.Context(), id, map[string]any{
		"taskQueueId": "lab/bench", "schedulerId": "t", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload": map[string]any{}, "metadata": map[string]any{"name": "n", "description": "d", "owner": "ada@example.com", "source": "https://example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := w.Client().ClaimWork(t.Context(), "lab/bench", client.ClaimRequest{WorkerGroup: "rack", WorkerID: "w1", Tasks: 1})
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d claims, %v", len(claims), err)
	}
	for deadline := time.Now().Add(20 * time.Second); w.Client().Credentials().Certificate == first.Certificate; {
		if time.Now().After(deadline) {
			t.Fatal("the credentials are not renewed")
		}
		<-time.After(20 * time.Millisecond)
	}
	if w.MayEnd(t.Context()) {
		t.Error("a worker that its operator set up is told to end")
	}
	var worker struct {
		State       string
		RecentTasks []struct{ TaskID string }
	}
	call("GET", "/provisioners/lab/worker-types/bench/workers/rack/w1", nil, &worker)
	if worker.State != "running" || len(worker.RecentTasks) != 1 || worker.RecentTasks[0].TaskID != id {
		t.Errorf("%+v", worker)
	}
	w.Leave(t.Context())
	status, err := c.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Runs) != 2 || status.Runs[0].ReasonResolved != task.ReasonWorkerShutdown {
		t.Errorf("the task of the worker that is gone: %+v", status)
	}
	if !w.MayEnd(t.Context()) {
		t.Error("a worker that is forgotten is not told to end")
	}
}
