package app

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/slug"
)

// unaudited are the endpoints that change something and leave no record in the audit log, with the reason.
var unaudited = map[string]string{
	"startAction": "the audit log has it from the room of actions, when the action's task is there (package actions)", "triggerHook": "each fire of a hook is kept with who fired it",
	"triggerHookWithToken":  "each fire of a hook is kept",
	"githubWebHookConsumer": "not an operator's deed: each delivery is kept", "hint": "changes nothing: a repository is looked at sooner",
	"cancelBuilds": "of tasks: who cancelled stands in their history", "createStatus": "at GitHub, which keeps who did it", "createComment": "at GitHub, which keeps who did it",
	"renderTaskclusterYml": "changes nothing", "expandScopes": "changes nothing", "authenticateHawk": "changes nothing", "testAuthenticate": "changes nothing",
	"githubRepoToken": "hands out a credential that ends within the hour; the log names who got it", "findTasksAtIndex": "changes nothing", "listNamespacesPost": "changes nothing", "listTasksPost": "changes nothing", "insertTask": "of tasks, which have the right by their scopes",
	"sendTest": "a message; nothing of the deployment changes", "email": "a message; nothing of the deployment changes", "matrix": "a message; nothing of the deployment changes",
	"slack": "a message; nothing of the deployment changes", "pulse": "a message; nothing of the deployment changes", "ping": "changes nothing",
	"createUpload": "of tasks and their artifacts", "finishUpload": "of tasks and their artifacts", "startDownload": "changes nothing", "putContent": "of tasks and their artifacts",
	"putPart": "of tasks and their artifacts", "appendContent": "of tasks and their artifacts", "fetchObjectMetadata": "changes nothing", "download": "changes nothing",
	"registerWorker": "of machines: the feed has it", "reregisterWorker": "of machines: the feed has it", "reportWorkerError": "of machines: errors are kept", "shouldWorkerTerminate": "changes nothing",
	"purgeCache":     "a wish of whoever has a task with that cache; it is kept for a day and forgotten",
	"createArtifact": "of tasks", "finishArtifact": "of tasks", "claimTask": "of tasks", "sealTaskGroup": "of tasks: the feed has it", "cancelTaskGroup": "of tasks: the feed has it",
	"declareWorker": "of machines", "scheduleTask": "of tasks: the feed has it", "rerunTask": "of tasks: the feed has it", "cancelTask": "of tasks: the feed has it", "tasks": "changes nothing",
	"statuses": "changes nothing", "createTask": "of tasks: the feed has it", "createTasks": "of tasks: the feed has it", "claimWork": "of tasks", "reclaimTask": "of tasks", "reportCompleted": "of tasks",
	"reportFailed": "of tasks", "reportException": "of tasks", "finishRun": "of tasks", "workerGone": "of machines",
}

// administration is a change of an operator, made by a call, and the record that it leaves.
type administration struct {
	endpoint, service, method, path string
	body                            any
	record                          string // type, id and action
}

type members = map[string]any

func administrations(taskID string) []administration {
	hook := members{"metadata": members{"name": "x", "description": "x", "owner": "a@example.com"}, "task": members{}}
	pool := members{"providerId": "static", "description": "x", "owner": "a@example.com", "emailOnError": false, "config": members{}}
	worker := members{"expires": "2100-01-01T00:00:00.000Z", "capacity": 1, "providerInfo": members{"staticSecret": strings.Repeat("s", 44)}}
	of := func(m members, description string) members {
		out := members{}
		for k, v := range m {
			out[k] = v
		}
		out["description"] = description
		return out
	}
	hookOther := members{"metadata": members{"name": "x", "description": "another", "owner": "a@example.com"}, "task": members{}}
	someone := members{"expires": "2100-01-01T00:00:00.000Z", "description": "x", "scopes": []string{"a"}}
	address := members{"notificationType": "email", "notificationAddress": "a@example.com"}
	return []administration{
		{"createClient", "auth", "PUT", "/clients/one", someone, "client one client created"},
		{"updateClient", "auth", "POST", "/clients/one", of(someone, "y"), "client one client updated"},
		{"resetAccessToken", "auth", "POST", "/clients/one/reset?overlapHours=1", nil, "client one access token reset"},
		{"endOldAccessToken", "auth", "POST", "/clients/one/end-old-token", nil, "client one old access token ended"},
		{"disableClient", "auth", "POST", "/clients/one/disable", nil, "client one client disabled"},
		{"enableClient", "auth", "POST", "/clients/one/enable", nil, "client one client enabled"},
		{"deleteClient", "auth", "DELETE", "/clients/one", nil, "client one client deleted"},
		{"createRole", "auth", "PUT", "/roles/one", members{"scopes": []string{"a"}, "description": "x"}, "role one created"},
		{"updateRole", "auth", "POST", "/roles/one", members{"scopes": []string{"b"}, "description": "x"}, "role one updated"},
		{"deleteRole", "auth", "DELETE", "/roles/one", nil, "role one deleted"},
		{"createHook", "hooks", "PUT", "/hooks/one/two", hook, "hook one/two created"},
		{"updateHook", "hooks", "POST", "/hooks/one/two", hookOther, "hook one/two updated"},
		{"resetTriggerToken", "hooks", "POST", "/hooks/one/two/token", nil, "hook one/two "},
		{"removeHook", "hooks", "DELETE", "/hooks/one/two", nil, "hook one/two deleted"},
		{"set", "secrets", "PUT", "/secret/one", members{"secret": members{"key": "hunter2"}, "expires": "2100-01-01T00:00:00.000Z"}, "secret one "},
		{"remove", "secrets", "DELETE", "/secret/one", nil, "secret one "},
		{"createWorkerPool", "worker-manager", "PUT", "/worker-pool/p%2Fq", pool, "worker-pool p/q "},
		{"updateWorkerPool", "worker-manager", "POST", "/worker-pool/p%2Fq", of(pool, "y"), "worker-pool p/q "},
		{"createWorker", "worker-manager", "PUT", "/workers/p%2Fq/lab/w1", worker, "worker p/q/lab/w1 created"},
		{"updateWorker", "worker-manager", "POST", "/workers/p%2Fq/lab/w1", worker, "worker p/q/lab/w1 updated"},
		{"quarantineWorker", "queue", "PUT", "/provisioners/p/worker-types/q/workers/lab/w1", members{"quarantineUntil": "2100-01-01T00:00:00.000Z", "quarantineInfo": "it smokes"}, "worker p/q/lab/w1 quarantined"},
		{"removeWorker", "worker-manager", "DELETE", "/workers/p%2Fq/lab/w1", nil, "worker p/q/lab/w1 removed"},
		{"deleteWorkerPool", "worker-manager", "DELETE", "/worker-pool/p%2Fq", nil, "worker-pool p/q "},
		{"addDenylistAddress", "notify", "POST", "/denylist/add", address, "denylist email/a@example.com "},
		{"deleteDenylistAddress", "notify", "DELETE", "/denylist/delete", address, "denylist email/a@example.com "},
		{"deleteTask", "index", "DELETE", "/task/some.where", nil, "index some.where deleted"},
		{"changeTaskPriority", "queue", "POST", "/task/" + taskID + "/priority", members{"newPriority": "high"}, "task " + taskID + " priority changed"},
		{"changeTaskGroupPriority", "queue", "POST", "/task-group/" + taskID + "/priority", members{"newPriority": "low"}, "task-group " + taskID + " priority changed"},
		{"setTaskGroupWeight", "queue", "PUT", "/task-group/" + taskID + "/weight", members{"weight": 3}, "task-group " + taskID + " weight changed"},
		{"runJob", "cron", "POST", "/repository/r/job/nightly/run", members{}, "cron-job r/nightly started by hand"},
	}
}

// Every endpoint that changes something either leaves a record of who did what, or stands in a list with a reason.
func TestEveryChangeOfAnOperatorIsInTheAuditLog(t *testing.T) {
	w := walk(t)
	root, err := client.New(client.Config{RootURL: w.address, Patience: -1, Credentials: hawk.Credentials{ClientID: RootClient, AccessToken: w.app.config.Secrets.RootToken}})
	if err != nil {
		t.Fatal(err)
	}
	call := func(d administration) error { return w.administer(t, root, d) }
	newest := func() auth.Record {
		t.Helper()
		list, err := w.app.auth.AuditLog(t.Context(), auth.AuditQuery{Limit: 1})
		if err != nil || len(list) == 0 {
			t.Fatalf("%v, %v", list, err)
		}
		return list[0]
	}
	taskID := slug.Nice()
	w.task(t, root, taskID)
	w.cronJob(t)
	deeds := administrations(taskID)
	t.Run("all endpoints are in one of the two lists", func(t *testing.T) {
		known := map[string]bool{"approveChange": true, "refuseChange": true} // below
		for _, d := range deeds {
			known[d.endpoint] = true
		}
		var there []string
		for _, s := range w.app.services {
			for _, e := range s.Endpoints {
				if e.Method == http.MethodGet {
					continue
				}
				there = append(there, e.Name)
				if known[e.Name] == (unaudited[e.Name] != "") {
					t.Errorf("%s of %s: say in this test which record it leaves, or why none", e.Name, s.Name)
				}
			}
		}
		for name := range known {
			if !slices.Contains(there, name) {
				t.Errorf("there is no endpoint %s", name)
			}
		}
	})
	t.Run("a change that cannot be recorded is not made", func(t *testing.T) {
		w.breakAudit(t, true)
		defer w.breakAudit(t, false)
		before := w.state(t)
		for _, d := range deeds {
			if slices.Contains([]string{"createClient", "createRole", "createHook", "set", "createWorkerPool", "addDenylistAddress", "deleteTask", "changeTaskPriority", "changeTaskGroupPriority", "setTaskGroupWeight", "runJob"}, d.endpoint) {
				if err := call(d); err == nil {
					t.Errorf("%s was made without a record", d.endpoint)
				}
			}
		}
		if after := w.state(t); after != before {
			t.Errorf("it was %s, and is %s", before, after)
		}
	})
	t.Run("from a browser whose person signed in long ago nothing is changed but tasks", func(t *testing.T) {
		stale := w.stale(t)
		for _, d := range deeds {
			kind, _, _ := strings.Cut(d.record, " ")
			everyday := slices.Contains([]string{"task", "task-group", "cron-job"}, kind)
			first := slices.Contains([]string{"createClient", "createRole", "createHook", "set", "createWorkerPool", "addDenylistAddress", "deleteTask", "quarantineWorker"}, d.endpoint)
			if !everyday && !first { // the others need what these make
				continue
			}
			before := w.state(t)
			err := stale(d)
			if e, ok := errors.AsType[*client.Error](err); !everyday && (!ok || e.Status != http.StatusForbidden || !strings.Contains(e.Message, "Sign in again")) {
				t.Errorf("%s: %v", d.endpoint, err)
			} else if everyday && err != nil {
				t.Errorf("%s: %v", d.endpoint, err)
			}
			if after := w.state(t); !everyday && after != before {
				t.Errorf("%s: it was %s, and is %s", d.endpoint, before, after)
			}
		}
	})
	for _, d := range deeds {
		t.Run(d.endpoint, func(t *testing.T) {
			before := w.records(t)
			if err := call(d); err != nil {
				t.Fatal(err)
			}
			r := newest()
			if got := r.EntityType + " " + r.EntityID + " " + r.Action; !strings.HasPrefix(got, d.record) || r.ClientID != RootClient {
				t.Errorf("the record is %q by %s, want %q", got, r.ClientID, d.record)
			}
			if after := w.records(t); after != before+1 {
				t.Errorf("%d records, want one", after-before)
			}
			if strings.Contains(string(r.Change), "hunter2") || strings.Contains(string(r.Change), "ssss") {
				t.Errorf("the record shows a secret: %s", r.Change)
			}
			if d.body != nil && d.service != "secrets" && d.endpoint != "createWorker" && d.endpoint != "updateWorker" && d.service != "notify" && d.endpoint != "runJob" && len(r.Change) == 0 {
				t.Error("the record does not say what was changed")
			}
		})
	}
}

// stale makes calls as a page does for somebody whose sign-in is too old for changes.
func (w *walked) stale(t *testing.T) func(administration) error {
	t.Helper()
	handler, err := w.app.handler()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s := &auth.SignIn{Proved: time.Now().Add(-2 * time.Hour), Within: time.Hour, Stale: true}
		handler.ServeHTTP(rw, r.WithContext(auth.From(r.Context(), s)))
	}))
	t.Cleanup(server.Close)
	there, err := client.New(client.Config{RootURL: server.URL, Patience: -1, Credentials: hawk.Credentials{ClientID: RootClient, AccessToken: w.app.config.Secrets.RootToken}})
	if err != nil {
		t.Fatal(err)
	}
	return func(d administration) error { return w.administer(t, there, d) }
}

// administer makes the call of a change.
func (w *walked) administer(t *testing.T, c *client.Client, d administration) error {
	t.Helper()
	path, query, _ := strings.Cut(d.path, "?")
	values := map[string][]string{}
	if name, value, ok := strings.Cut(query, "="); ok {
		values[name] = []string{value}
	}
	return c.Call(t.Context(), d.service, d.method, path, values, d.body, new(json.RawMessage))
}

// task makes a task that waits, and an entry of the index.
func (w *walked) task(t *testing.T, root *client.Client, id string) {
	t.Helper()
	now := time.Now().UTC()
	at := func(d time.Duration) string { return now.Add(d).Format("2006-01-02T15:04:05.000Z") }
	def := members{
		"provisionerId": "p", "workerType": "q", "schedulerId": "s", "taskGroupId": id, "created": at(0), "deadline": at(time.Hour), "payload": members{},
		"metadata": members{"name": "x", "description": "x", "owner": "a@example.com", "source": "https://example.com"},
	}
	for _, c := range []struct {
		service, path string
		body          any
	}{
		{"queue", "/task/" + id, def}, {"queue", "/provisioners/p/worker-types/q/lab/w1", members{"expires": at(time.Hour)}},
		{"index", "/task/some.where", members{"taskId": id, "rank": 1, "data": members{}, "expires": at(time.Hour)}},
	} {
		if err := root.Call(t.Context(), c.service, http.MethodPut, c.path, nil, c.body, new(json.RawMessage)); err != nil {
			t.Fatal(err)
		}
	}
}

// cronJob makes a job of .cron.yml known.
func (w *walked) cronJob(t *testing.T) {
	t.Helper()
	c := w.app.calendar
	if err := c.Follow(t.Context(), []string{"r"}, []cron.Branch{{Repository: "r", Branch: "main"}}); err != nil {
		t.Fatal(err)
	}
	branches, err := c.Take(t.Context(), []string{"r"}, time.Minute, 1)
	if err != nil || len(branches) != 1 {
		t.Fatalf("%v, %v", branches, err)
	}
	file := "jobs:\n  - name: nightly\n    job:\n      type: decision-task\n      treeherder-symbol: N\n      target-tasks-method: nightly\n    when: []\n"
	if s, err := c.Settle(t.Context(), branches[0], strings.Repeat("a", 40), file, nil); err != nil || s.Error != nil {
		t.Fatalf("%+v, %v", s, err)
	}
}

// breakAudit lets no record be written, or again.
func (w *walked) breakAudit(t *testing.T, broken bool) {
	t.Helper()
	text := `DROP TRIGGER broken ON auth_audit; DROP FUNCTION broken_audit()`
	if broken {
		text = `CREATE FUNCTION broken_audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no records today'; END $$;
			CREATE TRIGGER broken BEFORE INSERT ON auth_audit EXECUTE FUNCTION broken_audit()`
	}
	if _, err := w.app.pool.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// state counts what the changes of this test would change.
func (w *walked) state(t *testing.T) (text string) {
	t.Helper()
	err := w.app.pool.QueryRow(t.Context(), `SELECT concat_ws(' ', (SELECT count(*) FROM auth_clients), (SELECT count(*) FROM auth_roles), (SELECT count(*) FROM hook_definitions),
		(SELECT count(*) FROM secrets), (SELECT count(*) FROM worker_pools), (SELECT count(*) FROM indexed_tasks), (SELECT count(*) FROM cron_runs),
		(SELECT string_agg(priority::text, ',') FROM tasks), (SELECT string_agg(weight::text, ',') FROM task_groups))`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
