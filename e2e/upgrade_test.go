package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

var mustUpgrade = flag.Bool("upgrade", false, "fail when the git history does not hold the program of the previous schema version")

// previous is the newest version of the schema in the program before this one.
const previous = 7

// TestUpgradeAndDowngradeUnderLoad keeps the previous program serving, and clients creating and working,
// while the database is upgraded by the new program and that one begins to serve beside it, and while
// the database is downgraded again after the new one has gone. Each change of the schema is killed
// half-way and resumed. No task is lost, none is resolved twice, and no caller sees an internal error.
func TestUpgradeAndDowngradeUnderLoad(t *testing.T) {
	old, err := buildBefore(t, previous+1)
	if err != nil {
		if *mustUpgrade {
			t.Fatal(err)
		}
		t.Logf("not tested here: %v", err)
		return
	}
	pool := pgtest.Empty(t)
	u := &upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}
	u.db(old, "upgrade")
	if got := u.version(); got != previous {
		t.Fatalf("the previous program makes schema %d, want %d", got, previous)
	}
	before := u.serve(old)
	u.load = newLoad(u.connect(before))
	stop := u.load.start(t)
	u.work(150)

	u.killed("upgrade")
	u.db(program, "upgrade")
	newest := u.version()
	if newest <= previous {
		t.Fatalf("the newest schema is %d", newest)
	}
	u.work(150)
	after := u.serve(program)
	u.load.through(u.connect(before), u.connect(after))
	u.work(300)
	u.sound()
	u.load.through(u.connect(before))
	u.end(after)
	u.work(100)

	u.killed("downgrade", "--to", fmt.Sprint(previous))
	u.db(program, "downgrade", "--to", fmt.Sprint(previous))
	if got := u.version(); got != previous {
		t.Fatalf("the schema is %d after the downgrade to %d", got, previous)
	}
	u.work(150)
	stop()
	u.drain()
	u.end(before)
	u.db(program, "upgrade")
	u.sound()
	u.load.check(t, pool)
	t.Logf("schema %d to %d and back; %s", previous, newest, u.load)
}

// buildBefore builds the program as it was before a version of the schema: of the commit before the one that
// added the first version that has this number or a higher one.
func buildBefore(t *testing.T, number int) (string, error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", errors.New("this is no git repository")
	}
	top := strings.TrimSpace(string(root))
	// The commits that added version files, oldest first.
	list, err := exec.Command("git", "-C", top, "log", "--reverse", "--diff-filter=A", "--format=commit %H", "--name-only", "--", "internal/pg/versions").Output()
	if err != nil {
		return "", fmt.Errorf("git log: %w", err)
	}
	commit := ""
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if hash, ok := strings.CutPrefix(line, "commit "); ok {
			commit = hash
			continue
		}
		var added int
		if _, err := fmt.Sscanf(filepath.Base(line), "%04d_", &added); err == nil && added >= number {
			return buildAt(t, top, commit+"^")
		}
	}
	return "", fmt.Errorf("the git history has no commit that adds version %04d of the schema", number)
}

func buildAt(t *testing.T, top, commit string) (string, error) {
	if err := exec.Command("git", "-C", top, "cat-file", "-e", commit+":go.mod").Run(); err != nil {
		return "", fmt.Errorf("the git history ends before %s: this is a shallow clone; git fetch --unshallow completes it", commit)
	}
	dir, binary := t.TempDir(), filepath.Join(t.TempDir(), "treeline-before")
	script := `git -C "$1" archive "$2" | tar -x -C "$3" && cd "$3" && go build -trimpath -o "$4" ./cmd/treeline`
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", top, commit, dir, binary).CombinedOutput()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", commit, err, out)
	}
	return binary, nil
}

// upgrade is a database with the programs that work on it.
type upgrade struct {
	*testing.T
	pool *pgxpool.Pool
	url  string
	data string
	load *load
}

// command is one of the programs, with the database in its environment.
func (u *upgrade) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+u.url, "TREELINE_DATA="+u.data)
	return cmd
}

// db changes the schema.
func (u *upgrade) db(program string, args ...string) {
	u.Helper()
	began := time.Now()
	out, err := u.command(program, append([]string{"db"}, args...)...).CombinedOutput()
	if err != nil {
		u.Fatalf("treeline db %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	u.Logf("treeline db %s took %v, with %s", strings.Join(args, " "), time.Since(began).Round(time.Millisecond), u.load)
}

// killed begins to change the schema and kills the program when the first version is through.
func (u *upgrade) killed(args ...string) {
	u.Helper()
	from := u.count()
	cmd := u.command(program, append([]string{"db"}, args...)...)
	if err := cmd.Start(); err != nil {
		u.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for deadline := time.Now().Add(time.Minute); u.count() == from; {
		select {
		case err := <-exited:
			u.Fatalf("treeline db %s ended early: %v", strings.Join(args, " "), err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			u.Fatalf("treeline db %s did nothing for a minute", strings.Join(args, " "))
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	<-exited
	u.Logf("treeline db %s was killed at version %d", strings.Join(args, " "), u.version())
}

func (u *upgrade) scan(sql string) (n int) {
	u.Helper()
	if err := u.pool.QueryRow(u.Context(), sql).Scan(&n); err != nil {
		u.Fatal(err)
	}
	return n
}

func (u *upgrade) version() int { return u.scan(`SELECT max(number) FROM schema_versions`) }
func (u *upgrade) count() int   { return u.scan(`SELECT count(*) FROM schema_versions`) }

// server is a running program.
type server struct {
	cmd     *exec.Cmd
	out     *output
	exited  chan error
	rootURL string
}

func (u *upgrade) serve(program string) *server {
	u.Helper()
	port := freePort(u)
	s := &server{out: &output{}, exited: make(chan error, 1), rootURL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	s.cmd = u.command(program, "serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port))
	s.cmd.Env = append(s.cmd.Env, "TREELINE_ROOT_URL="+s.rootURL)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		u.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	u.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		if u.Failed() {
			u.Logf("%s said:\n%s", filepath.Base(program), tail(s.out.from(0), 4000))
		}
	})
	for deadline := time.Now().Add(time.Minute); ; {
		resp, err := http.Get(s.rootURL + "/api/queue/v1/ping")
		if err == nil {
			_ = resp.Body.Close() // nothing is read of it
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case err := <-s.exited:
			u.Fatalf("%s ended: %v\n%s", program, err, tail(s.out.from(0), 4000))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			u.Fatalf("%s does not answer: %v", program, err)
		}
	}
}

// connect returns a client that tries once: who calls counts what fails.
func (u *upgrade) connect(s *server) *client.Client {
	u.Helper()
	text, err := os.ReadFile(filepath.Join(u.data, "secrets.json"))
	if err != nil {
		u.Fatal(err)
	}
	var secrets struct {
		Root string `json:"rootAccessToken"`
	}
	if err := json.Unmarshal(text, &secrets); err != nil {
		u.Fatal(err)
	}
	c, err := client.New(client.Config{RootURL: s.rootURL, Patience: -1, Credentials: hawk.Credentials{ClientID: "static/taskcluster/root", AccessToken: secrets.Root}})
	if err != nil {
		u.Fatal(err)
	}
	return c
}

// end stops a server politely.
func (u *upgrade) end(s *server) {
	u.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		u.Fatal(err)
	}
	select {
	case err := <-s.exited:
		if err != nil {
			u.Errorf("a server ended with %v\n%s", err, tail(s.out.from(0), 2000))
		}
	case <-time.After(time.Minute):
		u.Fatal("a server does not end")
	}
}

// work waits until so many more tasks are resolved.
func (u *upgrade) work(tasks int) {
	u.Helper()
	until := u.load.resolved() + tasks
	for deadline := time.Now().Add(2 * time.Minute); u.load.resolved() < until; {
		select {
		case <-u.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			u.Fatalf("the work stands still: %s", u.load)
		}
	}
}

// sound asks the invariants of the queue's tables, of the newest schema.
func (u *upgrade) sound() {
	u.Helper()
	err := pgx.BeginTxFunc(u.Context(), u.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		found, err := queuetest.Violations(u.Context(), tx)
		for _, text := range found {
			u.Error(text)
		}
		return err
	})
	if err != nil {
		u.Error(err)
	}
}

// drain ends the claims whose answer got lost, and waits until everything acknowledged is resolved.
func (u *upgrade) drain() {
	u.Helper()
	stop := u.load.workersOnly(u.T)
	defer stop()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		left := u.scan(`SELECT count(*) FROM tasks WHERE state IN ('unscheduled', 'pending', 'running')`)
		if left == 0 && u.scan(`SELECT count(*) FROM events WHERE seq NOT IN (SELECT seq FROM event_order)`) == 0 {
			return
		}
		if time.Now().After(deadline) {
			u.Fatalf("%d tasks are never resolved; %s", left, u.load)
		}
		err := pg.Tx(u.Context(), u.pool, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `WITH old AS (SELECT task_id FROM tasks WHERE task_id IN (SELECT task_id FROM claims WHERE claimed < now() - interval '5 seconds')
					ORDER BY task_id FOR NO KEY UPDATE),
				r AS (UPDATE runs r SET taken_until = now() FROM old WHERE r.task_id = old.task_id AND r.state = 'running' RETURNING r.task_id)
				UPDATE claims c SET taken_until = now() FROM r WHERE c.task_id = r.task_id`)
			return err
		})
		if err != nil {
			u.Fatal(err)
		}
		select {
		case <-u.Context().Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
