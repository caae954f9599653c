package pulse_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// ofGitHub are the exchanges of the service github.
var ofGitHub = []string{"pull-request", "push", "release", "rerun", "task-group-creation-requested"}

// ofPools are the exchanges of the service worker-manager.
var ofPools = []string{
	"worker-pool-created", "worker-pool-updated", "worker-pool-error", "worker-requested", "worker-running", "worker-stopped", "worker-removed",
	"launch-config-created", "launch-config-updated", "launch-config-archived",
}

// aboutPools is the body of an event of worker pools.
func aboutPools(kind string) map[string]any {
	body := map[string]any{"workerPoolId": "prov_1/type-1", "providerId": "cloud"}
	switch {
	case strings.HasPrefix(kind, "launch-config-"):
		body["launchConfigId"] = "lc-1"
	case kind == "worker-pool-error":
		body["errorId"], body["kind"], body["title"], body["timestamp"] = "Ne9vShUCT_KdH8HGiIij5w", "creation-error", "No machines", "2026-11-21T10:00:00.000Z"
	case !strings.HasPrefix(kind, "worker-pool-"):
		body["workerGroup"], body["workerId"], body["launchConfigId"] = "wg", "w-1", "lc-1"
		body["capacity"], body["timestamp"] = 1, "2026-11-21T10:00:00.000Z"
		if kind == "worker-removed" {
			body["reason"] = "nothing to do"
		}
	}
	return body
}

// sample makes an event of a kind; worker says whether its run has one.
func sample(kind string, worker bool) event.Event {
	body := map[string]any{"version": 1}
	switch {
	case strings.HasPrefix(kind, "client-"):
		body["clientId"] = "a/b.c"
	case strings.HasPrefix(kind, "role-"):
		body["roleId"] = "repo:x/*"
	case strings.HasPrefix(kind, "hook-"):
		body = map[string]any{"hookGroupId": "group", "hookId": "a/b"}
	case slices.Contains(ofPools, kind):
		body = aboutPools(kind)
	case kind == "notification":
		body = map[string]any{"message": map[string]any{}}
	case slices.Contains(ofGitHub, kind):
		body["organization"], body["repository"] = "acme", "app%io"
		if kind == "task-group-creation-requested" {
			body["taskGroupId"] = "Ne9vShUCT_KdH8HGiIij5w"
			break
		}
		body["installationId"], body["eventId"], body["body"] = 5000000001, "72d3162e-cc78-11e3-81ab-4c9367dc0958", map[string]any{}
		body["tasks_for"], body["branch"] = "github-push", "main"
		if kind == "pull-request" {
			body["action"] = "opened"
		}
		if kind == "rerun" {
			delete(body, "branch")
			body["checkRunId"], body["checkSuiteId"] = 5000000002, 5000000003
		}
	case strings.HasPrefix(kind, "task-group-"):
		body["taskGroupId"], body["schedulerId"] = "Ne9vShUCT_KdH8HGiIij5w", "sched-1"
	default:
		body["status"] = map[string]any{
			"taskId": "VBHM4KiMQ2CKXcfyw6CCpA", "provisionerId": "prov_1", "workerType": "type-1", "schedulerId": "sched-1", "taskGroupId": "Ne9vShUCT_KdH8HGiIij5w",
		}
		if worker {
			body["runId"], body["workerGroup"], body["workerId"] = 3, "wg", "w-1"
		} else if kind == "task-pending" {
			body["runId"] = 0
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return event.Event{Kind: kind, Payload: text, Topic: "a.topic"} // which is in the keys of notifications only
}

func testKeys(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "keys")
	for _, x := range all() {
		fx.queue("keys/"+x, "#", x)
	}
	fx.queue("keys/route", "route.index.foo", "task-completed")
	fx.queue("keys/routes", "route.index.#", "task-completed")
	fx.queue("keys/primary", "primary.*.3.#", all()...)
	fx.publish(node.URL())

	const (
		taskKey  = "primary.VBHM4KiMQ2CKXcfyw6CCpA.3.wg.w-1.prov_1.type-1.sched-1.Ne9vShUCT_KdH8HGiIij5w._"
		noRun    = "primary.VBHM4KiMQ2CKXcfyw6CCpA._._._.prov_1.type-1.sched-1.Ne9vShUCT_KdH8HGiIij5w._"
		groupKey = "primary.Ne9vShUCT_KdH8HGiIij5w.sched-1._"
	)
	withRun := []string{"task-running", "artifact-created", "task-completed", "task-failed"}
	want := map[string][]string{}
	for _, x := range all() {
		fx.append(sample(x, slices.Contains(withRun, x)))
		switch {
		case strings.HasPrefix(x, "client-"), strings.HasPrefix(x, "role-"), strings.HasPrefix(x, "hook-"):
			want[x] = []string{"_"}
		case x == "notification":
			want[x] = []string{"primary.a.topic"}
		case x == "pull-request":
			want[x] = []string{"primary.acme.app%io.opened"}
		case slices.Contains(ofGitHub, x):
			want[x] = []string{"primary.acme.app%io"}
		case strings.HasPrefix(x, "worker-pool-"):
			want[x] = []string{"primary.cloud.prov_1.type-1._._._._"}
		case strings.HasPrefix(x, "launch-config-"):
			want[x] = []string{"primary.cloud.prov_1.type-1._._.lc-1._"}
		case slices.Contains(ofPools, x):
			want[x] = []string{"primary.cloud.prov_1.type-1.wg.w-1.lc-1._"}
		case strings.HasPrefix(x, "task-group-"):
			want[x] = []string{groupKey}
		case x == "task-pending":
			want[x] = []string{strings.Replace(noRun, "._._._.", ".0._._.", 1)}
		case slices.Contains(withRun, x):
			want[x] = []string{taskKey}
		default:
			want[x] = []string{noRun}
		}
	}
	routed := sample("task-completed", true)
	routed.ID = slug.New()
	routed.Routes = []string{"index.foo", "index.foo.bar.baz", "notify.email.a@b.example.on-any", "x"}
	fx.append(routed)
	want["task-completed"] = append(want["task-completed"], taskKey)

	got := map[string][]string{}
	for x, keys := range want {
		for _, m := range fx.take("keys/"+x, len(keys)) {
			got[x] = append(got[x], m.RoutingKey)
			if m.Exchange != fx.exchange(x) || m.ContentType != "application/json" || m.ContentEncoding != "utf-8" || m.DeliveryMode != amqp.Persistent {
				t.Errorf("%s: %+v", x, m)
			}
			if _, ok := m.Headers["CC"].([]any); !ok {
				t.Errorf("%s: no list of other keys: %+v", x, m.Headers)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m := fx.take("keys/route", 1)[0]
	cc := []any{"route.index.foo", "route.index.foo.bar.baz", "route.notify.email.a@b.example.on-any", "route.x"}
	if diff := cmp.Diff(amqp.Table{"CC": cc}, m.Headers); diff != "" || m.RoutingKey != taskKey || m.MessageId != routed.ID || !bytes.Equal(m.Body, routed.Payload) {
		t.Errorf("%s %+v", diff, m)
	}
	fx.take("keys/routes", 1)
	fx.take("keys/primary", len(withRun)+1)
	for _, q := range []string{"keys/route", "keys/routes", "keys/primary"} {
		if m, ok, err := fx.channel.Get(q, true); ok || err != nil {
			t.Errorf("%s has one more: %s, %v", q, m.Body, err)
		}
	}
	fx.eventually("the offset follows", func() bool { return fx.consumer().Lag == 0 })
}

// schemas compiles the schemas of messages, beside those of the API that they refer to.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft6)
	c.AssertFormat()
	add := func(service string, files fs.FS) {
		names, err := fs.Glob(files, "*.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(name, err)
			}
			delete(doc.(map[string]any), "$id")
			delete(doc.(map[string]any), "$schema")
			if err := c.AddResource("test:///"+service+"/"+name, doc); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	add("queue", os.DirFS("../../queue/queueapi/schemas"))
	add("auth", os.DirFS("../../auth/authapi/schemas"))
	add("worker-manager", os.DirFS("../../pools/schemas"))
	compiled := map[string]*jsonschema.Schema{}
	for _, s := range pulse.Services() {
		files, err := s.Schemas()
		if err != nil {
			t.Fatal(err)
		}
		add(s.Name, files)
		for _, x := range s.Exchanges {
			if compiled[x.Exchange], err = c.Compile("test:///" + s.Name + "/" + x.Schema); err != nil {
				t.Fatal(err)
			}
		}
	}
	return compiled
}

// live takes a queue and the clients through what they can tell of.
func live(t *testing.T, e *queuetest.Env) {
	ctx := t.Context()
	group := slug.New()
	tagged := func(d *task.Definition) {
		d.Tags, d.Routes = map[string]string{"kind": "test"}, []string{"index.a.b"}
	}
	e.Task(t, task.Completed, queuetest.In(group), tagged)
	e.Task(t, task.Failed, queuetest.In(group))
	running := e.Task(t, task.Running, queuetest.In(group))
	expires := task.Time{Time: time.Now().Add(time.Hour)}
	for name, a := range map[string]queue.NewArtifact{
		"public/a": {StorageType: queue.StorageReference, ContentType: "text/plain", Expires: expires, URL: "https://example.com/"},
		"public/b": {StorageType: queue.StorageLink, ContentType: "text/plain", Expires: expires, Artifact: "public/a"},
		"public/c": {StorageType: queue.StorageError, Expires: expires, Reason: "file-missing-on-worker", Message: "no"},
	} {
		if _, err := e.Queue.CreateArtifact(ctx, running, 0, name, a); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Queue.ReportException(ctx, running, 0, "worker-shutdown"); err != nil {
		t.Fatal(err)
	}
	waiting := e.Task(t, task.Unscheduled, queuetest.In(group), queuetest.After(running))
	if _, err := e.Queue.ChangePriority(ctx, waiting, task.Highest); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.ChangeGroupPriority(ctx, group, task.VeryLow); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.SealGroup(ctx, group); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.CancelGroup(ctx, group); err != nil {
		t.Fatal(err)
	}

	a, err := auth.New(ctx, e.Pool, auth.Config{EncryptionKey: bytes.Repeat([]byte("k"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	in := auth.ClientInput{Expires: time.Now().Add(time.Hour)}
	_, _, err1 := a.CreateClient(ctx, "me", "some/client", in)
	_, err2 := a.SetDisabled(ctx, "me", "some/client", true)
	err3 := a.DeleteClient(ctx, "me", "some/client")
	_, err4 := a.CreateRole(ctx, "me", "some:role*", auth.RoleInput{Scopes: []string{"a"}})
	_, err5 := a.UpdateRole(ctx, "me", "some:role*", auth.RoleInput{Scopes: []string{"b"}}, func([]string) error { return nil })
	err6 := a.DeleteRole(ctx, "me", "some:role*")
	for _, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err != nil {
			t.Fatal(err)
		}
	}
	liveHooks(t, e)
}

// liveHooks has a hook made, changed and removed.
func liveHooks(t *testing.T, e *queuetest.Env) {
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	h := hooks.New(hooks.Deps{Pool: e.Pool, Ring: ring})
	hook := hooks.Hook{Group: "a", ID: "b/c", Task: json.RawMessage("{}"), Metadata: hooks.Metadata{Owner: "ada@example.com"}}
	_, err1 := h.Create(t.Context(), "me", hook)
	_, err2 := h.Update(t.Context(), "me", hook)
	err3 := h.Remove(t.Context(), "me", "a", "b/c")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func testSchemas(t *testing.T, node *rabbittest.Node) {
	e := queuetest.New(t)
	fx := newFixtureOn(t, node, "schemas", e.Pool)
	for _, x := range all() {
		fx.queue("schemas/"+x, "#", x)
	}
	fx.publish(node.URL())
	live(t, e)
	fx.append(event.Event{Kind: "notification", Topic: "a.b", Routes: []string{"a.b"}, Payload: json.RawMessage(`{"message": {"x": 1}, "version": 1}`)})
	for _, kind := range slices.Concat(ofGitHub, ofPools) {
		fx.append(sample(kind, false))
	}
	fx.eventually("all is published", func() bool {
		var waiting int
		if err := fx.pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM events) - (SELECT count(*) FROM event_order)").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return waiting == 0 && fx.consumer().Lag == 0
	})
	compiled := schemas(t)
	count := map[string]int{}
	for _, x := range all() {
		for {
			m, ok, err := fx.channel.Get("schemas/"+x, true)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			count[x]++
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			if err := compiled[x].Validate(doc); err != nil {
				t.Errorf("%s: %s\n%v", x, m.Body, err)
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(all())), slices.Sorted(maps.Keys(count))); diff != "" {
		t.Error(diff)
	}
}
