package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// sessions is how many sessions of PostgreSQL the pooler shares among all connections: as few as
// docs/operations/database.md asks for.
const sessions = 10

// complaints gathers what servers log as wrong.
type complaints struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (c *complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// replicas starts servers that share a database and their files.
func replicas(t *testing.T, n int, database string) ([]*client.Client, *complaints) {
	t.Helper()
	dir := t.TempDir()
	secrets, err := app.LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := &complaints{}
	log := slog.New(slog.NewTextHandler(wrong, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var clients []*client.Client
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		root := "http://" + listener.Addr().String()
		server, err := app.Start(t.Context(), app.Config{
			RootURL: root, Listener: listener, DatabaseURL: database, DataDir: filepath.Join(dir, "data"), Secrets: secrets, Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
			defer cancel()
			if err := server.Stop(ctx); err != nil {
				t.Error(err)
			}
		})
		c, err := client.New(client.Config{RootURL: root, Credentials: hawk.Credentials{ClientID: app.RootClient, AccessToken: secrets.RootToken}, Patience: -1})
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	return clients, wrong
}

// TestTheDatabaseMayStandBehindATransactionPooler runs the queue's verbs through two servers behind a
// PgBouncer with few sessions: no statement may rely on what the session of the one before knew.
func TestTheDatabaseMayStandBehindATransactionPooler(t *testing.T) {
	direct := pgtest.URL(t)
	clients, wrong := replicas(t, 2, pgtest.Pooler(t, direct, sessions))
	const tasks = 60
	group, ids := define(t, clients[0], tasks)

	var workers sync.WaitGroup
	left := make(chan struct{}, tasks)
	for range tasks {
		left <- struct{}{}
	}
	for i := range 8 {
		workers.Go(func() { work(t, clients, i, left) })
	}
	// Readers ask about everything meanwhile, so that every session sees every statement.
	reading, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 6 {
		readers.Go(func() { read(t, reading, clients[i%2], group, ids) })
	}
	workers.Wait()
	stop()
	readers.Wait()

	for i, id := range ids {
		if s, err := clients[i%2].Status(t.Context(), id); err != nil || s.State != task.Completed {
			t.Errorf("%s is %s, %v", id, s.State, err)
		}
	}
	if found, err := clients[1].FindTask(t.Context(), "pooled.last"); err != nil || !slices.Contains(ids, found.TaskID) {
		t.Errorf("index: %+v, %v", found, err)
	}
	checkSessions(t, direct)
	if strings.TrimSpace(wrong.String()) != "" {
		t.Errorf("the servers complain:\n%.3000s", wrong)
	}
}

// define makes a group of tasks, all waiting for the first.
func define(t *testing.T, c *client.Client, n int) (group string, ids []string) {
	t.Helper()
	group = slug.New()
	now := time.Now().UTC()
	var batch []client.NewTask
	for i := range n {
		d := map[string]any{
			"taskQueueId": "pooled/work", "taskGroupId": group, "schedulerId": "pooled", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)),
			"payload": map[string]any{"n": i}, "routes": []string{"index.pooled.last"}, "priority": task.Priorities()[i%3],
			"metadata": map[string]any{"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
		}
		if i > 0 {
			d["dependencies"] = ids[:1]
		}
		ids = append(ids, slug.New())
		batch = append(batch, client.NewTask{TaskID: ids[i], Task: d})
	}
	if _, err := c.CreateTasks(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return group, ids
}

// work does tasks until none is left, each step through the other server.
func work(t *testing.T, clients []*client.Client, i int, left chan struct{}) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for n := i; len(left) > 0; n++ {
		asking, stop := context.WithTimeout(ctx, 2*time.Second)
		claims, err := clients[n%2].ClaimWork(asking, "pooled/work", client.ClaimRequest{WorkerGroup: "g", WorkerID: fmt.Sprint("w", i), Tasks: 1 + n%3})
		over := asking.Err() != nil
		stop()
		switch {
		case ctx.Err() != nil:
			t.Errorf("worker %d: %d tasks are left", i, len(left))
			return
		case err != nil && !over:
			t.Errorf("claim: %v", err)
			return
		}
		for _, claim := range claims {
			if err := finish(ctx, clients[(n+1)%2], claim); err != nil {
				t.Error(err)
			}
			<-left
		}
	}
}

func finish(ctx context.Context, c *client.Client, claim client.Claim) error {
	id := claim.Status.TaskID
	again, err := c.WithCredentials(claim.Credentials.Hawk()).Reclaim(ctx, id, claim.RunID)
	if err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	c = c.WithCredentials(again.Credentials.Hawk())
	content := []byte("what was done in " + id)
	up := client.Upload{TaskID: id, RunID: claim.RunID, Name: "public/result", ContentType: "text/plain", Expires: claim.Task.Expires}
	if _, err := c.UploadArtifact(ctx, up, bytes.NewReader(content), int64(len(content))); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if _, err := c.ReportCompleted(ctx, id, claim.RunID); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// read asks about tasks, groups, artifacts, roles and the index until ctx ends.
func read(t *testing.T, ctx context.Context, c *client.Client, group string, ids []string) {
	for n := 0; ctx.Err() == nil; n++ {
		id := ids[n%len(ids)]
		asks := []func() error{
			func() error { _, err := c.Status(ctx, id); return err },
			func() error { _, err := c.Task(ctx, id); return err },
			func() error { _, err := c.QueueCounts(ctx, "pooled/work"); return err },
			func() error { return c.Call(ctx, "auth", "GET", "/roles/", nil, nil, new(json.RawMessage)) },
			func() error { return c.Call(ctx, "index", "GET", "/tasks/pooled", nil, nil, new(json.RawMessage)) },
			func() error {
				return c.Call(ctx, "queue", "GET", "/task-group/"+group+"/list", nil, nil, new(json.RawMessage))
			},
			func() error {
				return c.Call(ctx, "queue", "GET", "/task/"+id+"/dependents", nil, nil, new(json.RawMessage))
			},
		}
		if err := asks[n%len(asks)](); err != nil && ctx.Err() == nil {
			t.Errorf("read %d: %v", n%len(asks), err)
		}
	}
}

// checkSessions asks PostgreSQL itself how many sessions there are: more would mean that the servers
// went past the pooler.
func checkSessions(t *testing.T, direct string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	err = conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&n)
	if err != nil || n < 2 || n > sessions {
		t.Errorf("%d sessions, %v", n, err)
	}
}
