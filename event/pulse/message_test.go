package pulse

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event"
)

const statusText = `"status": {"taskId": "VBHM4KiMQ2CKXcfyw6CCpA", "provisionerId": "prov", "workerType": "type-1", "schedulerId": "sched",
	"taskGroupId": "Ne9vShUCT_KdH8HGiIij5w"}`

func TestRoutingKeys(t *testing.T) {
	routes := routesOf("taskcluster")
	long := strings.Repeat("x", 38)
	for _, tt := range []struct{ name, kind, payload, exchange, key, err string }{
		{"without a run", "task-defined", `{` + statusText + `}`, "exchange/taskcluster-queue/v1/task-defined",
			"primary.VBHM4KiMQ2CKXcfyw6CCpA._._._.prov.type-1.sched.Ne9vShUCT_KdH8HGiIij5w._", ""},
		{"without a worker", "task-pending", `{` + statusText + `, "runId": 0}`, "exchange/taskcluster-queue/v1/task-pending",
			"primary.VBHM4KiMQ2CKXcfyw6CCpA.0._._.prov.type-1.sched.Ne9vShUCT_KdH8HGiIij5w._", ""},
		{"with all", "task-running", `{` + statusText + `, "runId": 12, "workerGroup": "wg", "workerId": "w-1"}`, "exchange/taskcluster-queue/v1/task-running",
			"primary.VBHM4KiMQ2CKXcfyw6CCpA.12.wg.w-1.prov.type-1.sched.Ne9vShUCT_KdH8HGiIij5w._", ""},
		{"of a group", "task-group-sealed", `{"taskGroupId": "Ne9vShUCT_KdH8HGiIij5w", "schedulerId": "-"}`, "exchange/taskcluster-queue/v1/task-group-sealed",
			"primary.Ne9vShUCT_KdH8HGiIij5w.-._", ""},
		{"of a client", "client-created", `{"clientId": "a/b.c", "version": 1}`, "exchange/taskcluster-auth/v1/client-created", "_", ""},
		{"as long as it gets", "task-completed", `{"runId": 1000, "workerGroup": "` + long + `", "workerId": "` + long + `", "status": {"taskId": "VBHM4KiMQ2CKXcfyw6CCpA",
			"provisionerId": "` + long + `", "workerType": "` + long + `", "schedulerId": "` + long + `", "taskGroupId": "Ne9vShUCT_KdH8HGiIij5w"}}`,
			"exchange/taskcluster-queue/v1/task-completed", "primary.VBHM4KiMQ2CKXcfyw6CCpA.1000." + long + "." + long + "." + long + "." + long + "." + long + ".Ne9vShUCT_KdH8HGiIij5w._", ""},
		{"a required word is missing", "task-running", `{` + statusText + `, "runId": 1, "workerGroup": "wg"}`, "", "", "has no workerId"},
		{"a word with a dot", "task-running", `{` + statusText + `, "runId": 1, "workerGroup": "w.g", "workerId": "w"}`, "", "", "has a dot"},
		{"too long", "task-group-sealed", `{"taskGroupId": "` + strings.Repeat("x", 250) + `", "schedulerId": "-"}`, "", "", "bytes, more than 255"},
		{"no body", "task-pending", ``, "", "", "its body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, ok, err := messageOf(routes, &event.Event{Kind: tt.kind, Payload: json.RawMessage(tt.payload)})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || ok {
					t.Errorf("%v, %v", err, ok)
				}
				return
			}
			if err != nil || !ok || m.exchange != tt.exchange || m.key != tt.key {
				t.Errorf("%v, %v, %s", err, ok, cmp.Diff([]string{tt.exchange, tt.key}, []string{m.exchange, m.key}))
			}
		})
	}
	t.Run("what listeners do not get", func(t *testing.T) {
		for kind, payload := range map[string]string{"push-created": `{}`, "artifact-created": `{` + statusText + `, "artifact": {"storageType": "s3"}}`} {
			if _, ok, err := messageOf(routes, &event.Event{Kind: kind, Payload: json.RawMessage(payload)}); ok || err != nil {
				t.Errorf("%s: %v, %v", kind, ok, err)
			}
		}
	})
}

func TestConfigurationErrorsKeepTheSecret(t *testing.T) {
	for _, c := range []Config{
		{URL: "http://user:hunter2@host/"}, {URL: "amqp://user:hunter2@ho st/"}, {URL: "amqp://user:hunter2%zz@host"},
		{URL: "amqp://user:hunter2@host:port"}, {URL: "hunter2"}, {URL: ""}, {URL: "amqp://user:hunter2@host", Namespace: "a.b"},
	} {
		_, err := New(c)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	if _, err := New(Config{URL: "amqps://user:hunter2@host/vhost", Namespace: "our-ci", Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Error(err)
	}
}

// Whatever a body holds, a key fits AMQP, has the right number of words, and is made without a panic.
func FuzzMessageOf(f *testing.F) {
	f.Add("task-running", `{`+statusText+`, "runId": 1, "workerGroup": "wg", "workerId": "w"}`, "index.a.b")
	f.Add("task-group-resolved", `{"taskGroupId": "g", "schedulerId": "s"}`, "x")
	f.Add("client-created", `{"clientId": "\u0000"}`, "")
	routes := routesOf("taskcluster")
	f.Fuzz(func(t *testing.T, kind, payload, route string) {
		m, ok, err := messageOf(routes, &event.Event{Kind: kind, Payload: json.RawMessage(payload), Routes: []string{route}})
		if err != nil || !ok {
			return
		}
		if len(m.key) > maxKey || strings.Count(m.key, ".") != len(routes[kind].key)-1 || m.cc[0] != "route."+route {
			t.Errorf("%q, %q", m.key, m.cc)
		}
		if err := m.publishing().Headers.Validate(); err != nil {
			t.Error(err)
		}
	})
}
