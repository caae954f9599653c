package workers_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

// cached makes a task that shows and then writes the mark in the cache, and runs a script.
func (s *server) cached(script string, more dict) string {
	s.t.Helper()
	p := with(sh(`cat cache/mark 2>/dev/null || echo no mark; echo "mark of $TASK_ID" > cache/mark; `+script), dict{
		"mounts": []dict{{"cacheName": "checkouts", "directory": "cache"}},
	})
	return s.create(with(p, more), dict{"scopes": []string{"generic-worker:cache:checkouts"}})
}

// finds runs a task and says whose mark it finds in the cache, "" for none.
func (s *server) finds() string {
	s.t.Helper()
	id := s.cached("true", nil)
	s.resolved(id, task.ReasonCompleted)
	for line := range strings.Lines(s.logOf(id)) {
		if mark, ok := strings.CutPrefix(line, "mark of "); ok {
			return strings.TrimSpace(mark)
		}
	}
	return ""
}

func (s *server) purge(name string) {
	s.t.Helper()
	if err := s.root.PurgeCache(s.t.Context(), testQueue, name); err != nil {
		s.t.Fatal(err)
	}
}

func TestCachesAreDroppedAsWished(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	agent := s.work(func(c *workers.Config) { c.Capacity = 1 })
	s.purge("checkouts") // before there is one: concerns none that is made later
	if mark := s.finds(); mark != "" {
		t.Fatalf("%q in a new cache", mark)
	}
	if s.finds() == "" {
		t.Fatal("caches are not kept: the test shows nothing")
	}

	s.purge("other")
	if s.finds() == "" {
		t.Error("a wish for another cache drops this one")
	}
	s.purge("checkouts")
	if mark := s.finds(); mark != "" {
		t.Errorf("after the wish a task finds the mark of %s", mark)
	}
	if s.finds() == "" {
		t.Error("one wish drops the cache twice")
	}

	// A wish that comes while a task uses the cache counts from the next use.
	gate := filepath.Join(agent.dir, "gate")
	if err := syscall.Mkfifo(gate, 0o666); err != nil {
		t.Fatal(err)
	}
	id := s.cached("echo waiting; cat "+gate, nil)
	s.logHas(id, "waiting")
	s.purge("checkouts")
	if err := os.WriteFile(gate, []byte("go"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.resolved(id, task.ReasonCompleted)
	if mark := s.finds(); mark != "" {
		t.Errorf("after a wish during its use a task finds the mark of %s", mark)
	}
}

func TestCachesOfTasksThatWereKilledAreDropped(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.Capacity = 1 })
	for _, c := range []struct {
		name   string
		script string
		more   dict
		want   task.ReasonResolved
	}{
		{"for its time", "sleep 300", dict{"maxRunTime": 1}, task.ReasonFailed},
		{"from outside", "kill -9 $$", nil, task.ReasonFailed},
		{"with a status that asks for it", "exit 72", dict{"onExitStatus": dict{"purgeCaches": []int{72}}}, task.ReasonFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			s.finds()
			if s.finds() == "" {
				t.Fatal("caches are not kept: the test shows nothing")
			}
			s.resolved(s.cached(c.script, c.more), c.want)
			if mark := s.finds(); mark != "" {
				t.Errorf("a task finds the mark of %s", mark)
			}
		})
	}
	t.Run("a failure alone keeps them", func(t *testing.T) {
		s := s.in(t)
		id := s.cached("exit 1", nil)
		s.resolved(id, task.ReasonFailed)
		if mark := s.finds(); mark != id {
			t.Errorf("a task finds the mark of %q, not of %s", mark, id)
		}
	})
}

func TestTheCacheOfACanceledTaskIsDropped(t *testing.T) {
	t.Parallel()
	s := startServer(t, 4*time.Second) // a worker learns that its task is canceled when it renews the claim
	s.work(func(c *workers.Config) { c.Capacity = 1 })
	id := s.cached("echo waiting; sleep 300", nil)
	s.logHas(id, "waiting")
	if _, err := s.root.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if mark := s.finds(); mark != "" {
		t.Errorf("a task finds the mark of %s", mark)
	}
}

func TestTheCacheOfATaskThatItsWorkerLeftIsDropped(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	brief := func(c *workers.Config) { c.Capacity, c.Grace = 1, time.Millisecond }
	first := s.work(brief)
	s.finds()
	id := s.cached("test $RUN_ID = 1 || { echo waiting; sleep 300; }", nil)
	s.logHas(id, "waiting")
	first.stop()
	if err := <-first.done; err != nil {
		t.Fatal(err)
	}
	s.work(func(c *workers.Config) { brief(c); c.Dir = first.dir })
	s.resolved(id, task.ReasonCompleted)
	if log := s.logOf(id); !strings.Contains(log, "no mark") {
		t.Errorf("the task that is run again finds what its killed run left:\n%s", log)
	}
	if mark := s.finds(); mark != id {
		t.Errorf("the next finds the mark of %q, not of %s", mark, id)
	}
}

// via sends every connection to one address.
func via(address string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

// A worker that cannot ask uses no cache that may have to be dropped; one that is not told uses what it has.
func TestWhatAWorkerDoesThatCannotAsk(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	back, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	var answer atomic.Int64
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(back); r.Out.Host = back.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := int(answer.Load()); status != 0 && strings.HasPrefix(r.URL.Path, "/api/purge-cache/") {
			w.WriteHeader(status)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	through, err := client.New(client.Config{
		RootURL: s.url, Credentials: hawk.Credentials{ClientID: rootClient, AccessToken: s.token},
		HTTP: &http.Client{Transport: via(front.Listener.Addr().String())}, MaxDelay: 50 * time.Millisecond, Patience: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.work(func(c *workers.Config) { c.Capacity, c.Client = 1, through })
	s.finds()
	kept := s.finds()
	if kept == "" {
		t.Fatal("caches are not kept: the test shows nothing")
	}
	answer.Store(http.StatusServiceUnavailable)
	if mark := s.finds(); mark != "" {
		t.Errorf("while the server is away a task finds the mark of %s", mark)
	}
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		answer.Store(int64(status))
		if s.finds() == "" {
			t.Errorf("a server that answers %d makes caches useless", status)
		}
	}
}

func TestACacheWhoseContentDidNotComeIsNotKept(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.Capacity = 1 })
	broken := with(sh("true"), dict{"mounts": []dict{{"cacheName": "checkouts", "directory": "cache", "format": "tar.gz", "content": dict{"raw": "no archive"}}}})
	s.resolved(s.create(broken, dict{"scopes": []string{"generic-worker:cache:checkouts"}}), task.ReasonMalformedPayload)
	id := s.cached("true", nil)
	s.resolved(id, task.ReasonCompleted)
	if log := s.logOf(id); !strings.Contains(log, "Mounted cache checkouts (new)") {
		t.Errorf("%s", log)
	}
}
