package workers_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/eventapi"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/index/indexapi"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/object/objectapi"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/purgecache/purgecacheapi"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

const testQueue = "test/process"

const rootClient = "static/test/root"

// server is the real server, as far as workers need it, on a database of its own; it can be
// stopped and started again at the same address.
type server struct {
	t            testing.TB
	addr, url    string
	objectDir    string
	claimTimeout time.Duration
	token        string
	urlKey       []byte
	events       bool // the stream of events is served
	asServed     bool // without the checks that only tests have
	pool         *pgxpool.Pool
	stops        []func()
	root         *client.Client
}

func startServer(t testing.TB, claimTimeout time.Duration, options ...func(*server)) *server {
	t.Helper()
	_, measured := t.(*testing.B)
	s := &server{
		asServed: measured,
		t:        t, addr: "127.0.0.1:0", claimTimeout: claimTimeout, objectDir: t.TempDir(), pool: pgtest.DB(t),
		token: slug.New() + slug.New(), urlKey: []byte(rand.Text() + rand.Text()),
	}
	for _, option := range options {
		option(s)
	}
	s.start()
	t.Cleanup(s.stop)
	var err error
	s.root, err = client.New(client.Config{
		RootURL: s.url, MaxDelay: 200 * time.Millisecond, Credentials: hawk.Credentials{ClientID: rootClient, AccessToken: s.token},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// uploads is the object store as the queue wants it.
type uploads struct{ *object.Store }

func (u uploads) Content(ctx context.Context, name string) (queue.Content, error) {
	o, err := u.Get(ctx, name)
	return queue.Content{SHA256: o.SHA256, Size: o.Size}, err
}

func (s *server) start() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	s.url = "http://" + s.addr
	ctx, end := context.WithCancel(context.WithoutCancel(s.t.Context()))
	quiet := slog.New(slog.DiscardHandler)
	objects, err := object.New(s.pool, object.Config{Dir: s.objectDir, RootURL: s.url, URLKey: s.urlKey, Log: quiet})
	if err != nil {
		s.t.Fatal(err)
	}
	who, err := auth.New(ctx, s.pool, auth.Config{Log: quiet, EncryptionKey: s.urlKey[:32], StaticClients: []auth.StaticClient{
		{ClientID: rootClient, AccessToken: s.token, Scopes: []string{"*"}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := who.EnsureRole(ctx, "anonymous", auth.AnonymousScopes(), "Everybody."); err != nil {
		s.t.Fatal(err)
	}
	tasks := queue.New(queue.Deps{
		Pool: s.pool, Log: quiet, Wake: func() {}, Uploads: uploads{objects}, ClaimTimeout: s.claimTimeout,
		Issuer: hawk.Credentials{ClientID: rootClient, AccessToken: s.token},
	})
	tasks.Start(ctx)
	services := []web.Service{authapi.Service(who), queueapi.Service(tasks), objectapi.Service(objects), purgecacheapi.Service(purgecache.New(s.pool)), indexapi.Service(index.New(s.pool))}
	stopFeed := func() {}
	if s.events {
		feed := event.NewFeed(s.pool, quiet)
		feed.Start(ctx)
		stopFeed = feed.Stop
		services = append(services, eventapi.Service(feed))
	}
	handler, err := web.Mount(services, who,
		web.Options{RootURL: s.url, Log: quiet, CheckOutput: !s.asServed})
	if err != nil {
		s.t.Fatal(err)
	}
	front := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- front.Serve(listener) }()
	s.stops = []func(){end, func() { _ = front.Close() }, func() { <-ended }, tasks.Stop, stopFeed}
}

func (s *server) stop() {
	for _, stop := range s.stops {
		stop()
	}
	s.stops = nil
}

// lines is a log that a test can read while others write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// agent is a worker at work in this process.
type agent struct {
	t    testing.TB
	dir  string
	log  *lines
	stop context.CancelFunc
	done chan error
}

// work starts a worker, which ends with the test.
func (s *server) work(change func(*workers.Config)) *agent {
	s.t.Helper()
	a := &agent{t: s.t, dir: s.t.TempDir(), log: &lines{}, done: make(chan error, 1)}
	if err := os.Chmod(a.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	cfg := workers.Config{
		Client: s.root, TaskQueueID: testQueue, WorkerGroup: "g", WorkerID: "w", Dir: a.dir, Capacity: 2,
		Grace: time.Minute, KillGrace: 200 * time.Millisecond, LogEvery: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(a.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	a.dir = cfg.Dir
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	a.stop = cancel
	ended := make(chan struct{})
	go func() {
		a.done <- workers.Run(ctx, cfg)
		close(ended)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
		if s.t.Failed() {
			s.t.Logf("the worker's log:\n%s", a.log)
		}
	})
	return a
}

// dict is a JSON object.
type dict = map[string]any

func sh(script string) dict {
	return dict{"command": [][]string{{"sh", "-c", script}}, "maxRunTime": 60}
}

// with returns the payload with more keys.
func with(p, more dict) dict {
	for k, v := range more {
		p[k] = v
	}
	return p
}

// create makes a task for the test's worker.
func (s *server) create(payload dict, more dict) string {
	s.t.Helper()
	id := slug.Nice()
	now := time.Now()
	definition := with(dict{
		"taskQueueId": testQueue, "schedulerId": "test", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)),
		"expires": task.At(now.Add(2 * time.Hour)), "payload": payload,
		"metadata": dict{"name": s.t.Name(), "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	}, more)
	if _, err := s.root.CreateTask(s.t.Context(), id, definition); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// await polls until the condition holds.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func (s *server) status(id string) task.Status {
	s.t.Helper()
	st, err := s.root.Status(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *server) awaitState(id string, states ...task.State) task.Status {
	s.t.Helper()
	var st task.Status
	await(s.t, fmt.Sprintf("task %s to be %v", id, states), func() bool {
		st = s.status(id)
		return slices.Contains(states, st.State)
	})
	return st
}

// resolved waits for the end of a task and checks how it ended.
func (s *server) resolved(id string, want task.ReasonResolved) {
	s.t.Helper()
	st := s.awaitState(id, task.Completed, task.Failed, task.Exception)
	if got := st.LastRun().ReasonResolved; got != want {
		s.t.Errorf("resolved as %s, want %s; its log:\n%s", got, want, s.logOf(id))
	}
}

// artifact reads an artifact of the last run.
func (s *server) artifact(id, name string) (string, client.Downloaded, error) {
	s.t.Helper()
	var b bytes.Buffer
	got, err := s.root.DownloadArtifact(s.t.Context(), client.Download{TaskID: id, RunID: client.LatestRun, Name: name}, &b)
	return b.String(), got, err
}

func (s *server) logOf(id string) string {
	s.t.Helper()
	text, _, err := s.artifact(id, "public/logs/live_backing.log")
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return text
}

// logHas waits until the growing log has a text: following it as a browser would.
func (s *server) logHas(id, text string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	var address string
	await(s.t, "the live log to be published", func() bool {
		var err error
		address, err = s.root.Locate(ctx, id, client.LatestRun, "public/logs/live.log")
		if err != nil && !errors.Is(err, fault.NotFound) {
			s.t.Fatal(err)
		}
		return err == nil
	})
	got := &lines{}
	go func() { _, _ = s.root.Follow(ctx, address, 0, got) }() // ends with the test at the latest
	await(s.t, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(got.String(), text) })
}

// claimOne is a claim of a worker that a test plays itself.
var claimOne = client.ClaimRequest{WorkerGroup: "g", WorkerID: "by-hand", Tasks: 1}

func (s *server) upload(c *client.Client, id, name string, data []byte) {
	s.t.Helper()
	up := client.Upload{TaskID: id, Name: name, ContentType: "application/octet-stream", Expires: task.At(time.Now().Add(time.Hour))}
	if _, err := c.UploadArtifact(s.t.Context(), up, bytes.NewReader(data), int64(len(data))); err != nil {
		s.t.Fatal(err)
	}
	log := up
	log.Name, log.ContentType = "public/logs/live.log", "text/plain"
	if _, err := c.UploadArtifact(s.t.Context(), log, strings.NewReader("log\n"), 4); err != nil {
		s.t.Fatal(err)
	}
}
