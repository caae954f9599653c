package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/task"
)

// pooled is a server whose pool has its workers as processes of this machine.
type pooled struct {
	testing.TB
	*client.Client
	dir string // of the workers
}

const pooledQueue = "e2e/pooled"

// onThisMachine is a provider of processes.
func onThisMachine(dir string) string {
	args := "[]"
	if os.Geteuid() == 0 {
		args = "[--run-as, nobody]"
	}
	return fmt.Sprintf("{type: local, dir: %s, program: %s, args: %s}", dir, program, args)
}

func newPooled(t *testing.T, dir, provider, poolConfig string) pooled {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pools.yml")
	text := "providers:\n  here: " + provider + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := setup.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s := apptest.Start(t, func(c *app.Config) { c.Pools, c.PoolsEvery = config, 200*time.Millisecond })
	c, err := client.New(client.Config{RootURL: s.URL, Credentials: s.Root})
	if err != nil {
		t.Fatal(err)
	}
	p := pooled{t, c, dir}
	t.Cleanup(p.killAll) // before the server stops
	p.call("PUT", "/worker-pool/"+client.Path(pooledQueue)[1:], map[string]any{
		"providerId": "here", "description": "e2e", "owner": "e2e@example.com", "emailOnError": false, "config": json.RawMessage(poolConfig),
	}, nil)
	return p
}

func (p pooled) call(method, path string, in, out any) {
	p.Helper()
	if err := p.Call(p.Context(), "worker-manager", method, path, nil, in, out); err != nil {
		p.Fatal(err)
	}
}

// pids are the workers' processes.
func (p pooled) pids() (list []int) {
	if p.dir == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "*", "pid"))
	if err != nil {
		p.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has just ended
		}
		if pid, err := strconv.Atoi(strings.Fields(string(text))[0]); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// killAll ends what is left of this test's workers: the processes of its own directory.
func (p pooled) killAll() {
	for _, pid := range p.pids() {
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			p.Error(err)
		}
	}
}

func (p pooled) task(command string) string {
	p.Helper()
	id := slug.Nice()
	now := time.Now()
	_, err := p.CreateTask(p.Context(), id, map[string]any{
		"taskQueueId": pooledQueue, "schedulerId": "e2e", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload":  map[string]any{"command": []any{[]string{"/bin/sh", "-c", command}}, "maxRunTime": 60},
		"metadata": map[string]any{"name": "n", "description": "d", "owner": "e2e@example.com", "source": "https://example.com"},
	})
	if err != nil {
		p.Fatal(err)
	}
	return id
}

func (p pooled) status(id string) task.Status {
	p.Helper()
	s, err := p.Status(context.WithoutCancel(p.Context()), id)
	if err != nil {
		p.Fatal(err)
	}
	return s
}

// poolStats are of the pool as worker-manager shows it.
type poolStats struct{ RequestedCount, RunningCount, StoppingCount, StoppedCount int }

func (p pooled) stats() (s poolStats) {
	p.Helper()
	p.call("GET", "/worker-pool/"+client.Path(pooledQueue)[1:], nil, &s)
	return s
}

func (p pooled) until(what string, ok func() bool) {
	p.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			logs, _ := filepath.Glob(filepath.Join(p.dir, "*", "*.log")) // a good pattern
			for _, l := range logs {
				text, err := os.ReadFile(l)
				p.Logf("%s: %s %v", l, text, err)
			}
			p.Fatalf("waited in vain for %s: %+v", what, p.stats())
		}
		<-time.After(50 * time.Millisecond)
	}
}

// TestAPoolGrowsWithItsWorkAndShrinksToNothing shows the whole of it: tasks wait, processes are launched,
// register, work, and end when there is no more; one that is killed is missed at once.
func TestAPoolGrowsWithItsWorkAndShrinksToNothing(t *testing.T) {
	dir := filepath.Join(home, "pooled-"+slug.Nice())
	p := newPooled(t, dir, onThisMachine(dir), `{"minCapacity": 0, "maxCapacity": 3, "launchConfigs": [{"workerConfig": {"idleTimeoutSecs": 2}}]}`)
	var ids []string
	for range 5 {
		ids = append(ids, p.task("sleep 1; echo done"))
	}
	p.until("the tasks", func() bool {
		if s := p.stats(); s.RequestedCount+s.RunningCount+s.StoppingCount > 3 {
			t.Fatalf("more workers than allowed: %+v", s)
		}
		for _, id := range ids {
			if p.status(id).State != task.Completed {
				return false
			}
		}
		return true
	})
	p.until("the pool to be empty", func() bool {
		s := p.stats()
		return s.RequestedCount+s.RunningCount+s.StoppingCount == 0 && s.StoppedCount > 0 && len(p.pids()) == 0
	})

	id := p.task("sleep 30")
	p.until("the task to run", func() bool { return p.status(id).State == task.Running })
	killed := time.Now()
	p.killAll()
	p.until("the task to be given back", func() bool { return len(p.status(id).Runs) > 1 })
	if r := p.status(id).Runs[0].ReasonResolved; r != task.ReasonWorkerShutdown {
		t.Errorf("the lost run ended as %s", r)
	}
	t.Logf("a worker that was killed was missed after %s", time.Since(killed).Round(10*time.Millisecond))
	if _, err := p.Cancel(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// TestAPoolOfContainers has the same in containers of a real Podman: the program comes into them from outside,
// and registers with what the provider has put there.
func TestAPoolOfContainers(t *testing.T) {
	host := podmantest.Start(t)
	var binds []string
	for _, dir := range []string{home, "/lib64", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"} {
		if _, err := os.Stat(dir); err == nil { // the program's own libraries; which there are depends on the machine
			binds = append(binds, dir+":"+dir+":ro")
		}
	}
	config, err := json.Marshal(map[string]any{"minCapacity": 0, "maxCapacity": 2, "launchConfigs": []any{map[string]any{
		"image": podmantest.Image, "binds": binds, "network": "host", "command": []string{program, "worker", "run", "--dir", "/tmp/work"},
		"workerConfig": map[string]any{"idleTimeoutSecs": 1},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	p := newPooled(t, "", fmt.Sprintf("{type: container, host: %q, allowBinds: [%s, /lib64, /lib]}", host, home), string(config))
	ids := []string{p.task("echo one"), p.task("echo two")}
	p.until("the tasks", func() bool {
		return p.status(ids[0]).State == task.Completed && p.status(ids[1]).State == task.Completed
	})
	if g := p.status(ids[0]).Runs[0].WorkerGroup; g != "containers" {
		t.Errorf("a worker of group %s did it", g)
	}
	p.until("the pool to be empty", func() bool {
		s := p.stats()
		return s.RequestedCount+s.RunningCount+s.StoppingCount == 0 && s.StoppedCount > 0
	})
}
