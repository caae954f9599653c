package actions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

type dict = map[string]any

// world is a server that watches copies of the sample project; its decisions and actions are done in it, and
// nothing else is.
type world struct {
	t        *testing.T
	root     *client.Client // may do everything
	dir      string
	database string
	server   *app.App
	config   app.Config
}

// newWorld starts a server with a repository of each name.
func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), database: pgtest.URL(t)}
	for _, name := range names {
		if _, err := sample.Create(t.Context(), filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	secrets, err := app.LoadSecrets(filepath.Join(w.dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	w.config = app.Config{DatabaseURL: w.database, DataDir: filepath.Join(w.dir, "objects"), Secrets: secrets, Log: slog.New(slog.DiscardHandler), ClaimTimeout: 3 * time.Second}
	for _, name := range names {
		w.config.Repositories = append(w.config.Repositories, app.LocalRepository{Path: filepath.Join(w.dir, name)})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.config.RootURL = "http://" + listener.Addr().String()
	w.start(listener)
	t.Cleanup(w.stop)
	w.root, err = client.New(client.Config{RootURL: w.config.RootURL, Credentials: hawk.Credentials{ClientID: app.RootClient, AccessToken: secrets.RootToken}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start(l net.Listener) {
	w.t.Helper()
	c := w.config
	c.Listener = l
	var err error
	if w.server, err = app.Start(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	if w.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 20*time.Second)
	defer cancel()
	if err := w.server.Stop(ctx); err != nil {
		w.t.Error(err)
	}
	w.server = nil
}

// eventually waits until what holds.
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 40*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// client makes a client that holds only scopes.
func (w *world) client(id string, scopes ...string) *client.Client {
	w.t.Helper()
	var made struct {
		AccessToken string `json:"accessToken"`
	}
	err := w.root.Call(w.t.Context(), "auth", http.MethodPut, "/clients/"+url.PathEscape(id), nil,
		dict{"expires": task.At(time.Now().Add(time.Hour)), "description": "of a test", "scopes": scopes}, &made)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.root.WithCredentials(hawk.Credentials{ClientID: id, AccessToken: made.AccessToken})
}

// decision waits for the newest decision of a repository to be done and its hooks to be made.
func (w *world) decision(repository string) (group string) {
	w.t.Helper()
	w.eventually("the push of "+repository+" is decided", func() error {
		groups := w.groups()
		for _, g := range groups {
			d, err := w.root.Task(w.t.Context(), g)
			if err != nil || !strings.HasSuffix(d.Metadata.Source, "/"+repository) {
				continue
			}
			s, err := w.root.Status(w.t.Context(), g)
			if err != nil {
				return err
			}
			if s.State != task.Completed {
				return fmt.Errorf("decision %s is %s", g, s.State)
			}
			group = g
			return nil
		}
		return errors.New("there is none")
	})
	return group
}

func (w *world) groups() []string {
	w.t.Helper()
	var ids []string
	for g, err := range w.root.Groups(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, g.TaskGroupID)
	}
	return ids
}

// offers asks what may be done.
func offers(t *testing.T, c *client.Client, group, taskID string) map[string]dict {
	t.Helper()
	query := url.Values{}
	if taskID != "" {
		query.Set("taskId", taskID)
	}
	var out struct{ Actions []dict }
	if err := c.Call(t.Context(), "actions", http.MethodGet, "/task-group/"+group+"/actions", query, nil, &out); err != nil {
		t.Fatal(err)
	}
	byName := map[string]dict{}
	for _, a := range out.Actions {
		byName[a["name"].(string)] = a
	}
	return byName
}

type started struct {
	TaskID string      `json:"taskId"`
	Status task.Status `json:"status"`
}

func start(t *testing.T, c *client.Client, group, name string, body dict) (started, error) {
	t.Helper()
	if body == nil {
		body = dict{}
	}
	var out started
	err := c.Call(t.Context(), "actions", http.MethodPost, "/task-group/"+group+"/actions/"+name, nil, body, &out)
	return out, err
}

// done waits until an action task is resolved.
func (w *world) done(id string, want task.State) {
	w.t.Helper()
	w.eventually("action task "+id+" is "+string(want), func() error {
		s, err := w.root.Status(w.t.Context(), id)
		if err != nil || s.State == want {
			return err
		}
		if s.State.Resolved() {
			w.t.Fatalf("it is %s:\n%s", s.State, w.log(id))
		}
		return errors.New(string(s.State))
	})
}

func (w *world) artifact(id, name string) string {
	w.t.Helper()
	var b strings.Builder
	if _, err := w.root.DownloadArtifact(w.t.Context(), client.Download{TaskID: id, RunID: client.LatestRun, Name: name}, &b); err != nil {
		w.t.Fatalf("%s of %s: %v", name, id, err)
	}
	return b.String()
}

func (w *world) log(id string) string { return w.artifact(id, "public/logs/live.log") }

// tasks gives the ids of a group's tasks by name.
func (w *world) tasks(group string) map[string][]string {
	w.t.Helper()
	byName := map[string][]string{}
	for item, err := range w.root.GroupTasks(w.t.Context(), group) {
		if err != nil {
			w.t.Fatal(err)
		}
		byName[item.Task.Metadata.Name] = append(byName[item.Task.Metadata.Name], item.Status.TaskID)
	}
	return byName
}

// published makes a task that published files, as a worker would, with scopes of its own.
func (w *world) published(scopes []string, files map[string]string) (id string) {
	w.t.Helper()
	id = slug.Nice()
	if scopes == nil {
		scopes = []string{}
	}
	now, expires := time.Now().UTC(), task.At(time.Now().Add(time.Hour))
	if _, err := w.root.CreateTask(w.t.Context(), id, dict{
		"taskQueueId": "x/forger", "created": task.At(now), "deadline": expires, "expires": expires, "payload": dict{}, "scopes": scopes,
		"metadata": dict{"name": "n", "description": "d", "owner": "a@example.org", "source": "https://example.org"},
	}); err != nil {
		w.t.Fatal(err)
	}
	claims, err := w.root.ClaimWork(w.t.Context(), "x/forger", client.ClaimRequest{WorkerGroup: "g", WorkerID: "w", Tasks: 1})
	if err != nil || len(claims) != 1 {
		w.t.Fatal(claims, err)
	}
	as := w.root.WithCredentials(claims[0].Credentials.Hawk())
	for name, content := range files {
		up := client.Upload{TaskID: id, Name: name, ContentType: "application/json", Expires: expires}
		if _, err := as.UploadArtifact(w.t.Context(), up, strings.NewReader(content), int64(len(content))); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := as.ReportCompleted(w.t.Context(), id, 0); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// commit pushes files to a repository's main branch.
func (w *world) commit(repository string, files map[string]string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, repository)
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", "A change"}} {
		cmd := exec.CommandContext(w.t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("%v: %s", err, out)
		}
	}
}

func read(t *testing.T, v any, text string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}

// refused checks that an error is of a kind and says something.
func refused(t *testing.T, err error, kind fault.Kind, says string) {
	t.Helper()
	if fault.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("%v is not the refusal that says %q", err, says)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// offersOf is offers for a group that may have none yet.
func offersOf(c *client.Client, t *testing.T, group string) map[string]dict {
	var out struct{ Actions []dict }
	if err := c.Call(t.Context(), "actions", http.MethodGet, "/task-group/"+group+"/actions", nil, nil, &out); err != nil {
		return nil
	}
	byName := map[string]dict{}
	for _, a := range out.Actions {
		byName[a["name"].(string)] = a
	}
	return byName
}
