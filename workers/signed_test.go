package workers_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/feature/trust"
)

// A worker of decision tasks signs what they create; a worker of builds runs that alone.
func TestSignedTasks(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const builds = "test/builds"
	s.work(func(c *workers.Config) { c.SigningKey, c.SignTasks, c.Capacity = key, true, 1 })
	s.work(func(c *workers.Config) {
		c.TaskQueueID, c.WorkerID, c.TaskKeys = builds, "builder", []ed25519.PublicKey{public}
	})
	now := time.Now()
	define := func(script string) dict {
		return dict{
			"taskQueueId": builds, "schedulerId": "test", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)),
			"expires": task.At(now.Add(2 * time.Hour)), "payload": sh(script), "extra": dict{"ratio": 1.50, "b": dict{"z": 1, "a": "<&>"}},
			"metadata": dict{"name": "built", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
		}
	}
	text := func(v any) string {
		t.Helper()
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	one, first, second := slug.Nice(), slug.Nice(), slug.Nice()
	batch := text(dict{"tasks": []dict{{"taskId": first, "task": define("echo first")}, {"taskId": second, "task": define("echo second")}}})
	decision := s.create(with(sh(`set -e
curl -sSf -X PUT -H 'Content-Type: application/json' --data-binary @one.json $TASKCLUSTER_PROXY_URL/api/queue/v1/task/`+one+`
curl -sSf -X POST -H 'Content-Type: application/json' --data-binary @batch.json $TASKCLUSTER_PROXY_URL/api/queue/v1/task-batch`), dict{
		"features": dict{"taskclusterProxy": true},
		"mounts":   []dict{{"file": "one.json", "content": dict{"raw": text(define("echo one"))}}, {"file": "batch.json", "content": dict{"raw": batch}}},
	}), dict{"scopes": []string{"queue:create-task:*", "queue:scheduler-id:*"}})
	s.resolved(decision, task.ReasonCompleted)
	for id, says := range map[string]string{one: "one", first: "first", second: "second"} {
		s.resolved(id, task.ReasonCompleted)
		if log := s.logOf(id); !strings.Contains(log, "\n"+says+"\n") || !strings.Contains(log, "signed by key "+trust.KeyID(public)) {
			t.Error(log)
		}
	}

	create := func(id string, definition any) string {
		t.Helper()
		if _, err := s.root.CreateTask(t.Context(), id, definition); err != nil {
			t.Fatal(err)
		}
		return id
	}
	sign := func(key ed25519.PrivateKey, id string, definition dict) json.RawMessage {
		t.Helper()
		signed, err := trust.SignTask(key, id, []byte(text(definition)))
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	id := slug.Nice()
	changed := strings.Replace(string(sign(key, id, define("echo asked"))), "echo asked", "echo other", 1)
	lifted, err := s.root.Task(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	lifted.TaskGroupID = one
	other := slug.Nice()
	for name, c := range map[string]struct{ id, want string }{
		"unsigned":               {create(slug.Nice(), define("true")), "is not signed"},
		"signed by a stranger":   {create(other, sign(stranger, other, define("true"))), "is none of the 1 that this worker trusts"},
		"changed since":          {create(id, json.RawMessage(changed)), "it was changed, or made for another task"},
		"another task's":         {create(slug.Nice(), lifted), "it was changed, or made for another task"},
		"a signature of rubbish": {create(slug.Nice(), with(define("true"), dict{"extra": dict{"signature": "x"}})), "cannot be read"},
	} {
		s.resolved(c.id, task.ReasonMalformedPayload)
		if log := s.logOf(c.id); !strings.Contains(log, c.want) || strings.Contains(log, "Command 1 of 1") {
			t.Errorf("%s: the log lacks %q:\n%s", name, c.want, log)
		}
	}
}
