package workers_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

func TestRuns(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	a := s.work(nil)

	t.Run("a task leaves its log and its artifacts, and nothing on the machine", func(t *testing.T) {
		s := s.in(t)
		big := strings.Repeat("0123456789abcdef", 1<<16)
		id := s.create(with(sh(`echo out; echo err >&2; printf '\033[32mgreen\033[0m\n'
			mkdir -p dist/sub; printf small > dist/a.txt; printf deep > dist/sub/b.json
			i=0; while [ $i -lt 65536 ]; do echo 0123456789abcdef; i=$((i+1)); done | tr -d '\n' > big`), dict{"artifacts": []dict{
			{"type": "directory", "path": "dist", "name": "public/dist"},
			{"type": "file", "path": "big", "name": "public/big"},
			{"type": "file", "path": "never", "name": "public/never", "optional": true},
		}}), nil)
		s.resolved(id, task.ReasonCompleted)
		for name, want := range map[string]string{"public/dist/a.txt": "small", "public/dist/sub/b.json": "deep", "public/big": big} {
			text, got, err := s.artifact(id, name)
			if err != nil || text != want || !got.Verified {
				t.Errorf("%s: %d bytes, %+v, %v", name, len(text), got, err)
			}
		}
		log := s.logOf(id)
		for _, want := range []string{"[taskcluster 20", "Task " + id + ", run 0", "\nout\nerr\n\x1b[32mgreen\x1b[0m\n", "Result: completed."} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %q:\n%s", want, log)
			}
		}
		live, got, err := s.artifact(id, "public/logs/live.log")
		if err != nil || live != log || !got.Verified {
			t.Errorf("the live log is not a link to the whole log: %+v, %v", got, err)
		}
		await(t, "the task's directory to be gone", func() bool {
			left, err := os.ReadDir(filepath.Join(a.dir, "tasks"))
			return err == nil && len(left) == 0
		})
	})

	for _, c := range []struct {
		name    string
		payload dict
		want    task.ReasonResolved
		log     string
	}{
		{"a failing command fails the task and ends it", dict{"command": [][]string{{"sh", "-c", "exit 3"}, {"echo", "second"}}, "maxRunTime": 60},
			task.ReasonFailed, "exit status 3"},
		{"a command that is not there fails the task", dict{"command": [][]string{{"no-such-program"}}, "maxRunTime": 60},
			task.ReasonFailed, "cannot start no-such-program"},
		{"a payload that violates the schema is malformed", dict{"command": [][]string{{"true"}}, "maxRunTime": 0, "colour": "blue"},
			task.ReasonMalformedPayload, "/maxRunTime: minimum: got 0, want 1"},
		{"an image without containers is malformed", dict{"image": "debian", "command": []string{"true"}, "maxRunTime": 1},
			task.ReasonMalformedPayload, "--accept-images"},
		{"maxRunTime ends the whole group of processes", dict{"command": [][]string{{"sh", "-c", "sleep 300 & sleep 300"}}, "maxRunTime": 1},
			task.ReasonFailed, "longer than maxRunTime, 1 seconds"},
		{"a missing artifact fails the task", with(sh("true"), dict{"artifacts": []dict{{"type": "file", "path": "gone", "name": "public/gone"}}}),
			task.ReasonFailed, "Artifact public/gone: gone was not there"},
		{"a link out of the directory is no artifact", with(sh("ln -s /etc/passwd leak"), dict{"artifacts": []dict{{"type": "file", "path": "leak", "name": "public/leak"}}}),
			task.ReasonFailed, "Artifact public/leak: leak cannot be read"},
		{"a fifo does not hold the worker up", with(sh("mkfifo f"), dict{"artifacts": []dict{{"type": "file", "path": "f", "name": "public/f"}}}),
			task.ReasonFailed, "is no regular file"},
		{"a cache needs its scope", with(sh("true"), dict{"mounts": []dict{{"cacheName": "c", "directory": "d"}}}),
			task.ReasonMalformedPayload, "generic-worker:cache:c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			id := s.create(c.payload, nil)
			s.resolved(id, c.want)
			if log := s.logOf(id); !strings.Contains(log, c.log) || strings.Contains(log, "\nsecond\n") {
				t.Errorf("the log lacks %q:\n%s", c.log, log)
			}
		})
	}
	t.Run("a missing artifact says why", func(t *testing.T) {
		s := s.in(t)
		id := s.create(with(sh("true"), dict{"artifacts": []dict{{"type": "file", "path": "gone", "name": "public/gone"}}}), nil)
		s.resolved(id, task.ReasonFailed)
		_, _, err := s.artifact(id, "public/gone")
		if !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "file-missing-on-worker") {
			t.Errorf("%v", err)
		}
	})
	t.Run("an exit status that is to be retried is retried", func(t *testing.T) {
		s := s.in(t)
		id := s.create(with(sh(`test "$RUN_ID" = 1 || exit 4`), dict{"onExitStatus": dict{"retry": []int{4}}}), nil)
		s.resolved(id, task.ReasonCompleted)
		if first := s.status(id).Runs[0]; first.ReasonResolved != task.ReasonIntermittentTask {
			t.Errorf("run 0 was resolved as %s", first.ReasonResolved)
		}
	})
	t.Run("the environment says who the task is, and the payload cannot change that", func(t *testing.T) {
		s := s.in(t)
		id := s.create(with(sh(`echo "$TASK_ID $RUN_ID $TASK_GROUP_ID $TASKCLUSTER_ROOT_URL $MINE $(test "$TASK_WORKDIR" = "$PWD" && test "$HOME" = "$PWD" && echo here)"; env`),
			dict{"env": dict{"MINE": "a b", "TASK_ID": "forged"}}), nil)
		s.resolved(id, task.ReasonCompleted)
		log := s.logOf(id)
		if want := fmt.Sprintf("\n%s 0 %s %s a b here\n", id, id, s.url); !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
		if want := "\nTRACEPARENT=" + traceid.Parent(id, id, 0) + "\n"; !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
		if strings.Contains(log, "forged") || strings.Contains(log, "ACCESS_TOKEN") {
			t.Errorf("the environment has what it should not have:\n%s", log)
		}
	})
}

// in returns the server for a subtest.
func (s *server) in(t *testing.T) *server {
	sub := *s
	sub.t = t
	return &sub
}

func TestLiveLog(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(nil)
	gate := filepath.Join(t.TempDir(), "gate")
	id := s.create(sh("echo before; while [ ! -e "+gate+" ]; do sleep 0.02; done; echo after"), nil)
	s.logHas(id, "\nbefore\n")
	if st := s.status(id); st.State != task.Running {
		t.Fatalf("the log came when the task was %s", st.State)
	}
	// A second reader begins in the middle and follows to the end.
	address, err := s.root.Locate(t.Context(), id, client.LatestRun, "public/logs/live.log")
	if err != nil {
		t.Fatal(err)
	}
	followed := make(chan string, 1)
	go func() {
		var b strings.Builder
		_, err := s.root.Follow(context.WithoutCancel(t.Context()), address, 10, &b)
		followed <- fmt.Sprint(b.String(), err)
	}()
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.resolved(id, task.ReasonCompleted)
	if got, want := <-followed, s.logOf(id)[10:]+"<nil>"; got != want {
		t.Errorf("followed:\n%s\nthe log:\n%s", got, want)
	}
}

func TestTheLogBeginsAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.LogEvery = time.Hour })
	gate := filepath.Join(t.TempDir(), "gate")
	id := s.create(sh("while [ ! -e "+gate+" ]; do sleep 0.02; done; echo after"), nil)
	s.logHas(id, "takes it from queue")
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.resolved(id, task.ReasonCompleted)
	if log := s.logOf(id); !strings.Contains(log, "\nafter\n") {
		t.Errorf("the end did not wait for the next piece:\n%s", log)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.Capacity = 3 })
	dir := t.TempDir()
	var ids []string
	for i := range 3 { // each waits for the two others
		ids = append(ids, s.create(sh(fmt.Sprintf("touch %[1]s/%[2]d; while [ $(ls %[1]s | wc -l) -lt 3 ]; do sleep 0.02; done", dir, i)), nil))
	}
	for _, id := range ids {
		s.resolved(id, task.ReasonCompleted)
	}
}

func TestCancelStopsTheCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t, 4*time.Second)
	a := s.work(nil)
	pidFile := filepath.Join(t.TempDir(), "pid")
	id := s.create(sh("echo $$ > "+pidFile+"; sleep 300"), nil)
	await(t, "the command to begin", func() bool { data, err := os.ReadFile(pidFile); return err == nil && len(data) > 1 })
	if _, err := s.root.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the command to be stopped", func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(string(pid)))
		return errors.Is(err, os.ErrNotExist)
	})
	s.resolved(id, task.ReasonCanceled)
	await(t, "the worker to say so", func() bool { return strings.Contains(a.log.String(), "the run is dropped") })
	next := s.create(sh("true"), nil) // the slot is free again
	s.resolved(next, task.ReasonCompleted)
}

func TestClaimsAreRenewed(t *testing.T) {
	t.Parallel()
	s := startServer(t, 3*time.Second)
	s.work(nil)
	id := s.create(sh("sleep 7"), nil)
	s.resolved(id, task.ReasonCompleted)
	if st := s.status(id); len(st.Runs) != 1 {
		t.Errorf("the claim was lost: %d runs", len(st.Runs))
	}
}

// begins waits until the agent has taken a task: the queue says so a moment earlier.
func (a *agent) begins(id string) {
	a.t.Helper()
	await(a.t, "the run of "+id, func() bool { return strings.Contains(a.log.String(), `msg="run begins" worker=g/w task=`+id) })
}

func TestPoliteEnd(t *testing.T) {
	t.Run("runs may end within the grace time", func(t *testing.T) {
		s := startServer(t, 20*time.Minute)
		a := s.work(nil)
		gate := filepath.Join(t.TempDir(), "gate")
		id := s.create(sh("echo begun; while [ ! -e "+gate+" ]; do sleep 0.02; done"), nil)
		a.begins(id)
		a.stop()
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := <-a.done; err != nil {
			t.Error(err)
		}
		s.resolved(id, task.ReasonCompleted)
	})
	t.Run("a run that does not is given back and taken by another worker", func(t *testing.T) {
		s := startServer(t, 20*time.Minute)
		a := s.work(func(c *workers.Config) { c.Grace = 100 * time.Millisecond })
		id := s.create(sh(`test "$RUN_ID" = 1 || sleep 300`), nil)
		a.begins(id)
		a.stop()
		if err := <-a.done; err != nil {
			t.Error(err)
		}
		if st := s.status(id); st.State != task.Pending || st.Runs[0].ReasonResolved != task.ReasonWorkerShutdown {
			t.Fatalf("%+v", st.Runs)
		}
		s.work(func(c *workers.Config) { c.WorkerID = "second" })
		s.resolved(id, task.ReasonCompleted)
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	drain := make(chan struct{})
	a := s.work(func(c *workers.Config) { c.Drain = drain })
	gate := filepath.Join(t.TempDir(), "gate")
	id := s.create(sh("while [ ! -e "+gate+" ]; do sleep 0.02; done"), nil)
	a.begins(id)
	close(drain)
	await(t, "the worker to say so", func() bool { return strings.Contains(a.log.String(), "draining") })
	later := s.create(sh("true"), nil)
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-a.done; err != nil {
		t.Error(err)
	}
	s.resolved(id, task.ReasonCompleted)
	if st := s.status(later); st.State != task.Pending {
		t.Errorf("a draining worker took a task: it is %s", st.State)
	}
}

func TestAMachineThatIsTakenAway(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	hurry := make(chan struct{})
	a := s.work(func(c *workers.Config) { c.Hurry, c.Grace = hurry, time.Hour })
	id := s.create(sh(`test "$RUN_ID" = 1 || sleep 300`), nil)
	a.begins(id)
	began := time.Now()
	close(hurry)
	if err := <-a.done; err != nil {
		t.Error(err)
	}
	if st := s.status(id); st.State != task.Pending || st.Runs[0].ReasonResolved != task.ReasonWorkerShutdown {
		t.Fatalf("%+v", st.Runs)
	}
	t.Logf("given back after %v", time.Since(began).Round(time.Millisecond))
	s.work(func(c *workers.Config) { c.WorkerID = "second" })
	s.resolved(id, task.ReasonCompleted)
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(nil)
	dir := t.TempDir()
	id := s.create(with(sh("echo before; while [ ! -e "+dir+"/gate ]; do sleep 0.02; done; echo meanwhile; echo x > x; touch "+dir+"/done; sleep 1"),
		dict{"artifacts": []dict{{"type": "file", "path": "x", "name": "public/x"}}}), nil)
	s.logHas(id, "before")
	s.stop()
	if err := os.WriteFile(filepath.Join(dir, "gate"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	await(t, "the command to go on without the server", func() bool { _, err := os.Stat(filepath.Join(dir, "done")); return err == nil })
	s.start()
	s.resolved(id, task.ReasonCompleted)
	log := s.logOf(id)
	if strings.Count(log, "before\n") < 1 || strings.Count(log, "\nmeanwhile\n") != 1 || !strings.Contains(log, "Result: completed") {
		t.Errorf("the log is not whole:\n%s", log)
	}
	if text, _, err := s.artifact(id, "public/x"); err != nil || text != "x\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// The server is away for half of a claim's time, as it may be for ten minutes of the twenty that claims have: claims
// fall due, output goes on, a task ends, and nothing is lost.
func TestServerAwayForLong(t *testing.T) {
	t.Parallel()
	const claim = 8 * time.Second
	s := startServer(t, claim)
	s.work(nil)
	dir := t.TempDir()
	line := func(name, until string) string {
		return s.create(sh(fmt.Sprintf("i=0; while [ ! -e %s/%s ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo $i >%s/%s.count", dir, until, dir, name)), nil)
	}
	meanwhile, after := line("meanwhile", "away"), line("after", "back")
	s.logHas(meanwhile, "line 3\n")
	s.logHas(after, "line 3\n")
	s.stop()
	if err := os.WriteFile(filepath.Join(dir, "away"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	<-time.After(claim / 2)
	s.start()
	if err := os.WriteFile(filepath.Join(dir, "back"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for id, name := range map[string]string{meanwhile: "meanwhile", after: "after"} {
		s.resolved(id, task.ReasonCompleted)
		if st := s.status(id); len(st.Runs) != 1 {
			t.Errorf("%s: %d runs", name, len(st.Runs))
		}
		count, err := os.ReadFile(filepath.Join(dir, name+".count"))
		if err != nil {
			t.Fatal(err)
		}
		log := s.logOf(id)
		if want := "line " + strings.TrimSpace(string(count)) + "\n"; !strings.Contains(log, want) {
			t.Errorf("%s: the log lacks %q", name, want)
		}
		var want strings.Builder
		n, err := strconv.Atoi(strings.TrimSpace(string(count)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			fmt.Fprintf(&want, "line %d\n", i+1)
		}
		if !strings.Contains(log, want.String()) {
			t.Errorf("%s: lines are missing, double or in disorder", name)
		}
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(nil)
	maker := s.create(with(sh("mkdir d; echo packed > d/f; tar czf a.tgz d; echo plain > p"), dict{"artifacts": []dict{
		{"type": "file", "path": "a.tgz", "name": "public/a.tgz"}, {"type": "file", "path": "p", "name": "public/p"}}}), nil)
	s.resolved(maker, task.ReasonCompleted)
	scopes := dict{"dependencies": []string{maker}, "scopes": []string{"generic-worker:cache:shared"}}
	mounts := []dict{
		{"file": "in/raw.txt", "content": dict{"raw": "raw text"}},
		{"file": "in/base", "content": dict{"base64": base64.StdEncoding.EncodeToString([]byte("decoded"))}},
		{"file": "in/plain", "content": dict{"taskId": maker, "artifact": "public/p"}},
		{"directory": "un", "format": "tar.gz", "content": dict{"taskId": maker, "artifact": "public/a.tgz"}},
		{"directory": "kept/cache", "cacheName": "shared"},
	}
	script := `cat in/raw.txt in/base in/plain un/d/f; test ! -e kept/cache/mark || cat kept/cache/mark; echo "mark of $TASK_ID" > kept/cache/mark`
	first := s.create(with(sh(script), dict{"mounts": mounts}), scopes)
	s.resolved(first, task.ReasonCompleted)
	if log := s.logOf(first); !strings.Contains(log, "raw textdecodedplain\npacked\n") || strings.Contains(log, "\nmark of") {
		t.Errorf("%s", log)
	}
	second := s.create(with(sh(script), dict{"mounts": mounts}), scopes)
	s.resolved(second, task.ReasonCompleted)
	if log := s.logOf(second); !strings.Contains(log, "\nmark of "+first+"\n") {
		t.Errorf("the cache was not kept:\n%s", log)
	}
	foreign := s.create(with(sh("true"), dict{"mounts": mounts[2:3]}), nil)
	s.resolved(foreign, task.ReasonMalformedPayload)
	outside := s.create(with(sh("true"), dict{"mounts": []dict{{"file": "../x", "content": dict{"raw": ""}}}}), nil)
	s.resolved(outside, task.ReasonMalformedPayload)
}

// TestProxyTask is no test of its own: it is the program that a task of TestProxy runs.
func TestProxyTask(t *testing.T) {
	if os.Getenv("TASKCLUSTER_PROXY_URL") == "" {
		return
	}
	c, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithPatience(-1)
	ctx := t.Context()
	id := os.Getenv("TASK_ID")
	up := client.Upload{TaskID: id, Name: "public/by-proxy", ContentType: "text/plain", Expires: task.At(time.Now().Add(time.Hour))}
	if _, err := c.UploadArtifact(ctx, up, strings.NewReader("made by the task"), 16); err != nil {
		t.Errorf("upload: %v", err)
	}
	up.Name = "private/by-proxy"
	if _, err := c.UploadArtifact(ctx, up, strings.NewReader("for few eyes"), 12); err != nil {
		t.Errorf("upload: %v", err)
	}
	private := os.Getenv("TASKCLUSTER_ROOT_URL") + "/api/queue/v1/task/" + id + "/runs/0/artifacts/private/by-proxy"
	if text, err := signedGet(private); err != nil || text != "for few eyes" {
		t.Errorf("by a signed URL: %q, %v", text, err)
	}
	if _, err := signedGet("https://example.com/x"); err == nil {
		t.Error("the proxy signs for other servers")
	}
	if _, err := c.ReportCompleted(ctx, id, 0); !errors.Is(err, fault.Forbidden) {
		t.Errorf("a task could resolve itself: %v", err)
	}
	if _, err := c.FindTask(ctx, "nothing.here"); !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Forbidden) {
		t.Errorf("index: %v", err)
	}
	scopes, err := c.CurrentScopes(ctx)
	if err != nil {
		t.Error(err)
	}
	if !cmp.Equal(filter(scopes, "my:"), []string{"my:scope:*"}) || len(filter(scopes, "queue:resolve-task")) > 0 {
		t.Errorf("scopes: %q", scopes)
	}
}

// signedGet lets the proxy sign a URL and reads what stands there.
func signedGet(address string) (string, error) {
	// Post follows the answer, which redirects to the signed URL.
	resp, err := http.Post(os.Getenv("TASKCLUSTER_PROXY_URL")+"/bewit", "text/plain", strings.NewReader(address))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

func filter(scopes []string, prefix string) (out []string) {
	for _, s := range scopes {
		if strings.HasPrefix(s, prefix) {
			out = append(out, s)
		}
	}
	return out
}

func TestProxy(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	id := s.create(dict{
		"command": [][]string{{self, "-test.run=^TestProxyTask$", "-test.v"}}, "maxRunTime": 60, "features": dict{"taskclusterProxy": true},
	}, dict{"scopes": []string{"my:scope:*", "queue:get-artifact:private/*"}})
	s.resolved(id, task.ReasonCompleted)
	if text, _, err := s.artifact(id, "public/by-proxy"); err != nil || text != "made by the task" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestCannotBegin(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	cfg := workers.Config{Client: s.root, TaskQueueID: testQueue, WorkerGroup: "g", WorkerID: "w", Dir: t.TempDir()}
	t.Run("a directory serves one worker at a time", func(t *testing.T) {
		s := s.in(t)
		a := s.work(nil)
		await(t, "the first worker to be ready", func() bool { return strings.Contains(a.log.String(), "worker is ready") })
		second := cfg
		second.Dir = a.dir
		if err := workers.Run(t.Context(), second); !errors.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a worker that the server refuses says so", func(t *testing.T) {
		anonymous, err := client.New(client.Config{RootURL: s.url})
		if err != nil {
			t.Fatal(err)
		}
		refused := cfg
		refused.Client = anonymous
		if err := workers.Run(t.Context(), refused); !errors.Is(err, fault.Forbidden) {
			t.Errorf("%v", err)
		}
	})
	for name, change := range map[string]func(*workers.Config){
		"no client": func(c *workers.Config) { c.Client = nil }, "bad queue": func(c *workers.Config) { c.TaskQueueID = "one" },
		"bad id": func(c *workers.Config) { c.WorkerID = "a/b" }, "no directory": func(c *workers.Config) { c.Dir = "" },
		"no value":     func(c *workers.Config) { c.Env = []string{"CI=1", "DEBUG"} },
		"no such user": func(c *workers.Config) { c.RunAs = "no-such-user-here" },
	} {
		t.Run(name, func(t *testing.T) {
			bad := cfg
			change(&bad)
			if err := workers.Run(t.Context(), bad); !errors.Is(err, fault.Invalid) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRunAs(t *testing.T) {
	t.Parallel()
	name := "nobody"
	if os.Geteuid() != 0 { // only root can be somebody else; everybody can be himself
		name = fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	}
	s := startServer(t, 20*time.Minute)
	dir, err := os.MkdirTemp("/tmp", "worker-") //nolint:usetesting // t.TempDir lies where others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.work(func(c *workers.Config) { c.RunAs, c.Dir = name, dir })
	secret := filepath.Join(dir, "tasks")
	id := s.create(with(sh(`id -u; echo mine > f; echo tmp > "$TMPDIR/x"; cat `+secret+`/*/claim.json && echo leaked; true`),
		dict{"artifacts": []dict{{"type": "file", "path": "f", "name": "public/f"}}}), nil)
	s.resolved(id, task.ReasonCompleted)
	log := s.logOf(id)
	if os.Geteuid() == 0 && (strings.Contains(log, "\n0\n") || strings.Contains(log, "\nleaked\n")) {
		t.Errorf("the task had the worker's rights:\n%s", log)
	}
	if text, _, err := s.artifact(id, "public/f"); err != nil || text != "mine\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestKilledWorkerProcess is no test of its own: it is the worker that TestKilled kills.
func TestKilledWorkerProcess(t *testing.T) {
	dir := os.Getenv("WORKERS_TEST_DIR")
	if dir == "" {
		return
	}
	c, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = workers.Run(t.Context(), workers.Config{Client: c, TaskQueueID: testQueue, WorkerGroup: "g", WorkerID: "killed", Dir: dir})
	t.Log(err)
}

func TestKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	creds := s.root.Credentials()
	victim, err := os.StartProcess(self, []string{self, "-test.run=^TestKilledWorkerProcess$"}, &os.ProcAttr{
		// Ours first: of a variable that stands twice, as when this test is itself a task, the first counts.
		Env: append([]string{"WORKERS_TEST_DIR=" + dir, "TASKCLUSTER_ROOT_URL=" + s.url, "TASKCLUSTER_CERTIFICATE=",
			"TASKCLUSTER_CLIENT_ID=" + creds.ClientID, "TASKCLUSTER_ACCESS_TOKEN=" + creds.AccessToken}, os.Environ()...),
		Files: []*os.File{nil, os.Stderr, os.Stderr},
	})
	if err != nil {
		t.Fatal(err)
	}
	pids := filepath.Join(t.TempDir(), "pids")
	// The task leaves a process of its own session behind: nothing but the next worker can find it.
	id := s.create(sh(`test "$RUN_ID" = 1 && exit 0; setsid sh -c 'echo $$ >> `+pids+`; exec sleep 300' & echo $$ >> `+pids+`; sleep 300`), nil)
	await(t, "both processes of the task", func() bool {
		data, err := os.ReadFile(pids)
		return err == nil && strings.Count(string(data), "\n") == 2
	})
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := victim.Wait(); err != nil {
		t.Fatal(err)
	}
	s.work(func(c *workers.Config) { c.Dir = dir })
	s.resolved(id, task.ReasonCompleted) // long before the claim of 20 minutes runs out
	if first := s.status(id).Runs[0]; first.ReasonResolved != task.ReasonWorkerShutdown {
		t.Errorf("run 0 was resolved as %s", first.ReasonResolved)
	}
	data, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(data)) {
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %s of the killed worker's task still runs", pid)
		}
	}
}
