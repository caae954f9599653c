package hg

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/push"
)

// TestAServerThatHangsDelaysNoOther has 200 repositories at a server that never answers, and one at another.
func TestAServerThatHangsDelaysNoOther(t *testing.T) {
	var hanging, most atomic.Int64
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), hanging.Add(1)))
		<-r.Context().Done()
		hanging.Add(-1)
	}))
	defer hangs.Close()
	var looks atomic.Int64
	node := fmt.Sprintf("%040d", 1)
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("cmd") == "batch":
			looks.Add(1)
			fmt.Fprintf(w, "default %s;", node)
		case r.URL.Path == "/x/json-bookmarks":
			fmt.Fprint(w, `{"bookmarks": []}`)
		case r.URL.Path == "/x/json-log":
			fmt.Fprint(w, `{"entries": []}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer answers.Close()
	pool := pgtest.DB(t)
	log := slog.New(slog.DiscardHandler)
	servers := forge.NewServers(0)
	var list []Repository
	for i := range 201 {
		r := Repository{Name: fmt.Sprintf("r%d", i), URL: fmt.Sprintf("%s/r%d", hangs.URL, i), Every: 300 * time.Millisecond}
		if i == 200 {
			r.URL = answers.URL + "/x"
		}
		var err error
		if r.Reader, err = servers.Open(r.URL, forge.Options{Timeout: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	w := New(Deps{Pool: pool, Push: push.New(pool, func() {}, log), Decide: func() {}, Repositories: list, Log: log})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for deadline := time.Now().Add(30 * time.Second); looks.Load() < 5; {
		if time.Now().After(deadline) {
			t.Fatalf("%d looks within half a minute", looks.Load())
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	if most.Load() > perHost {
		t.Errorf("a server was asked %d things at once", most.Load())
	}
}

// TestALookIsOneServers takes rows with two servers, of which one is slow, then dead.
func TestALookIsOneServers(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	pool := pgtest.DB(t)
	log := slog.New(slog.DiscardHandler)
	reader, err := forge.Open(s.URL, forge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := Deps{Pool: pool, Push: push.New(pool, func() {}, log), Decide: func() {}, Log: log, Repositories: []Repository{{Name: "mine", URL: s.URL, Reader: reader, Pushlog: No}}}
	one, other := New(d), New(d)
	if err := one.note(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := one.round(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	late := func() {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `UPDATE hg_repositories SET next_look = next_look - interval '15 seconds'`); err != nil {
			t.Fatal(err)
		}
	}
	late()
	if err := one.renew(t.Context(), time.Now().Add(renewal)); err != nil {
		t.Fatal(err)
	}
	late()
	if n, err := other.round(t.Context()); err != nil || n != 0 {
		t.Errorf("another takes %d, %v", n, err)
	}
	late() // the first is dead: it renews no more
	if n, err := other.round(t.Context()); err != nil || n != 1 {
		t.Errorf("another takes %d, %v", n, err)
	}
	close(release)
	var both sync.WaitGroup
	both.Go(one.looks.Wait)
	both.Go(other.looks.Wait)
	both.Wait()
	if asked.Load() < 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestALookThatFailedIsTriedAgainSoonThenLater(t *testing.T) {
	for _, c := range []struct {
		every    time.Duration
		failures int
		about    time.Duration
	}{
		{time.Minute, 0, 5 * time.Second}, {time.Minute, 1, 10 * time.Second}, {time.Minute, 4, 80 * time.Second},
		{time.Second, 0, time.Second}, {time.Second, 3, 8 * time.Second}, {10 * time.Minute, 0, 5 * time.Second},
		{time.Minute, 8, 15 * time.Minute}, {time.Second, 10, 15 * time.Minute}, {time.Second, 1 << 30, 15 * time.Minute},
	} {
		r := &repository{Repository: Repository{Every: c.every}}
		if got := r.pauseAfter(c.failures); got < c.about*8/10 || got > min(c.about*12/10, maxPause) {
			t.Errorf("looked at every %v, failed %d times before: the next after %v, want about %v", c.every, c.failures, got, c.about)
		}
	}
}
