package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// site is a deployment whose database is archived as docs/operations/backup.md says, and put back.
type site struct {
	*testing.T
	dir     string // PostgreSQL's user can reach it
	secrets app.Secrets
	archive string
	cluster *pg.Cluster
	pool    *pgxpool.Pool
	uid     int
	gid     int
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "restore") //nolint:usetesting // t.TempDir can be entered by its owner alone
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, dir: dir, archive: filepath.Join(dir, "archive")}
	t.Cleanup(func() { s.must(os.RemoveAll(dir)) })
	s.must(os.Chmod(dir, 0o755)) //nolint:gosec // see above
	s.must(os.Mkdir(s.archive, 0o777))
	s.must(os.Chmod(s.archive, 0o777)) //nolint:gosec // PostgreSQL's user writes there
	s.secrets, err = app.LoadSecrets(filepath.Join(dir, "secrets.json"))
	s.must(err)
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// start starts PostgreSQL in a directory, and connects to it as somebody who is no server.
func (s *site) start(name string) {
	s.Helper()
	var err error
	s.cluster, err = pg.StartCluster(s.Context(), filepath.Join(s.dir, name), slog.New(slog.DiscardHandler), pg.Setting("wal_level", "replica"),
		pg.Setting("archive_mode", "on"), pg.Setting("archive_command", "cp %p "+s.archive+"/%f.new && mv "+s.archive+"/%f.new "+s.archive+"/%f"))
	s.must(err)
	s.Cleanup(func() { s.end(30 * time.Second) })
	s.pool, err = pg.Open(s.Context(), s.cluster.URL(pg.DatabaseName), pg.MaxConns(2), pg.Application("test"))
	s.must(err)
	info, err := os.Stat(filepath.Join(s.dir, name, "data"))
	s.must(err)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		s.Fatal("who owns the files is not known")
	}
	s.uid, s.gid = int(owner.Uid), int(owner.Gid)
}

// end stops PostgreSQL, by force when it takes longer than it may. A second time does nothing.
func (s *site) end(within time.Duration) {
	if s.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), within)
	defer cancel()
	s.pool.Close()
	s.must(s.cluster.Stop(ctx))
	s.cluster = nil
}

// front is an address that stays while servers behind it come and go.
type front struct {
	url    string
	behind atomic.Pointer[url.URL]
}

func (s *site) front() *front {
	s.Helper()
	f := &front{}
	f.behind.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	f.url = "http://" + listener.Addr().String()
	server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: &httputil.ReverseProxy{
		FlushInterval: -1, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(f.behind.Load())
			r.Out.Host = r.In.Host
		},
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Close
	}()
	s.Cleanup(func() {
		s.must(server.Close())
		<-done
	})
	return f
}

// serve starts a server behind a front; the function ends it, whatever state its database is in.
func (s *site) serve(f *front, claims time.Duration) (stop func()) {
	s.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	server, err := app.Start(s.Context(), app.Config{
		RootURL: f.url, Listener: listener, DatabaseURL: s.cluster.URL(pg.DatabaseName), DataDir: filepath.Join(s.dir, "objects"), Secrets: s.secrets,
		ClaimTimeout: claims, Log: slog.New(slog.DiscardHandler),
	})
	s.must(err)
	f.behind.Store(&url.URL{Scheme: "http", Host: listener.Addr().String()})
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 20*time.Second)
		defer cancel()
		_ = server.Stop(ctx) // its database may be gone
	})
}

func (s *site) client(f *front) *client.Client {
	s.Helper()
	c, err := client.New(client.Config{RootURL: f.url, Credentials: hawk.Credentials{ClientID: app.RootClient, AccessToken: s.secrets.RootToken}})
	s.must(err)
	return c
}

// archived waits until all that was written to the log so far is in the archive.
func (s *site) archived() {
	s.Helper()
	var name string
	s.must(s.pool.QueryRow(s.Context(), "SELECT pg_walfile_name(pg_switch_wal())").Scan(&name))
	s.until("the archive has "+name, func() bool {
		_, err := os.Stat(filepath.Join(s.archive, name))
		return err == nil
	})
}

func (s *site) until(what string, true_ func() bool) {
	s.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !true_(); {
		if time.Now().After(deadline) {
			s.Fatalf("not within two minutes: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// baseBackup copies the running cluster, as the documentation says.
func (s *site) baseBackup(to string) {
	s.Helper()
	u, err := url.Parse(s.cluster.URL("postgres"))
	s.must(err)
	out, err := exec.CommandContext(s.Context(), "pg_basebackup", "-h", u.Query().Get("host"), "-U", u.Query().Get("user"), "-D", to, "--checkpoint=fast", "--wal-method=none").CombinedOutput()
	if err != nil {
		s.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
}

// restore makes a cluster of a base backup and the archive, up to a named point.
func (s *site) restore(base, name, point string) {
	s.Helper()
	s.unpack(base, name, "recovery.signal", "recovery_target_name = '"+point+"'\nrecovery_target_action = 'promote'\n")
	s.start(name)
	s.until("the database is promoted", s.promoted)
}

// unpack lays a base backup where a cluster is to start, with a file that says how, and settings.
func (s *site) unpack(base, name, signal, more string) {
	s.Helper()
	s.must(os.MkdirAll(filepath.Join(s.dir, name), 0o755)) //nolint:gosec // PostgreSQL's user passes
	data := filepath.Join(s.dir, name, "data")
	s.must(os.Rename(base, data))
	s.must(os.WriteFile(filepath.Join(data, signal), nil, 0o600))
	settings, err := os.OpenFile(filepath.Join(data, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	s.must(err)
	_, err = fmt.Fprintf(settings, "restore_command = 'cp %s/%%f %%p'\n%s", s.archive, more)
	s.must(errors.Join(err, settings.Close()))
	if os.Geteuid() == 0 {
		s.must(filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, s.uid, s.gid))
		}))
	}
}

// promoted reports whether the database takes writes.
func (s *site) promoted() bool {
	var recovering bool
	err := s.pool.QueryRow(s.Context(), "SELECT pg_is_in_recovery()").Scan(&recovering)
	return err == nil && !recovering
}

// movedIsFound wants that the doctor sees that the database is another one, before anybody says so.
func (s *site) movedIsFound() {
	s.Helper()
	var codes []string
	for _, c := range (doctor.Database{Pool: s.pool}).Checks() {
		if c.Name == "restore" {
			found, err := c.Look(s.Context())
			s.must(err)
			for _, f := range found {
				codes = append(codes, f.Code)
			}
		}
	}
	if !slices.Equal(codes, []string{"db-moved"}) {
		s.Errorf("the doctor finds %v in a database that is not the one that it was", codes)
	}
}

// create makes a task, to be done by a queue's workers.
func (s *site) create(c *client.Client, queue string, payload any) string {
	s.Helper()
	id := slug.New()
	_, err := c.CreateTask(s.Context(), id, definition(id, queue, payload))
	s.must(err)
	return id
}

func definition(group, queue string, payload any) map[string]any {
	if payload == nil {
		payload = map[string]any{}
	}
	now := time.Now()
	return map[string]any{
		"taskQueueId": queue, "schedulerId": "test", "taskGroupId": group, "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "retries": 5,
		"payload": payload, "metadata": map[string]any{"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	}
}

// claim takes one task of a queue as a worker.
func (s *site) claim(c *client.Client, queue, worker string) client.Claim {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		list, err := c.ClaimWork(s.Context(), queue, client.ClaimRequest{WorkerGroup: "g", WorkerID: worker, Tasks: 1})
		s.must(err)
		if len(list) == 1 {
			return list[0]
		}
		if time.Now().After(deadline) {
			s.Fatalf("no task of %s", queue)
		}
	}
}

// state is the state of a task's last run, and its number.
func (s *site) state(c *client.Client, id string) string {
	s.Helper()
	st, err := c.Status(s.Context(), id)
	s.must(err)
	return fmt.Sprintf("%s/%d", st.State, len(st.Runs)-1)
}

// sequences are the last numbers that the database gave.
func (s *site) sequences() map[string]int64 {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), "SELECT sequencename::text, coalesce(last_value, 0) FROM pg_sequences WHERE data_type = 'bigint'::regtype")
	s.must(err)
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var last int64
		s.must(rows.Scan(&name, &last))
		out[name] = last
	}
	s.must(rows.Err())
	return out
}

// starts counts the lines that a task's command wrote.
func starts(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}
