//go:build upgrade

package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestRollingUpgradeAndBack has two servers of the previous program behind a proxy that deals requests out in
// turn, and replaces one after the other by the new program, and back, the schema going first up and last down.
// Meanwhile clients create tasks and work, commits are pushed and decided, a listener follows the events from
// where it was, and somebody who has signed in reads pages.
func TestRollingUpgradeAndBack(t *testing.T) {
	versions, err := filepath.Glob("../internal/pg/versions/*.up.sql")
	if err != nil || len(versions) == 0 {
		t.Fatal(len(versions), err)
	}
	var newest int
	if _, err := fmt.Sscanf(filepath.Base(versions[len(versions)-1]), "%04d_", &newest); err != nil {
		t.Fatal(err)
	}
	old, err := buildBefore(t, newest)
	if err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Empty(t)
	r := &rolling{upgrade: upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}}
	r.db(old, "upgrade")
	before := r.version()
	if before >= newest {
		t.Fatalf("the program of before makes schema %d, and the newest is %d", before, newest)
	}
	r.repo = filepath.Join(t.TempDir(), "pebbles")
	if err := os.Mkdir(r.repo, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, r.repo, "init", "-q", "-b", "main")
	r.push()
	r.front()
	up := []*server{r.replica(old), r.replica(old)}
	c := r.connect(&server{rootURL: r.proxy.URL})
	r.load = newLoad(c)
	stop := r.load.start(t)
	r.signIn()
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { r.listen(ctx) })
	watching.Go(func() { r.worker(ctx) })
	r.step("two servers of before")

	r.db(program, "upgrade")
	r.step("the schema is new")
	up[0] = r.replace(up[0], program)
	r.step("one server is new")
	up[1] = r.replace(up[1], program)
	r.step("both are new")
	known := func() int {
		return r.scan(fmt.Sprintf(`SELECT count(*) FROM replicas WHERE schema = %d AND seen > now() - interval '1 minute'`, newest))
	}
	if n := known(); n != 2 {
		t.Errorf("the database knows of %d servers of the newest schema, and two run", n)
	}
	if n := r.scan(fmt.Sprintf(`SELECT count(*) FROM replicas WHERE schema < %d`, newest)); n != 0 {
		t.Errorf("the database knows of %d servers of before, and none runs", n)
	}
	calm := r.cut.Load()
	up[0] = r.replace(up[0], old)
	r.step("one server is old again")
	up[1] = r.replace(up[1], old)
	if n := r.cut.Load() - calm; n != 0 {
		t.Errorf("%d calls were cut while new servers stopped", n)
	}
	if n := known(); n != 0 {
		t.Errorf("the database knows of %d servers of the newest schema, and they were stopped", n)
	}
	r.step("both are old")
	r.db(program, "downgrade", "--to", fmt.Sprint(before))
	r.step("the schema is old")

	stop()
	r.decided()
	r.drain()
	r.until("the listener has all events", func() bool { return r.heard.Load() >= int64(r.scan(`SELECT max(position) FROM event_order`)) })
	end()
	watching.Wait()
	for _, s := range up {
		r.end(s)
	}
	r.db(program, "upgrade")
	r.sound()
	r.load.check(t, pool)
	if n := r.scan(`SELECT count(*) FROM event_consumers AS c WHERE position > (SELECT max(position) FROM event_order)`); n != 0 {
		t.Errorf("%d consumers are beyond the feed", n)
	}
	t.Logf("schema %d to %d and back; %s; %d pushes decided, %d events heard over %d connections, %d pages read, %d calls cut by servers of before", before, newest, r.load, r.pushes, r.heard.Load(), r.connections, r.pages, r.cut.Load())
}

// rolling is two servers behind a proxy.
type rolling struct {
	upgrade
	repo        string
	pushes      int
	pages       int
	connections int
	browser     *uitest.Browser
	proxy       *httptest.Server
	mu          sync.RWMutex
	backends    []string
	turn        atomic.Int64
	cut         atomic.Int64 // calls whose server went away meanwhile
	heard       atomic.Int64 // position of the last event
}

// front starts the proxy. A server that does not take a connection is passed over.
func (r *rolling) front() {
	target := &url.URL{Scheme: "http", Host: "replicas"}
	r.proxy = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
		},
		FlushInterval: -1,
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: r.dial},
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			if req.Context().Err() == nil {
				r.cut.Add(1)
				r.Logf("cut: %s %s: %v", req.Method, req.URL.Path, err)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		ErrorLog: nil,
	})
	r.Cleanup(r.proxy.Close)
}

func (r *rolling) dial(ctx context.Context, _, _ string) (conn net.Conn, err error) {
	// Who takes a server out waits for the connections that are being made to it.
	r.mu.RLock()
	defer r.mu.RUnlock()
	backends := r.backends
	first := int(r.turn.Add(1))
	err = fmt.Errorf("there is no server")
	for i := range backends {
		if conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", backends[(first+i)%len(backends)]); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// replica starts a server and puts it behind the proxy when it is healthy.
func (r *rolling) replica(program string) *server {
	r.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(r))
	s := &server{out: &output{}, exited: make(chan error, 1), rootURL: "http://" + address}
	s.cmd = r.command(program, "serve", "--listen", address, "--repo", r.repo, "--drain-notice", "2s")
	s.cmd.Env = append(s.cmd.Env, "TREELINE_ROOT_URL="+r.proxy.URL)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	r.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		if r.Failed() {
			r.Logf("%s at %s said:\n%s", filepath.Base(program), address, tail(s.out.from(0), 4000))
		}
	})
	r.until("a server is healthy", func() bool {
		resp, err := http.Get(s.rootURL + "/__heartbeat__")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // nothing is read of it
		return resp.StatusCode == http.StatusOK
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backends = append(r.backends, address)
	return s
}

// replace stops a server as service managers do, and starts another.
func (r *rolling) replace(s *server, program string) *server {
	r.Helper()
	next := r.replica(program)
	began := time.Now()
	address := strings.TrimPrefix(s.rootURL, "http://")
	r.mu.Lock()
	for i, b := range r.backends {
		if b == address {
			r.backends = append(r.backends[:i:i], r.backends[i+1:]...)
			break
		}
	}
	r.mu.Unlock()
	r.end(s)
	r.Logf("a server ended in %v", time.Since(began).Round(time.Millisecond))
	return next
}

// step lets everything go on for a while, and looks at it.
func (r *rolling) step(what string) {
	r.Helper()
	r.push()
	r.work(120)
	if d := r.browser.Get(r, "/"); d.Status != http.StatusOK || !strings.Contains(d.Body, "static/taskcluster/root") {
		r.Errorf("%s: the first page is answered %d, or the session is lost", what, d.Status)
	}
	r.pages++
	r.Logf("%s: %s; %d calls cut", what, r.load, r.cut.Load())
}

func (r *rolling) push() {
	r.Helper()
	r.pushes++
	commit(r, r.repo, fmt.Sprintf("Commit %d", r.pushes), map[string]string{
		"n.txt": fmt.Sprint(r.pushes),
		".taskcluster.yml": `version: 1
reporting: checks-v1
policy: {pullRequests: public}
tasks:
  $map: [decide, build]
  each(name):
    taskId: {$eval: as_slugid(name)}
    taskGroupId: {$eval: as_slugid("decide")}
    provisionerId: local
    workerType: steps
    created: {$fromNow: ''}
    deadline: {$fromNow: 1 hour}
    payload: {command: ["true"], maxRunTime: 60}
    metadata: {name: {$eval: name}, description: d, owner: a@example.com, source: https://example.com}
`,
	})
}

// worker does the tasks of the pushes.
func (r *rolling) worker(ctx context.Context) {
	for ctx.Err() == nil {
		var claims []client.Claim
		_ = r.load.call(ctx, "claim a push's task", func(c *client.Client) (err error) {
			claims, err = c.ClaimWork(ctx, "local/steps", client.ClaimRequest{WorkerGroup: "load", WorkerID: "steps", Tasks: 1})
			return err
		}) // refusals show: the task is never done
		for _, k := range claims {
			_ = r.load.call(ctx, "report a push's task", func(c *client.Client) error {
				_, err := c.ReportCompleted(ctx, k.Status.TaskID, k.RunID)
				return err
			}) // likewise
		}
	}
}

// decided waits until each push has its tasks, these are done, and the room that counts how tasks of pushes end has
// heard of it; and holds against the record that nothing of that happened twice.
func (r *rolling) decided() {
	r.Helper()
	head := git(r, r.repo, "rev-parse", "HEAD")
	r.until("the last commit is decided", func() bool {
		return r.scan(`SELECT count(*) FROM pushes WHERE revision = '`+head+`'`) == 1 && r.scan(`SELECT count(*) FROM pushes WHERE state = 'received'`) == 0
	})
	if n := r.scan(`SELECT count(*) - count(DISTINCT revision) FROM pushes`); n != 0 {
		r.Errorf("%d commits are recorded twice", n)
	}
	if n := r.scan(`SELECT count(*) FROM pushes WHERE state <> 'decided' OR error IS NOT NULL`); n != 0 {
		r.Fatalf("%d pushes could not be decided: %s", n, texts(r.T, r.pool, `SELECT state || ' ' || coalesce(error::text, '') FROM pushes LIMIT 3`))
	}
	if n := r.scan(`SELECT count(*) FROM pushes p WHERE (SELECT count(*) FROM tasks t WHERE t.task_group_id = p.task_group_id) <> 2`); n != 0 {
		r.Errorf("%d pushes do not have the two tasks of their file", n)
	}
	pushes := r.scan(`SELECT count(*) FROM pushes`)
	passed := func() int { return r.scan(`SELECT coalesce(sum(passed), 0) FROM failure_outcomes`) }
	r.until("the ends of what the pushes built are counted", func() bool { return passed() >= pushes })
	if n := passed(); n != pushes {
		r.Errorf("%d ends of %d builds are counted", n, pushes)
	}
}

// signIn begins a session.
func (r *rolling) signIn() {
	r.Helper()
	text, err := os.ReadFile(filepath.Join(r.data, "secrets.json"))
	if err != nil {
		r.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `"rootAccessToken": "`)
	token, _, _ := strings.Cut(rest, `"`)
	r.browser = (&uitest.Site{URL: r.proxy.URL}).Browser(r)
	r.browser.SignIn(r, "static/taskcluster/root", token)
}

// listen follows the feed; after each connection it goes on where it was, as browsers do. Positions have no gap.
func (r *rolling) listen(ctx context.Context) {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.proxy.URL+"/api/events/v1/stream?after=0", nil)
		if err != nil {
			r.Error(err)
			return
		}
		req.Header.Set("Last-Event-ID", fmt.Sprint(r.heard.Load()))
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		r.connections++
		r.follow(resp)
	}
}

func (r *rolling) follow(resp *http.Response) {
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var id int64
	for lines.Scan() {
		line := lines.Text()
		if _, err := fmt.Sscanf(line, "id: %d", &id); err == nil {
			continue
		}
		if !strings.HasPrefix(line, "data: ") {
			continue
		}
		if last := r.heard.Load(); id != last+1 {
			r.Errorf("event %d came after %d", id, last)
		}
		r.heard.Store(id)
	}
}

func (r *rolling) until(what string, done func() bool) {
	r.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(deadline) {
			r.Fatalf("not within two minutes: %s", what)
		}
		select {
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
