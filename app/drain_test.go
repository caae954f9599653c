package app_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
)

// TestStopLetsRequestsEnd stops a server while requests of all kinds run: a long poll for work, a stream of
// events, and a call whose body is still on its way.
func TestStopLetsRequestsEnd(t *testing.T) {
	s := apptest.Start(t, func(c *app.Config) { c.Drain, c.DrainNotice = time.Minute, 200*time.Millisecond })
	beat := func() int {
		resp, err := http.Get(s.URL + "/__lbheartbeat__")
		if err != nil {
			return 0
		}
		_ = resp.Body.Close() // nothing is read of it
		return resp.StatusCode
	}
	if got := beat(); got != http.StatusOK {
		t.Fatalf("the heartbeat says %d", got)
	}
	worker, err := client.New(client.Config{RootURL: s.URL, Patience: -1, Credentials: s.Root})
	if err != nil {
		t.Fatal(err)
	}
	claimed := make(chan error, 1)
	go func() {
		_, err := worker.ClaimWork(t.Context(), "p/w", client.ClaimRequest{WorkerGroup: "g", WorkerID: "waiting-one", Tasks: 1})
		claimed <- err
	}()
	events, err := http.Get(s.URL + "/api/events/v1/stream")
	if err != nil || events.StatusCode != http.StatusOK {
		t.Fatal(events, err)
	}
	lines := bufio.NewReader(events.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	body, more := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/auth/v1/scopes/expand", body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		_ = resp.Body.Close() // nothing is read of it
		answered <- resp.StatusCode
	}()
	if _, err := io.WriteString(more, `{"scopes": [`); err != nil {
		t.Fatal(err)
	}
	waits := func() bool {
		fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // connections are accepted in their order
		resp, err := fresh.Get(s.URL + "/api/queue/v1/provisioners/p/worker-types/w/workers")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it is read
		return err == nil && strings.Contains(string(text), `"waiting-one"`)
	}
	for deadline := time.Now().Add(time.Minute); !waits(); {
		select {
		case err := <-claimed:
			t.Fatalf("nobody waits for work: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the worker does not come")
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.App.Stop(context.WithoutCancel(t.Context())) }()
	for deadline := time.Now().Add(time.Minute); beat() == http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("the heartbeat says that all is well")
		}
	}
	if err := <-claimed; err != nil {
		t.Errorf("who waited for work got %v", err)
	}
	if rest, err := io.ReadAll(lines); err != nil {
		t.Errorf("the stream ended with %v after %q", err, rest)
	}
	_ = events.Body.Close() // it is read to its end
	select {
	case err := <-stopped:
		t.Fatalf("the server stopped beside a request: %v", err)
	default:
	}
	if _, err := io.Copy(more, strings.NewReader(`"a"]}`)); err != nil {
		t.Error(err)
	}
	_ = more.Close() // a pipe's end
	if got := <-answered; got != http.StatusOK {
		t.Errorf("the call that ran was answered %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
