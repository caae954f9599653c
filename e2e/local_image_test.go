package e2e_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// saveImage writes the test's image as an image task leaves it.
func saveImage(t *testing.T, host, file string) {
	t.Helper()
	socket := strings.TrimPrefix(host, "unix://")
	api := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://engine/v1.41/images/"+podmantest.Image+"/get", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := api.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(z, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// create makes a task and returns its id.
func (m *machine) create(queue string, payload map[string]any, scopes ...string) string {
	m.t.Helper()
	now := time.Now()
	id := slug.Nice()
	_, err := m.client.CreateTask(m.t.Context(), id, map[string]any{
		"taskQueueId": queue, "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(time.Hour)),
		"payload": payload, "scopes": append([]string{}, scopes...),
		"metadata": map[string]any{"name": "made by " + m.t.Name(), "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

func TestATaskOfTheServerRunsHereInTheImageThatAnotherTaskBuilt(t *testing.T) {
	m := shared(t)
	file := filepath.Join(home, "image.tar.zst") // where the worker's user reads it
	saveImage(t, podmantest.Start(t), file)
	builder := m.create("local/work", map[string]any{
		"command": [][]string{{"cp", file, "image.tar.zst"}}, "maxRunTime": 60,
		"artifacts": []map[string]any{{"type": "file", "name": "public/image.tar.zst", "path": "image.tar.zst"}},
	})
	m.eventually(time.Minute, "the image is built", func(ctx context.Context) error {
		status, err := m.client.Status(ctx, builder)
		if err == nil && status.State != task.Completed {
			err = io.ErrNoProgress
		}
		return err
	})
	if out, code := m.run("taskgraph", "load-image", "--task-id", builder, "-t", "mine:loaded"); code != 0 || !strings.HasSuffix(out, "\nmine:loaded\n") {
		t.Fatalf("exit status %d:\n%s", code, out)
	}
	const secret = "secrets:get:mine/token"
	id := m.create("local/nobody", map[string]any{
		"image": map[string]any{"type": "task-image", "taskId": builder, "path": "public/image.tar.zst"}, "maxRunTime": 60,
		"command":  []string{"sh", "-c", `echo "task $TASK_ID as $(id -u) for $FOR"; wget -qO- "$TASKCLUSTER_PROXY_URL/api/auth/v1/scopes/current"; exit 3`},
		"env":      map[string]string{"FOR": "somebody"},
		"features": map[string]bool{"taskclusterProxy": true},
	}, secret)
	out, code := m.run("taskgraph", "load-task", id, "--proxy")
	for _, want := range []string{"task " + id + " as 0 for somebody\n", `"` + secret + `"`, "image of task " + builder + " is here already", "exit status 3"} {
		if code != 3 || !strings.Contains(out, want) || strings.Contains(out, `"*"`) { // not all that the person may do
			t.Errorf("exit status %d, and the output lacks %q:\n%s", code, want, out)
		}
	}
	if out, code = m.run("taskgraph", "load-task", id); code != 3 || !strings.Contains(out, "gets none") || !strings.Contains(out, "secrets mine/token are not given") {
		t.Errorf("exit status %d:\n%s", code, out)
	}
}
