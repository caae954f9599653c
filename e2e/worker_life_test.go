package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// lives is a server and workers as their own processes, all of them the built program.
type lives struct {
	*testing.T
	*client.Client
	dir    string
	env    []string
	listen string
	server *exec.Cmd
}

func newLives(t *testing.T) *lives {
	t.Helper()
	l := &lives{T: t, dir: filepath.Join(home, "lives-"+slug.Nice()), listen: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(l.dir, "data")
	l.env = append(os.Environ(), "DATABASE_URL="+pgtest.URL(t), "TREELINE_DATA="+data, "TREELINE_ROOT_URL=http://"+l.listen)
	l.serve()
	text, err := os.ReadFile(filepath.Join(data, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var secrets struct {
		Root string `json:"rootAccessToken"`
	}
	if err := json.Unmarshal(text, &secrets); err != nil {
		t.Fatal(err)
	}
	creds := hawk.Credentials{ClientID: "static/taskcluster/root", AccessToken: secrets.Root}
	if l.Client, err = client.New(client.Config{RootURL: "http://" + l.listen, Credentials: creds}); err != nil {
		t.Fatal(err)
	}
	l.env = append(l.env, "TASKCLUSTER_ROOT_URL=http://"+l.listen, "TASKCLUSTER_CLIENT_ID="+creds.ClientID, "TASKCLUSTER_ACCESS_TOKEN="+creds.AccessToken, "TASKCLUSTER_CERTIFICATE=")
	return l
}

// start starts a program, which is killed when the test ends, if it still runs.
func (l *lives) start(program string, args ...string) *exec.Cmd {
	l.Helper()
	cmd := exec.Command(program, args...)
	out, err := os.CreateTemp(l.dir, "out-*")
	if err != nil {
		l.Fatal(err)
	}
	cmd.Env, cmd.Stdout, cmd.Stderr = l.env, out, out
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // and been waited for
		if text, err := os.ReadFile(out.Name()); l.Failed() {
			l.Logf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, tail(string(text), 4000))
		}
		_ = out.Close() // others wrote it
	})
	return cmd
}

func (l *lives) serve() {
	l.Helper()
	l.server = l.start(program, "serve", "--listen", l.listen)
	await(l.T, time.Minute, "the server", func() bool {
		answer, err := http.Get("http://" + l.listen + "/api/queue/v1/ping")
		if err != nil {
			return false
		}
		_ = answer.Body.Close() // nothing is read of it
		return answer.StatusCode == http.StatusOK
	})
}

// worker starts a worker of the program.
func (l *lives) worker(program, queue string, args ...string) *exec.Cmd {
	l.Helper()
	dir := filepath.Join(l.dir, strings.ReplaceAll(queue, "/", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.Fatal(err)
	}
	args = append([]string{"worker", "run", "--task-queue", queue, "--worker-group", "e2e", "--worker-id", "lives", "--dir", dir, "--capacity", "2"}, args...)
	return l.start(program, args...)
}

func (l *lives) task(queue, script string, more map[string]any) string {
	l.Helper()
	payload := map[string]any{"command": [][]string{{"sh", "-c", script}}, "maxRunTime": 120}
	for k, v := range more {
		payload[k] = v
	}
	id, now := slug.Nice(), time.Now()
	if _, err := l.CreateTask(l.Context(), id, map[string]any{
		"taskQueueId": queue, "schedulerId": "e2e", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload": payload, "metadata": map[string]any{"name": "n", "description": "d", "owner": "e2e@example.com", "source": "https://example.com"},
	}); err != nil {
		l.Fatal(err)
	}
	return id
}

// done waits for a task's end: completed, by its first run.
func (l *lives) done(id string) (log string) {
	l.Helper()
	var st task.Status
	await(l.T, time.Minute, "task "+id, func() bool {
		var err error
		if st, err = l.Status(l.Context(), id); err != nil {
			l.Fatal(err)
		}
		return st.State.Resolved()
	})
	var text bytes.Buffer
	if _, err := l.DownloadArtifact(l.Context(), client.Download{TaskID: id, RunID: client.LatestRun, Name: "public/logs/live.log"}, &text); err != nil {
		l.Error(err)
	}
	if st.State != task.Completed || len(st.Runs) != 1 {
		l.Errorf("task %s is %s after %d runs:\n%s", id, st.State, len(st.Runs), tail(text.String(), 2000))
	}
	return text.String()
}

func (l *lives) runs(ids ...string) {
	l.Helper()
	for _, id := range ids {
		await(l.T, time.Minute, "task "+id+" to run", func() bool {
			st, err := l.Status(l.Context(), id)
			return err == nil && st.State == task.Running
		})
	}
}

// TestAgentsOfBothEnginesOutliveTheirServer kills the server with work under way. Tasks go on, and their logs are whole.
func TestAgentsOfBothEnginesOutliveTheirServer(t *testing.T) {
	host := podmantest.Start(t)
	l := newLives(t)
	l.env = append(l.env, "DOCKER_HOST="+host)
	agents := map[string]*exec.Cmd{
		"e2e/processes":  l.worker(program, "e2e/processes"),
		"e2e/containers": l.worker(program, "e2e/containers", "--engine", "container", "--image", podmantest.Image),
	}
	const lines = 40
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; sleep 0.1; done", lines)
	var ids []string
	for queue := range agents {
		ids = append(ids, l.task(queue, script, nil))
	}
	l.runs(ids...)
	if err := l.server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = l.server.Wait()           // it was killed
	<-time.After(2 * time.Second) // the time without a server is what is tested
	l.serve()
	for queue := range agents {
		ids = append(ids, l.task(queue, "echo line 1", nil)) // the agents take more
	}
	for i, id := range ids {
		var want strings.Builder
		for n := range []int{lines, 1}[i/2] {
			fmt.Fprintf(&want, "line %d\n", n+1)
		}
		if log := l.done(id); !strings.Contains(log, "\n"+want.String()) || strings.Count(log, "\nline ") != strings.Count(want.String(), "\n") || !strings.Contains(log, "Result: completed") {
			t.Errorf("the log of %s is not whole:\n%s", id, log)
		}
	}
	for queue, agent := range agents {
		if err := agent.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the agent of %s: %v", queue, err)
		}
	}
}

// TestAWorkerIsUpgradedInPlace puts another program where a worker's stands, and asks it by SIGHUP to become that. Its tasks
// go on to their end first.
func TestAWorkerIsUpgradedInPlace(t *testing.T) {
	l := newLives(t)
	old, mark, gate := filepath.Join(l.dir, "treeline"), filepath.Join(l.dir, "upgraded"), filepath.Join(l.dir, "gate")
	if err := os.Link(program, old); err != nil {
		t.Fatal(err)
	}
	w := l.worker(old, "e2e/upgraded")
	wait := "while [ ! -e " + gate + " ]; do sleep 0.05; done; echo to the end"
	ids := []string{l.task("e2e/upgraded", wait, nil), l.task("e2e/upgraded", wait, nil)}
	l.runs(ids...)
	fresh := old + ".new"
	text := fmt.Sprintf("#!/bin/sh\necho $$ >%s\nexec %s \"$@\"\n", mark, program)
	if err := os.WriteFile(fresh, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, old); err != nil {
		t.Fatal(err)
	}
	if err := w.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	later := l.task("e2e/upgraded", "echo by the new one", nil)
	if _, err := os.Stat(mark); err == nil {
		t.Error("it became the new program while tasks ran")
	}
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if log := l.done(id); !strings.Contains(log, "\nto the end\n") {
			t.Error(log)
		}
	}
	l.done(later)
	if pid, err := os.ReadFile(mark); err != nil || strings.TrimSpace(string(pid)) != fmt.Sprint(w.Process.Pid) {
		t.Errorf("the new program is process %s, the worker was %d: %v", pid, w.Process.Pid, err)
	}
}

// TestWorkersForOneTask shows --single-use in a pool: each task has a worker of its own, which keeps nothing and tells
// worker-manager that it ends.
func TestWorkersForOneTask(t *testing.T) {
	dir := filepath.Join(home, "single-"+slug.Nice())
	provider := strings.Replace(onThisMachine(dir), "args: [", "args: [--single-use, ", 1)
	provider = strings.Replace(provider, ", ]", "]", 1)
	p := newPooled(t, dir, provider, `{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": [{"workerConfig": {"idleTimeoutSecs": 60}}]}`)
	ids := []string{p.task("echo secret >left; pwd; echo $TASKCLUSTER_WORKER_ID"), p.task("test ! -e left")}
	workers := map[string]bool{}
	for _, id := range ids {
		p.until("the task", func() bool { return p.status(id).State.Resolved() })
		st := p.status(id)
		if st.State != task.Completed || len(st.Runs) != 1 {
			t.Errorf("%+v", st)
		}
		workers[st.LastRun().WorkerID] = true
	}
	if len(workers) != 2 {
		t.Errorf("two tasks ran on the workers %v", workers)
	}
	p.until("worker-manager to know", func() bool {
		s := p.stats()
		return s.StoppedCount >= 2 && s.RequestedCount+s.RunningCount+s.StoppingCount == 0 && len(p.pids()) == 0
	})
	left, err := filepath.Glob(filepath.Join(dir, "*", "work", "tasks", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("of the tasks there is left: %v %v", left, err)
	}
}

// TestAMachineThatItsCloudTakesAway has the metadata service say that an instance is interrupted: its task is given back
// within seconds, and done by another worker.
func TestAMachineThatItsCloudTakesAway(t *testing.T) {
	var taken atomic.Bool
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			fmt.Fprint(w, "token")
		case taken.Load() && r.URL.Path == "/latest/meta-data/spot/instance-action" && r.Header.Get("X-Aws-Ec2-Metadata-Token") == "token":
			fmt.Fprint(w, `{"action": "terminate", "time": "2030-01-01T00:00:00Z"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer metadata.Close()
	l := newLives(t)
	first := l.worker(program, "e2e/spot", "--grace", "1h", "--notices", "aws", "--metadata-url", metadata.URL)
	id := l.task("e2e/spot", `echo run $RUN_ID; test "$RUN_ID" = 1 || sleep 300`, nil)
	l.runs(id)
	taken.Store(true)
	began := time.Now()
	await(t, time.Minute, "the run to be given back", func() bool {
		st, err := l.Status(t.Context(), id)
		return err == nil && st.Runs[0].ReasonResolved == task.ReasonWorkerShutdown
	})
	took := time.Since(began)
	t.Logf("given back %s after the notice", took.Round(10*time.Millisecond))
	if took > 10*time.Second { // AWS is asked every five
		t.Errorf("it took %s", took)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the worker: %v", err)
	}
	l.worker(program, "e2e/spot")
	await(t, time.Minute, "another worker to do it", func() bool {
		st, err := l.Status(t.Context(), id)
		return err == nil && st.State == task.Completed && len(st.Runs) == 2
	})
}
