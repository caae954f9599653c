package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
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

// A person opens two shells in a running task with a real browser, sees what the task sees, and goes; then the task,
// which is lent to people, ends.
func TestShellsInABrowser(t *testing.T) {
	log := &audit{}
	server := apptest.Start(t, func(c *app.Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	root, err := client.New(client.Config{RootURL: server.URL, Credentials: server.Root})
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
	site := &uitest.Site{URL: server.URL}
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
	second := site.Tab(t)
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
