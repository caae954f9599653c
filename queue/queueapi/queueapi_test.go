package queueapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// bench is a queue behind its door.
type bench struct {
	*testing.T
	*queuetest.Env
	objects *objects
	url     string
}

// objects is an object store that knows what a test puts into it.
type objects struct {
	mu   sync.Mutex
	have map[string]queue.Content
}

func (o *objects) DownloadURL(ctx context.Context, name string) (string, error) {
	if _, err := o.Content(ctx, name); err != nil {
		return "", err
	}
	return "http://objects.example/" + name, nil
}

func (o *objects) Content(_ context.Context, name string) (queue.Content, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, ok := o.have[name]
	if !ok {
		return c, fault.New(fault.NotFound, "no object %s", name)
	}
	return c, nil
}

func (o *objects) SignedPut(_ context.Context, name, _, _ string, _ int64, _ time.Time) (string, time.Time, error) {
	return "http://objects.example/put/" + name, time.Now().Add(time.Hour), nil
}

func (o *objects) Keep(_ context.Context, name, _, _ string, _ time.Time, content []byte) error {
	sum := sha256.Sum256(content)
	o.put(name, queue.Content{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))})
	return nil
}

func (o *objects) FinishUpload(ctx context.Context, name, _, _ string, _ map[string]string) error {
	_, err := o.Content(ctx, name)
	return err
}

func (o *objects) Extend(context.Context, string, time.Time) error { return nil }

func (o *objects) Delete(_ context.Context, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.have, name)
	return nil
}

func (o *objects) put(name string, c queue.Content) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.have[name] = c
}

func serve(t *testing.T, options ...func(*queue.Deps)) *bench {
	t.Helper()
	b := &bench{T: t, objects: &objects{have: map[string]queue.Content{}}}
	b.Env = queuetest.New(t, append(options, func(d *queue.Deps) { d.Uploads = b.objects })...)
	b.url = b.as("*")
	return b
}

// as serves the queue to a caller with the given scopes, and returns the service's URL.
func (b *bench) as(scopes ...string) string {
	b.Helper()
	server := httptest.NewServer(b.handler(scopes...))
	b.Cleanup(server.Close)
	return server.URL + "/api/queue/v1"
}

// handler answers as the queue does to a caller with the given scopes.
func (b *bench) handler(scopes ...string) http.Handler {
	b.Helper()
	id := "test-client"
	if len(scopes) == 0 {
		id = ""
	}
	handler, err := web.Mount([]web.Service{queueapi.Service(b.Queue)}, webtest.As(id, scopes...), web.Options{RootURL: "http://tc.example", CheckOutput: true})
	if err != nil {
		b.Fatal(err)
	}
	return handler
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (b *bench) send(method, at string, body any) (int, map[string]any, http.Header) {
	b.Helper()
	var payload []byte
	switch v := body.(type) {
	case nil:
	case []byte:
		payload = v
	default:
		var err error
		if payload, err = json.Marshal(v); err != nil {
			b.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(b.Context(), method, at, bytes.NewReader(payload))
	if err != nil {
		b.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var answer map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			b.Fatalf("%s %s: %d %s", method, at, resp.StatusCode, data)
		}
	}
	return resp.StatusCode, answer, resp.Header
}

func (b *bench) want(status int, method, path string, body any) map[string]any {
	b.Helper()
	got, answer, _ := b.send(method, b.url+path, body)
	if got != status {
		b.Fatalf("%s %s: %d %v, want %d", method, path, got, answer, status)
	}
	return answer
}

func definition(changes ...func(*task.Definition)) map[string]any {
	d := queuetest.Define(changes...)
	data, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	for key, value := range m {
		if value == "" {
			delete(m, key)
		}
	}
	return m
}

func state(answer map[string]any) any { return answer["status"].(map[string]any)["state"] }

// TestATaskGoesThroughTheDoor follows the wire: every answer is also checked against its schema.
func TestATaskGoesThroughTheDoor(t *testing.T) {
	b := serve(t)
	first, second := slug.New(), slug.New()
	if got := state(b.want(200, "PUT", "/task/"+first, definition())); got != "pending" {
		t.Errorf("created: %v", got)
	}
	if got := state(b.want(200, "PUT", "/task/"+second, definition(queuetest.In(first), queuetest.After(first)))); got != "unscheduled" {
		t.Errorf("created with a dependency: %v", got)
	}
	b.want(409, "PUT", "/task/"+first, definition(func(d *task.Definition) { d.Metadata.Name = "other" }))

	ask := map[string]any{"workerGroup": "g", "workerId": "w"}
	claims := b.want(200, "POST", "/claim-work/"+url.PathEscape(queuetest.TaskQueueID), ask)["tasks"].([]any)
	if len(claims) != 1 {
		t.Fatalf("claimed %v", claims)
	}
	claim := claims[0].(map[string]any)
	creds := claim["credentials"].(map[string]any)
	if id, prefix := creds["clientId"].(string), "task-client/"+first+"/0/on/g/w/until/"; !strings.HasPrefix(id, prefix) {
		t.Errorf("the credentials are named %s, not %s…", id, prefix)
	}
	b.want(200, "POST", "/task/"+first+"/runs/0/reclaim", nil)
	if got := state(b.want(200, "POST", "/task/"+first+"/runs/0/completed", nil)); got != "completed" {
		t.Errorf("reported: %v", got)
	}
	b.want(200, "POST", "/task/"+first+"/runs/0/completed", nil)
	b.want(409, "POST", "/task/"+first+"/runs/0/failed", nil)
	b.want(404, "POST", "/task/"+first+"/runs/7/failed", nil)
	b.want(400, "POST", "/task/"+first+"/runs/99999999999999999999/failed", nil)

	// The raw slash works too.
	claims = b.want(200, "POST", "/claim-work/"+queuetest.TaskQueueID, ask)["tasks"].([]any)
	if len(claims) != 1 || claims[0].(map[string]any)["status"].(map[string]any)["taskId"] != second {
		t.Fatalf("claimed %v", claims)
	}
	if got := state(b.want(200, "POST", "/task/"+second+"/runs/0/exception", map[string]any{"reason": "worker-shutdown"})); got != "pending" {
		t.Errorf("after worker-shutdown: %v", got)
	}
	b.want(400, "POST", "/task/"+second+"/runs/0/exception", map[string]any{"reason": "canceled"})
	b.want(200, "POST", "/task/"+second+"/cancel", nil)
	if got := state(b.want(200, "POST", "/task/"+second+"/rerun", nil)); got != "pending" {
		t.Errorf("rerun: %v", got)
	}
	b.want(200, "POST", "/task/"+second+"/schedule", nil)

	counts := b.want(200, "GET", "/task-queues/"+url.PathEscape(queuetest.TaskQueueID)+"/counts", nil)
	if counts["pendingTasks"] != 1.0 || counts["claimedTasks"] != 0.0 {
		t.Errorf("counts: %v", counts)
	}
	b.want(200, "GET", "/pending/"+queuetest.TaskQueueID, nil)
	if d := b.want(200, "GET", "/task/"+second, nil); d["provisionerId"] != "test-provisioner" || d["taskGroupId"] != first {
		t.Errorf("definition: %v", d)
	}
	b.Check(t)
}

func TestGroupsThroughTheDoor(t *testing.T) {
	b := serve(t)
	group := slug.New()
	var ids []string
	for range 3 {
		ids = append(ids, b.Task(t, task.Pending, queuetest.In(group)))
	}
	dependent := b.Task(t, task.Unscheduled, queuetest.In(group), queuetest.After(ids...))
	ids = append(ids, dependent)
	slices.Sort(ids)

	var got []string
	for token := ""; ; {
		page := b.want(200, "GET", "/task-group/"+group+"/list?limit=2&continuationToken="+url.QueryEscape(token), nil)
		for _, item := range page["tasks"].([]any) {
			got = append(got, item.(map[string]any)["status"].(map[string]any)["taskId"].(string))
		}
		next, more := page["continuationToken"].(string)
		if token = next; !more {
			break
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Error(diff)
	}
	groups := b.want(200, "GET", "/task-groups?limit=5", nil)["groups"].([]any)
	if diff := cmp.Diff(map[string]any{"pending": 3.0, "unscheduled": 1.0}, groups[0].(map[string]any)["counts"]); diff != "" {
		t.Error(diff)
	}
	if page := b.want(200, "GET", "/task/"+got[0]+"/dependents?limit=1", nil); got[0] != dependent && len(page["tasks"].([]any)) != 1 {
		t.Errorf("dependents: %v", page)
	}
	many := b.want(200, "POST", "/tasks/status?limit=3", map[string]any{"taskIds": append([]string{slug.New(), "\x00"}, ids...)})
	if n := len(many["statuses"].([]any)); n != 1 || many["continuationToken"] == nil {
		t.Errorf("%d statuses, token %v", n, many["continuationToken"])
	}
	if n := len(b.want(200, "POST", "/tasks", map[string]any{"taskIds": ids})["tasks"].([]any)); n != 4 {
		t.Errorf("%d definitions", n)
	}
	b.want(409, "POST", "/task-group/"+group+"/cancel", nil)
	b.want(200, "POST", "/task-group/"+group+"/seal", nil)
	b.want(409, "PUT", "/task/"+slug.New(), definition(queuetest.In(group)))
	if c := b.want(200, "POST", "/task-group/"+group+"/cancel", nil); c["cancelledCount"] != 4.0 || c["taskGroupSize"] != 4.0 {
		t.Errorf("canceled: %v", c)
	}
	b.want(400, "GET", "/task-group/"+group+"/list?continuationToken=nonsense", nil)
	b.want(400, "GET", "/task-group/"+group+"/list?surprise=1", nil)
	b.Check(t)
}

func TestBatchThroughTheDoor(t *testing.T) {
	b := serve(t)
	a, c := slug.New(), slug.New()
	entry := func(id string, d map[string]any) map[string]any { return map[string]any{"taskId": id, "task": d} }
	one := []any{entry(c, definition(queuetest.In(a), queuetest.After(a))), entry(a, definition())}
	answer := b.want(200, "POST", "/task-batch", map[string]any{"tasks": one})
	var got []string
	for _, s := range answer["statuses"].([]any) {
		got = append(got, s.(map[string]any)["taskId"].(string)+" "+s.(map[string]any)["state"].(string))
	}
	if diff := cmp.Diff([]string{c + " unscheduled", a + " pending"}, got); diff != "" {
		t.Error(diff)
	}
	// One caller lacks one scope for one of the tasks: nothing is created.
	x, y := slug.New(), slug.New()
	poor := b.as("queue:create-task:lowest:test-provisioner/test-worker", "queue:create-task:project:none", "queue:scheduler-id:-")
	two := []any{entry(x, definition()), entry(y, definition(func(d *task.Definition) { d.Scopes = []string{"secret"} }))}
	if status, answer, _ := b.send("POST", poor+"/task-batch", map[string]any{"tasks": two}); status != 403 || !strings.Contains(fmt.Sprint(answer["message"]), "secret") {
		t.Errorf("%d %v", status, answer)
	}
	b.want(404, "GET", "/task/"+x, nil)
	if status, _, _ := b.send("POST", poor+"/task-batch", map[string]any{"tasks": two[:1]}); status != 200 {
		t.Errorf("the task without scopes: %d", status)
	}
}

func TestArtifactsThroughTheDoor(t *testing.T) {
	b := serve(t)
	id := b.Task(t, task.Running)
	expires := queuetest.Define().Deadline
	at := "/task/" + id + "/runs/0/artifacts/"
	create := func(status int, name string, body map[string]any) map[string]any {
		t.Helper()
		body["expires"] = expires
		return b.want(status, "POST", at+name, body)
	}
	get := func(name string) (int, string, map[string]any) {
		t.Helper()
		status, answer, header := b.send("GET", b.url+at+name, nil)
		return status, header.Get("Location"), answer
	}
	object := map[string]any{"storageType": "object", "contentType": "text/plain"}
	up := create(200, "public/logs/live_backing.log", object)
	if diff := cmp.Diff(up["uploadId"], create(200, "public/logs/live_backing.log", object)["uploadId"]); diff != "" {
		t.Errorf("the upload's id changed: %s", diff)
	}
	if status, _, _ := get("public/logs/live_backing.log"); status != 404 {
		t.Errorf("an unfinished artifact: %d", status)
	}
	finish := map[string]any{"uploadId": up["uploadId"]}
	b.want(409, "PUT", at+"public/logs/live_backing.log", finish)
	sum := strings.Repeat("ab", 32)
	b.objects.put(up["name"].(string), queue.Content{SHA256: sum, Size: 5})
	b.want(400, "PUT", at+"public/logs/live_backing.log", map[string]any{"uploadId": slug.New()})
	for range 2 {
		if status, _, _ := b.send("PUT", b.url+at+"public/logs/live_backing.log", finish); status != 204 {
			t.Errorf("finish: %d", status)
		}
	}
	create(200, "public/logs/live.log", map[string]any{"storageType": "reference", "url": "http://worker.example/stream", "contentType": "text/plain"})
	if status, location, answer := get("public/logs/live.log"); status != 303 || location != "http://worker.example/stream" || answer["storageType"] != "reference" {
		t.Errorf("reference: %d %s %v", status, location, answer)
	}
	create(200, "public/logs/live.log", map[string]any{"storageType": "link", "artifact": "public/logs/live_backing.log"})
	if status, location, _ := get("public/logs/live.log"); status != 303 || location != "http://objects.example/t/"+id+"/0/public/logs/live_backing.log" {
		t.Errorf("link: %d %s", status, location)
	}
	create(409, "public/logs/live.log", map[string]any{"storageType": "reference", "url": "http://x.example/", "contentType": "text/plain"})
	create(200, "bad", map[string]any{"storageType": "error", "reason": "file-missing-on-worker", "message": "no such file"})
	if status, _, answer := get("bad"); status != 424 || answer["reason"] != "file-missing-on-worker" {
		t.Errorf("error: %d %v", status, answer)
	}
	create(200, "a", map[string]any{"storageType": "link", "artifact": "b"})
	create(200, "b", map[string]any{"storageType": "link", "artifact": "a"})
	if status, _, _ := get("a"); status != 400 {
		t.Errorf("a circle of links: %d", status)
	}
	put := map[string]any{"storageType": "s3", "contentType": "text/plain"}
	if up := create(200, "s3", put); up["putUrl"] != "http://objects.example/put/t/"+id+"/0/s3" || up["contentType"] != "text/plain" {
		t.Errorf("s3: %v", up)
	}
	create(200, "s3", put)
	create(409, "s3", map[string]any{"storageType": "s3", "contentType": "text/html"})
	if status, _, _ := get("s3"); status != 404 {
		t.Errorf("s3 before its content has come: %d", status)
	}
	if answer := b.want(409, "POST", "/task/"+id+"/runs/0/completed", nil); !strings.Contains(answer["message"].(string), `"s3"`) {
		t.Errorf("completed before an upload: %v", answer)
	}
	b.objects.put("t/"+id+"/0/s3", queue.Content{SHA256: sum, Size: 7})
	if status, location, answer := get("s3"); status != 303 || location != "http://objects.example/t/"+id+"/0/s3" || answer["storageType"] != "s3" {
		t.Errorf("s3: %d %s %v", status, location, answer)
	}
	if c := b.want(200, "GET", "/task/"+id+"/runs/0/artifact-content/s3", nil); c["storageType"] != "s3" || c["url"] == nil {
		t.Errorf("s3 content: %v", c)
	}

	list := b.want(200, "GET", "/task/"+id+"/artifacts", nil)["artifacts"].([]any)
	var names []string
	for _, a := range list {
		names = append(names, a.(map[string]any)["name"].(string))
	}
	if diff := cmp.Diff([]string{"a", "b", "bad", "public/logs/live.log", "public/logs/live_backing.log", "s3"}, names); diff != "" {
		t.Error(diff)
	}
	info := b.want(200, "GET", "/task/"+id+"/artifact-info/public/logs/live_backing.log", nil)
	if info["contentSha256"] != sum || info["contentLength"] != 5.0 {
		t.Errorf("info: %v", info)
	}
	if c := b.want(200, "GET", "/task/"+id+"/runs/0/artifact-content/public%2Flogs%2Flive.log", nil); c["storageType"] != "object" || c["credentials"] == nil {
		t.Errorf("content: %v", c)
	}
	// A reader needs the scope for each name on the way, and learns nothing without.
	status, answer, _ := b.send("GET", b.as("queue:get-artifact:public/logs/live.log")+at+"public/logs/live.log", nil)
	if status != 403 || !strings.Contains(answer["message"].(string), "queue:get-artifact:public/logs/live_backing.log") {
		t.Errorf("half the scopes: %d %v", status, answer)
	}
	if status, _, _ := b.send("GET", b.as("nothing")+at+"nowhere", nil); status != 403 {
		t.Errorf("an artifact that is not there, without scopes: %d", status)
	}
	b.Expire(t, id)
	if status, _, _ := get("public/logs/live_backing.log"); status != 410 {
		t.Errorf("expired: %d", status)
	}
	b.want(200, "POST", "/task/"+id+"/runs/0/completed", nil)
	create(409, "late", map[string]any{"storageType": "reference", "url": "http://x.example/", "contentType": "text/plain"})
}

func TestFinishRun(t *testing.T) {
	b := serve(t)
	id := b.Task(t, task.Running)
	expires := b.Status(t, id).Expires
	artifact := func(more map[string]any) map[string]any {
		a := map[string]any{"name": "log", "storageType": "object", "contentType": "text/plain", "expires": expires}
		maps.Copy(a, more)
		return a
	}
	finish := func(status int, artifacts ...map[string]any) map[string]any {
		t.Helper()
		return b.want(status, "POST", "/task/"+id+"/runs/0/finish", map[string]any{"reasonResolved": "completed", "artifacts": artifacts})
	}
	finish(400, artifact(nil))
	finish(400, artifact(map[string]any{"content": "not base64!"}))
	finish(400, artifact(map[string]any{"content": "aGVsbG8=", "storageType": "s3"}))
	answer := finish(200, artifact(map[string]any{"content": "aGVsbG8="}),
		map[string]any{"name": "live", "storageType": "link", "contentType": "text/plain", "expires": expires, "artifact": "log"},
		map[string]any{"name": "gone", "storageType": "error", "reason": "file-missing-on-worker", "message": "no such file", "expires": expires},
		map[string]any{"name": "there", "storageType": "reference", "contentType": "text/plain", "url": "https://example.com/x", "expires": expires})
	if state := answer["status"].(map[string]any)["state"]; state != "completed" {
		t.Errorf("the task is %v", state)
	}
	if info := b.want(200, "GET", "/task/"+id+"/artifact-info/log", nil); info["contentLength"] != 5.0 {
		t.Errorf("%v", info)
	}
	if list := b.want(200, "GET", "/task/"+id+"/artifacts", nil)["artifacts"].([]any); len(list) != 4 {
		t.Errorf("%v", list)
	}
}

func TestScopesAreAskedFor(t *testing.T) {
	b := serve(t)
	id := b.Task(t, task.Running)
	nobody, some := b.as(), b.as("unrelated")
	for _, c := range []struct {
		method, path string
		body         any
		scopes       []string
	}{
		{"GET", "/task/" + id, nil, []string{"queue:get-task:" + id}},
		{"GET", "/task/" + id + "/status", nil, []string{"queue:status:" + id}},
		{"POST", "/tasks", map[string]any{"taskIds": []string{id}}, []string{"queue:get-task:" + id}},
		{"POST", "/tasks/status", map[string]any{"taskIds": []string{id}}, []string{"queue:status:" + id}},
		{"GET", "/task-groups", nil, []string{"queue:list-task-groups"}},
		{"GET", "/task-group/" + id, nil, []string{"queue:list-task-group:" + id}},
		{"GET", "/task-group/" + id + "/list", nil, []string{"queue:list-task-group:" + id}},
		{"GET", "/task/" + id + "/dependents", nil, []string{"queue:list-dependent-tasks:" + id}},
		{"GET", "/pending/a/b", nil, []string{"queue:pending-count:a/b"}},
		{"GET", "/task-queues/a%2Fb/counts", nil, []string{"queue:pending-count:a/b", "queue:claimed-count:a/b"}},
		{"GET", "/task-queues/a/b/counts", nil, []string{"queue:pending-count:a/b", "queue:claimed-count:a/b"}},
		{"GET", "/task-queues/a%2Fb/pending", nil, []string{"queue:pending-list:a/b"}},
		{"GET", "/task-queues/a/b/claimed", nil, []string{"queue:claimed-list:a/b"}},
		{"GET", "/task-queues", nil, []string{"queue:list-task-queues"}},
		{"GET", "/provisioners", nil, []string{"queue:list-provisioners"}},
		{"GET", "/provisioners/a/worker-types", nil, []string{"queue:list-worker-types:a"}},
		{"GET", "/provisioners/a/worker-types/b/workers", nil, []string{"queue:list-workers:a/b"}},
		{"PUT", "/provisioners/a/worker-types/b/c/d", map[string]any{"expires": "2100-01-01T00:00:00Z"}, []string{"queue:declare-worker:a/b/c/d#expires"}},
		{"GET", "/provisioners/a/worker-types/b/workers/c/d", nil, []string{"queue:get-worker:a/b/c/d"}},
		{"PUT", "/provisioners/a/worker-types/b/workers/c/d", map[string]any{"quarantineUntil": "2100-01-01T00:00:00Z"}, []string{"queue:quarantine-worker:a/b/c/d"}},
		{"POST", "/workers/c/d/gone", map[string]any{}, []string{"queue:worker-gone:c/d"}},
		{"POST", "/workers/c/d/gone", map[string]any{}, []string{"queue:worker-id:c/d"}},
		{"GET", "/task/" + id + "/artifacts", nil, []string{"queue:list-artifacts:" + id}},
		{"GET", "/task/" + id + "/runs/0/artifacts", nil, []string{"queue:list-artifacts:" + id + ":0"}},
		{"POST", "/task/" + id + "/schedule", nil, []string{"queue:schedule-task:-/" + id + "/" + id}},
		{"POST", "/task/" + id + "/rerun", nil, []string{"queue:rerun-task-in-project:none"}},
		{"POST", "/task/" + id + "/runs/0/reclaim", nil, []string{"queue:reclaim-task:" + id + "/0"}},
		{"POST", "/task/" + id + "/runs/0/completed", nil, []string{"queue:resolve-task:" + id + "/0"}},
		{"POST", "/task/" + id + "/runs/0/finish", map[string]any{"reasonResolved": "completed", "artifacts": []any{}}, []string{"queue:resolve-task:" + id + "/0", "queue:create-artifact:" + id + "/0"}},
		{"POST", "/task/" + id + "/cancel", nil, []string{"queue:cancel-task", "assume:scheduler-id:-/" + id}},
		{"POST", "/task-group/" + id + "/seal", nil, []string{"queue:seal-task-group:-/" + id}},
		{"POST", "/task-group/" + id + "/cancel", nil, []string{"queue:cancel-task-group:-/" + id}},
		{"PUT", "/task/" + slug.New(), definition(func(d *task.Definition) { d.Priority, d.Routes = task.Low, []string{"r"} }),
			[]string{"queue:create-task:high:test-provisioner/test-worker", "queue:create-task:project:none", "queue:scheduler-id:-", "queue:route:r"}},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			for who, at := range map[string]string{"nobody": nobody, "somebody": some} {
				if status, answer, _ := b.send(c.method, at+c.path, c.body); status != 403 || answer["code"] != "InsufficientScopes" {
					t.Errorf("%s: %d %v", who, status, answer)
				}
			}
			for i := range c.scopes {
				if rest := slices.Delete(slices.Clone(c.scopes), i, i+1); len(rest) > 0 {
					if status, _, _ := b.send(c.method, b.as(rest...)+c.path, c.body); status != 403 {
						t.Errorf("without %s: %d", c.scopes[i], status)
					}
				}
			}
			if status, answer, _ := b.send(c.method, b.as(c.scopes...)+c.path, c.body); status != 200 {
				t.Errorf("with them: %d %v", status, answer)
			}
		})
	}
}

// FuzzCreate sends definitions through the door: whatever they are, the answer is a task that reads
// back the same, or a 400 that says why.
func FuzzCreate(f *testing.F) {
	seed, err := json.Marshal(definition())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		string(seed), `{}`, `[]`, `{"created": 1}`, strings.Replace(string(seed), `"lowest"`, `"normal"`, 1),
		strings.Replace(string(seed), `"true"`, `"\u0000\ud800"`, 1), strings.Replace(string(seed), `"true"`, "\"\xff\"", 1),
		strings.Replace(string(seed), `"routes":[]`, `"routes":["a\\b\"{},","NULL"," "]`, 1),
		strings.Replace(string(seed), `"tags":{`, `"tags":{"\u0000":"\u0000",`, 1),
		strings.Replace(string(seed), `"extra":{}`, `"extra":{"index":{"rank":1e400,"expires":"x"}}`, 1),
		strings.Replace(string(seed), `"created":"2`, `"created":"1`, 1), strings.Replace(string(seed), `"expires":"2`, `"expires":"9`, 1),
	} {
		f.Add([]byte(s))
	}
	env := queuetest.New(f)
	handler, err := web.Mount([]web.Service{queueapi.Service(env.Queue)}, webtest.As("fuzz", "*"), web.Options{RootURL: "http://tc.example", CheckOutput: true})
	if err != nil {
		f.Fatal(err)
	}
	call := func(t *testing.T, method, path string, body []byte) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/api/queue/v1"+path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		id := slug.New()
		made := call(t, "PUT", "/task/"+id, body)
		switch made.Code {
		case 400, 409, 413:
			return
		case 200:
		default:
			t.Fatalf("%d %s", made.Code, made.Body)
		}
		if back := call(t, "GET", "/task/"+id, nil); back.Code != 200 {
			t.Fatalf("%d %s", back.Code, back.Body)
		}
		if again := call(t, "PUT", "/task/"+id, body); again.Code != 200 || !bytes.Equal(again.Body.Bytes(), made.Body.Bytes()) {
			t.Fatalf("a replay: %d %s, first %s", again.Code, again.Body, made.Body)
		}
	})
}
