package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

const secretName = "project/secrecy/deploy"

// Secrets are set, used by a task and by people, and mistaken in every way, while the whole deployment
// says as much as it can. Then all that it let see is searched for them. A canary, which is no secret
// and goes the same ways, shows that each place is searched.
func TestNoSecretIsAnywhere(t *testing.T) {
	s := newStage(t)
	canary := "canary" + strings.ToLower(rand.Text())
	secret := func(name, value string) string {
		if len(value) < 20 {
			t.Fatalf("%s is too short to be searched for", name)
		}
		s.hunt = append(s.hunt, hunted{name, value})
		return value
	}
	secret("the operator's access token", s.secrets.RootToken)
	secret("the queue's access token", s.secrets.QueueToken)
	secret("the local workers' access token", s.secrets.WorkerToken)
	secret("the key of URLs", string(s.secrets.URLKey))
	kept, mistaken := secret("the value of a secret", "kept"+rand.Text()), secret("a value that was mistaken", "mistaken"+rand.Text())

	worker := s.client("secrecy/worker", "works", "queue:claim-work:"+secrecyQueue, "queue:worker-id:g/*")
	reader := s.client("secrecy/"+canary, "reads; "+canary, "secrets:get:project/secrecy/*", "auth:audit-history:secret", "queue:create-task:*")
	secret("a worker's access token", worker.AccessToken)
	secret("a client's access token", reader.AccessToken)
	reset := s.must("POST", "/api/auth/v1/clients/"+url.PathEscape(worker.ClientID)+"/reset", nil)
	worker.AccessToken = secret("an access token that was reset", reset["accessToken"].(string))
	temporary, err := hawk.CreateTemporary(reader, hawk.TempOptions{Scopes: []string{"secrets:get:" + secretName}, Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour)})
	s.check(err)
	secret("the token of temporary credentials", temporary.AccessToken)

	s.must("PUT", "/api/secrets/v1/secret/"+secretName, secretBody(map[string]string{"password": kept}))
	s.must("PUT", "/api/secrets/v1/secret/"+canary, secretBody(map[string]string{}))
	for _, as := range []hawk.Credentials{reader, temporary} {
		if status, text := s.send(ask{path: "/api/secrets/v1/secret/" + url.PathEscape(secretName), as: as}); status != 200 || !strings.Contains(text, kept) {
			t.Fatalf("%d %s", status, text)
		}
	}
	bewit := s.useBewit(reader, kept)
	secret("a signed URL's bewit", bewit)
	hook := secret("a hook's trigger token", s.useHook())
	claimed := s.claimByHand()
	secret("the token of a task's credentials", claimed.AccessToken)

	s.startWorker(worker)
	taskID := s.runTask(canary, kept)
	for _, as := range []hawk.Credentials{s.root, reader, temporary} {
		secret("a session's cookie", s.crawl(as, "/tasks/"+taskID, "/hooks", "/profile", "/secrets", "/secrets/"+secretName))
	}
	s.crawl(hawk.Credentials{}, "/tasks/"+taskID, "/tasks/groups/"+taskID, "/hooks")
	s.mistakes(canary, mistaken, []hawk.Credentials{s.root, reader, temporary, claimed}, hook, bewit)
	s.mistakesOnTheCommandLine(canary, mistaken, reader)
	s.useConfigured()
	s.gather()

	for _, found := range s.find(s.hunt...) {
		t.Error(found)
	}
	for _, place := range s.names() {
		one := places{text: map[string]*bytes.Buffer{place: s.text[place]}}
		if len(one.find(hunted{"the canary", canary})) == 0 {
			t.Errorf("the canary is not in: %s; so a secret there would not be found", place)
		}
	}
	for _, place := range s.names() {
		t.Logf("searched: %s, %d kB", place, s.text[place].Len()>>10)
	}
	if got := len(s.names()); got < 13 {
		t.Errorf("only %d places were searched: %v", got, s.names())
	}
}

func secretBody(value any) map[string]any {
	return map[string]any{"secret": value, "expires": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
}

// useBewit reads the secret by a signed URL and returns the signature.
func (s *stage) useBewit(as hawk.Credentials, want string) string {
	s.Helper()
	path := "/api/secrets/v1/secret/" + url.PathEscape(secretName)
	signed, err := hawk.SignURL(as, s.url+path, time.Now().Add(time.Hour))
	s.check(err)
	if status, text := s.send(ask{path: strings.TrimPrefix(signed, s.url)}); status != 200 || !strings.Contains(text, want) {
		s.Fatalf("by bewit: %d %s", status, text)
	}
	u, err := url.Parse(signed)
	s.check(err)
	return u.Query().Get("bewit")
}

// useHook makes a hook, fires it by its token, and returns the token.
func (s *stage) useHook() string {
	s.Helper()
	const path = "/api/hooks/v1/hooks/secrecy/hook"
	s.must("PUT", path, map[string]any{
		"metadata": map[string]any{"name": "h", "description": "d", "owner": "o@example.com", "emailOnError": false},
		"task":     definition("secrecy/nobody", map[string]any{}, map[string]any{"created": map[string]any{"$fromNow": "0 seconds"}, "deadline": map[string]any{"$fromNow": "1 hour"}, "expires": map[string]any{"$fromNow": "1 day"}}),
	})
	s.must("PUT", "/api/auth/v1/roles/"+url.PathEscape("hook-id:secrecy/hook"), map[string]any{"description": "", "scopes": []string{"queue:create-task:*", "queue:scheduler-id:*"}})
	token := s.must("GET", path+"/token", nil)["token"].(string)
	if status, text := s.send(ask{method: "POST", path: path + "/trigger/" + url.PathEscape(token), body: "{}"}); status != 200 {
		s.Fatalf("fire by token: %d %s", status, text)
	}
	return token
}

func definition(queue string, payload any, more map[string]any) map[string]any {
	now := time.Now()
	out := map[string]any{
		"taskQueueId": queue, "schedulerId": "secrecy", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload": payload, "metadata": map[string]any{"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	}
	for key, value := range more {
		out[key] = value
	}
	return out
}

// claimByHand makes a task, claims it as a worker does, and returns the credentials of the run.
func (s *stage) claimByHand() hawk.Credentials {
	s.Helper()
	id := slug.Nice()
	s.must("PUT", "/api/queue/v1/task/"+id, definition("secrecy/by-hand", map[string]any{}, map[string]any{"scopes": []string{"secrets:get:" + secretName}}))
	answer := s.must("POST", "/api/queue/v1/claim-work/secrecy%2Fby-hand", map[string]any{"workerGroup": "g", "workerId": "hand", "tasks": 1})
	var claims []struct{ Credentials hawk.Credentials }
	data, err := json.Marshal(answer["tasks"])
	s.check(err)
	s.check(json.Unmarshal(data, &claims))
	if len(claims) != 1 || claims[0].Credentials.AccessToken == "" {
		s.Fatal("nothing was claimed")
	}
	if status, _ := s.send(ask{path: "/api/secrets/v1/secret/" + url.PathEscape(secretName), as: claims[0].Credentials}); status != 200 {
		s.Errorf("the task's credentials do not read the secret: %d", status)
	}
	return claims[0].Credentials
}

// runTask runs a task that reads the secret through its proxy, and looks at the processes while it has
// it in hand.
func (s *stage) runTask(canary, want string) string {
	s.Helper()
	marks := filepath.Join(s.work, "marks")
	s.check(os.Mkdir(marks, 0o777))
	s.check(os.Chmod(marks, 0o777))
	script := `set -eu; echo "$CANARY"
value=$(TASKCLUSTER_ROOT_URL=$TASKCLUSTER_PROXY_URL treeline secret get ` + secretName + ` --key password)
echo "$CANARY" > ` + marks + `/has-it
while test ! -e ` + marks + `/go-on; do sleep 0.05; done
printf %s "$value" | sha256sum`
	id := slug.Nice()
	s.must("PUT", "/api/queue/v1/task/"+id, definition(secrecyQueue, map[string]any{
		"command": [][]string{{"sh", "-c", script, canary}}, "maxRunTime": 120, "env": map[string]string{"CANARY": canary},
		"features": map[string]bool{"taskclusterProxy": true},
	}, map[string]any{
		"scopes":   []string{"secrets:get:" + secretName},
		"metadata": map[string]any{"name": canary, "description": canary, "owner": "o@example.com", "source": "https://example.com"},
	}))
	await(s.T, time.Minute, "the task has the secret", func() bool {
		_, err := os.Stat(filepath.Join(marks, "has-it"))
		return err == nil
	})
	s.seeProcesses()
	s.check(os.WriteFile(filepath.Join(marks, "go-on"), nil, 0o644))
	var state string
	await(s.T, time.Minute, "the task ends", func() bool {
		state = s.must("GET", "/api/queue/v1/task/"+id+"/status", nil)["status"].(map[string]any)["state"].(string)
		return state != "pending" && state != "running"
	})
	c, err := client.New(client.Config{RootURL: s.url, Credentials: s.root})
	s.check(err)
	var log bytes.Buffer
	_, err = c.DownloadArtifact(s.Context(), client.Download{TaskID: id, RunID: client.LatestRun, Name: "public/logs/live_backing.log"}, &log)
	s.check(err)
	sum := sha256.Sum256([]byte(want))
	if state != "completed" || !strings.Contains(log.String(), hex.EncodeToString(sum[:])) {
		s.Fatalf("the task is %s and did not have the secret:\n%s", state, log.String())
	}
	return id
}
