package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/shell"
	"github.com/treeline-ci/treeline/ui/uitest"
	"github.com/treeline-ci/treeline/workers"
)

// audit is the server's log.
type audit struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (a *audit) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.Write(p)
}

func (a *audit) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.String()
}

// twoServers are servers on one database, and an address at which a worker reaches both: what it offers goes to the first,
// and its ends of shells to the second.
func twoServers(t *testing.T, log io.Writer) (first, second apptest.Server, front string) {
	t.Helper()
	var shared app.Config
	first = apptest.Start(t, func(c *app.Config) {
		c.Log, c.InternalURL = slog.New(slog.NewTextHandler(log, nil)), c.RootURL
		shared = *c
	})
	second = apptest.Start(t, func(c *app.Config) {
		c.Log, c.InternalURL, c.DatabaseURL, c.Secrets, c.DataDir = shared.Log, c.RootURL, shared.DatabaseURL, shared.Secrets, shared.DataDir
	})
	var ways []http.Handler
	for _, s := range []apptest.Server{first, second} {
		to, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		ways = append(ways, httputil.NewSingleHostReverseProxy(to)) // the name that the worker has signed for stays
	}
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		way := ways[0]
		if strings.HasPrefix(r.URL.Path, "/shell/worker/") && strings.Count(r.URL.Path, "/") == 5 {
			way = ways[1]
		}
		way.ServeHTTP(w, r)
	}))
	t.Cleanup(balancer.CloseClientConnections) // before it is closed, which waits
	t.Cleanup(balancer.Close)
	return first, second, balancer.URL
}

// A person opens two shells in a running task with a real browser, sees what the task sees, and goes; then the task,
// which is lent to people, ends. There are two servers: the worker is at one, the first shell at the other.
func TestShellsInABrowser(t *testing.T) {
	log := &audit{}
	server, far, front := twoServers(t, log)
	root, err := client.New(client.Config{RootURL: front, Credentials: server.Root})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- workers.Run(ctx, workers.Config{Client: root, TaskQueueID: "test/shell", WorkerGroup: "g", WorkerID: "w", Dir: dir, Grace: time.Second, Log: slog.New(slog.NewTextHandler(log, nil))})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	id := slug.Nice()
	now := time.Now()
	if _, err := root.CreateTask(t.Context(), id, map[string]any{
		"taskQueueId": "test/shell", "schedulerId": "test", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload": map[string]any{"command": [][]string{{"sh", "-c", "echo of-the-task >file; echo ready"}}, "maxRunTime": 600,
			"features": map[string]bool{"interactive": true}, "env": map[string]string{"TASKCLUSTER_INTERACTIVE": "true", "HOME": dir}},
		"metadata": map[string]any{"name": "lent", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	}); err != nil {
		t.Fatal(err)
	}
	await(t, time.Minute, "the shell's artifact", func() bool {
		address, err := root.Locate(t.Context(), id, client.LatestRun, "private/generic-worker/shell.html")
		return err == nil && strings.HasSuffix(address, "/shell/"+id+"/0")
	})
	site, other := &uitest.Site{URL: far.URL}, &uitest.Site{URL: server.URL}
	shown := `document.getElementById("terminal").innerText.includes`
	first := site.Tab(t)
	refused, err := http.Get(server.URL + "/shell/" + id + "/0") // a visitor may not
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(refused.Body)
	if err = errors.Join(err, refused.Body.Close()); err != nil || refused.StatusCode != http.StatusForbidden || !strings.Contains(string(said), shell.Scope) {
		t.Errorf("a visitor: %d %s %v", refused.StatusCode, said, err)
	}
	first.SignIn(t, server.Root.ClientID, server.Root.AccessToken)
	first.Go(t, "/shell/"+id+"/0")
	first.Wait(t, `document.getElementById("state").textContent === "connected"`)
	first.Keys(t, "cat file; stty size; pwd\r")
	first.Wait(t, shown+`("of-the-task")`)
	first.Wait(t, `/\b\d\d \d\d+\b/.test(document.getElementById("terminal").innerText)`) // a size that no terminal has by itself
	second := other.Tab(t)
	second.SignIn(t, server.Root.ClientID, server.Root.AccessToken)
	second.Go(t, "/shell/"+id+"/0")
	second.Wait(t, `document.getElementById("state").textContent === "connected"`)
	second.Keys(t, "echo from-the-second >file; exit\r")
	second.Wait(t, `document.getElementById("state").textContent === "ended"`)
	first.Keys(t, "cat file\r")
	first.Wait(t, shown+`("from-the-second")`)
	if st, err := root.Status(t.Context(), id); err != nil || st.State != task.Running {
		t.Errorf("%s %v", st.State, err)
	}
	for _, tail := range []string{"socket", "abc/answer"} { // the way between servers is for servers
		answer, err := http.Get(server.URL + "/shell/peer/" + id + "/0/" + tail)
		if err != nil {
			t.Fatal(err)
		}
		if _ = answer.Body.Close(); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s without a pass: %s", tail, answer.Status)
		}
	}
	first.Keys(t, "exit\r")
	first.Wait(t, `document.getElementById("state").textContent === "ended"`)
	await(t, time.Minute, "the task to end", func() bool {
		st, err := root.Status(t.Context(), id)
		return err == nil && st.State == task.Completed
	})
	for _, want := range []string{"shell opened", "shell closed", "clientId=" + server.Root.ClientID, "task=" + id} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tasks")); err != nil || len(left) > 1 {
		t.Errorf("%v %v", left, err)
	}
}
