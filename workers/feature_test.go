package workers_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/feature/testresults"
	"github.com/treeline-ci/treeline/workers/feature/trust"
)

func TestCertifiedTasks(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.work(func(c *workers.Config) { c.SigningKey = key })
	certified := func(script string, more dict) string {
		return s.create(with(sh(script), dict{"features": dict{"chainOfTrust": true}, "artifacts": []dict{{"type": "directory", "path": "out", "name": "public/out"}}}), more)
	}
	first := certified("mkdir out; echo one >out/a", nil)
	s.resolved(first, task.ReasonCompleted)
	second := certified("mkdir out; echo two >out/b", dict{"dependencies": []string{first}})
	s.resolved(second, task.ReasonCompleted)
	verify := func(id string, keys ...ed25519.PublicKey) []trust.Checked {
		t.Helper()
		out, err := trust.Verifier{Client: s.root, Keys: keys, Deep: true}.Verify(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	checked := verify(second, public)
	if len(checked) != 2 || checked[0].TaskID != second || checked[1].TaskID != first {
		t.Fatalf("%+v", checked)
	}
	for _, c := range checked {
		if len(c.Problems) > 0 || len(c.Artifacts) != 2 || c.Artifacts[0] != trust.Log || c.At.Engine != "process" {
			t.Errorf("%+v", c)
		}
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := verify(first, other); len(c[0].Problems) != 1 || !strings.Contains(c[0].Problems[0], "signature") {
		t.Errorf("%+v", c)
	}
	plain := s.create(sh("true"), nil)
	s.resolved(plain, task.ReasonCompleted)
	if c := verify(plain, public); len(c[0].Problems) != 1 {
		t.Errorf("a task without certificate: %+v", c)
	}
	forged := s.create(with(sh("mkdir -p out; echo '{}' >out/chain-of-trust.json"), dict{"features": dict{"chainOfTrust": true}, "artifacts": []dict{{"type": "directory", "path": "out", "name": "public"}}}), nil)
	s.resolved(forged, task.ReasonCompleted)
	if c := verify(forged, public); len(c[0].Problems) > 0 {
		t.Errorf("the task's own certificate was taken: %+v", c)
	}
}

func TestWhatIsToldOfARun(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.Monitor = time.Millisecond })
	junit := `<testsuite><testcase classname=\"a\" name=\"good\" time=\"1\"/><testcase name=\"bad\"><failure message=\"no\"/></testcase></testsuite>`
	id := s.create(with(sh(`echo "`+junit+`" >junit.xml; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done`), dict{"artifacts": []dict{{"type": "file", "path": "junit.xml", "name": "public/junit.xml"}}}), nil)
	s.resolved(id, task.ReasonCompleted)
	log := s.logOf(id)
	for _, want := range []string{"Tests: 1 passed, 1 failed, 0 skipped", "Test failed:  bad", "Used: commands took ", "processor time "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	var summary testresults.Summary
	text, _, err := s.artifact(id, testresults.Artifact)
	if err != nil || json.Unmarshal([]byte(text), &summary) != nil || summary.Failed != 1 || summary.Failures[0].File != "public/junit.xml" {
		t.Errorf("%s %v", text, err)
	}
	var usage struct {
		Version    int
		CPUSeconds float64
		Commands   []struct{ Exit int }
	}
	text, _, err = s.artifact(id, workers.UsageArtifact)
	if err != nil || json.Unmarshal([]byte(text), &usage) != nil || usage.Version != 1 || usage.CPUSeconds <= 0 || len(usage.Commands) != 1 {
		t.Errorf("%s %v", text, err)
	}
}

// The claim lasts 20 minutes here: without listening the worker would learn of it when it renews, after eight.
func TestCanceledTasksEndAtOnce(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]bool{"by the stream of events": true, "by asking, where there is none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, 20*time.Minute, func(s *server) { s.events = events })
			s.work(nil)
			id, ended := s.createSleep()
			if _, err := s.root.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			await(t, "the command to be stopped", ended)
			t.Logf("stopped after %v", time.Since(began).Round(10*time.Millisecond))
			next := s.create(sh("true"), nil) // the slot is free again
			s.resolved(next, task.ReasonCompleted)
			s.resolved(id, task.ReasonCanceled)
		})
	}
}

// createSleep makes a task whose command takes long, and returns when that has begun; ended tells whether it is over.
func (s *server) createSleep() (id string, ended func() bool) {
	s.t.Helper()
	pid := filepath.Join(s.t.TempDir(), "pid")
	id = s.create(with(sh("echo $$ >"+pid+"; exec sleep 300"), dict{"maxRunTime": 300}), nil)
	var process string
	await(s.t, "the command to begin", func() bool {
		data, err := os.ReadFile(pid)
		process = strings.TrimSpace(string(data))
		return err == nil && len(data) > 1
	})
	return id, func() bool { _, err := os.Stat("/proc/" + process); return err != nil }
}

// cancelAndSee cancels a task and returns when the feed has told of it.
func (s *server) cancelAndSee(ctx context.Context, id string) {
	s.t.Helper()
	if _, err := s.root.Cancel(ctx, id); err != nil {
		s.t.Error(err)
	}
	for _, err := range s.root.Events(ctx, client.EventFilter{Tasks: []string{id}, Kinds: []string{"task-exception"}, After: new(int64)}) {
		if err != nil {
			s.t.Error(err)
		}
		return
	}
}

// The task is canceled after the worker has asked for events and before it is given any: nothing of that is told there.
func TestCanceledWhileTheStreamIsOpened(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute, func(s *server) { s.events = true })
	var id atomic.Value
	c := s.behind(client.Config{}, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/events/v1/stream") {
			<-time.After(2 * time.Second) // a busy machine
			s.cancelAndSee(r.Context(), id.Load().(string))
		}
		return false
	})
	s.work(func(cfg *workers.Config) { cfg.Client = c })
	created, ended := s.createSleep()
	id.Store(created)
	await(t, "the command to be stopped", ended)
	s.resolved(created, task.ReasonCanceled)
}

// behind returns a client, with all rights, that speaks to the server through another one. That shows each request to
// answered first, and passes on what it has not answered.
func (s *server) behind(cfg client.Config, answered func(http.ResponseWriter, *http.Request) bool) *client.Client {
	s.t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answered(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	s.t.Cleanup(front.Close)
	cfg.RootURL, cfg.Credentials = front.URL, hawk.Credentials{ClientID: rootClient, AccessToken: s.token}
	c, err := client.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	var down atomic.Bool
	c := s.behind(client.Config{MaxDelay: 50 * time.Millisecond, Patience: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) bool {
		if !down.Load() || !strings.Contains(r.URL.Path, "/artifacts/public/big") {
			return false
		}
		http.Error(w, "the store is down", http.StatusServiceUnavailable)
		return true
	})
	down.Store(true)
	s.work(func(cfg *workers.Config) { cfg.Client, cfg.StorePatience, cfg.MaxTasks = c, time.Second, 1 })
	id := s.create(with(sh("echo x >big"), dict{"artifacts": []dict{{"type": "file", "path": "big", "name": "public/big"}}}), dict{"retries": 0})
	s.resolved(id, task.ReasonResourceUnavailable)
	if log := s.logOf(id); !strings.Contains(log, "the store of artifacts has not answered for") {
		t.Error(log)
	}
}

// A server that does not know finishRun gets the log and the report by the calls that it knows.
func TestAServerWithoutFinishRun(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	var asked atomic.Int64
	c := s.behind(client.Config{}, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/finish") {
			return false
		}
		asked.Add(1)
		http.NotFound(w, r)
		return true
	})
	a := s.work(func(cfg *workers.Config) { cfg.Client, cfg.Capacity = c, 1 })
	for _, script := range []string{"echo short", "echo long; sleep 0.3", "echo again"} {
		id := s.create(sh(script), nil)
		s.resolved(id, task.ReasonCompleted)
		if log, _, err := s.artifact(id, "public/logs/live.log"); err != nil || !strings.Contains(log, strings.Fields(script)[1][:4]) || !strings.Contains(log, "Result: completed") {
			t.Errorf("%s: %v\n%s", script, err, log)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	a.stop()
	if err := <-a.done; err != nil {
		t.Error(err)
	}
}

func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.MinFree = 1 << 60 }) // more than any disk has
	id := s.create(sh("sleep 300"), nil)
	s.resolved(id, task.ReasonFailed)
	if log := s.logOf(id); !strings.Contains(log, "the disk is full") || !strings.Contains(log, "the most of all") {
		t.Error(log)
	}
}
