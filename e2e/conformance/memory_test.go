package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// endless is a body that never ends; it counts what is taken of it.
type endless struct {
	head, more string
	taken      atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	if at := e.taken.Load(); at < int64(len(e.head)) {
		n = copy(p, e.head[at:])
	}
	for n < len(p) {
		n += copy(p[n:], e.more)
	}
	e.taken.Add(int64(n))
	return n, nil
}

// TestNoBodyFillsTheMemory sends bodies that never end, with and without credentials, to every
// endpoint that takes JSON: each is refused when its limit is reached, and early for strangers.
func TestNoBodyFillsTheMemory(t *testing.T) {
	s := serve(t)
	const slack = 32 << 20 // what the sockets of both sides may hold
	c := browser()
	defer c.CloseIdleConnections()
	before := heap()
	var peak atomic.Int64
	for _, x := range targets(t) {
		if x.body == nil {
			continue
		}
		limit := int64(10 << 20)
		if x.Name == "createTasks" {
			limit = 64 << 20
		}
		for _, unsigned := range []bool{false, true} {
			body := &endless{head: `{"a": "`, more: strings.Repeat("x", 4096)}
			got, err := s.send(t, c, request{method: strings.ToUpper(x.Method), path: x.path(x.good(), ""), header: jsonHeader(), body: body, unsigned: unsigned})
			name := fmt.Sprintf("%s, signed: %t", x.key(), !unsigned)
			switch {
			case err != nil && !broken(err):
				t.Errorf("%s: %v", name, err)
			case err == nil && !got.left && (got.status < 400 || got.problem() != ""):
				t.Errorf("%s: %d %s", name, got.status, got.problem())
			case body.taken.Load() > limit+slack:
				t.Errorf("%s: %d bytes were taken", name, body.taken.Load())
			}
			peak.Store(max(peak.Load(), heap()-before))
		}
	}
	if most := int64(512 << 20); peak.Load() > most {
		t.Errorf("the heap grew by %d bytes", peak.Load())
	}
	runtime.GC()
	if left := heap() - before; left > 128<<20 {
		t.Errorf("%d bytes stay in use", left)
	}
	t.Logf("the heap grew by at most %d MiB", peak.Load()>>20)
}

// broken reports whether the server closed the connection on a client that went on sending, before
// the client read the answer.
func broken(err error) bool {
	text := err.Error()
	return strings.Contains(text, "broken pipe") || strings.Contains(text, "connection reset") || strings.Contains(text, "use of closed")
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestTooLargeIsSaidBeforeAnythingIsSent announces bodies that are too large: the answer does not wait
// for them.
func TestTooLargeIsSaidBeforeAnythingIsSent(t *testing.T) {
	s := serve(t).populate(t)
	for length, want := range map[int64]int{10<<20 + 1: http.StatusRequestEntityTooLarge, 1 << 50: http.StatusRequestEntityTooLarge} {
		status, body := s.raw(t, fmt.Sprintf("POST /api/auth/v1/test-authenticate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length), false)
		if status != want || !strings.Contains(body, "InputTooLarge") {
			t.Errorf("%d bytes: %d %s", length, status, body)
		}
	}
}

// TestRequestsThatAreNoHTTP sends what no client would: the answer is a refusal, or the end of the
// connection.
func TestRequestsThatAreNoHTTP(t *testing.T) {
	s := serve(t)
	post := "POST /api/auth/v1/test-authenticate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"a body that is cut": post + "Content-Length: 100\r\n\r\n{\"a\":", "two lengths": post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a length and pieces": post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "a negative length": post + "Content-Length: -1\r\n\r\n{}",
		"pieces that are none": post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "a piece that is cut": post + "Transfer-Encoding: chunked\r\n\r\nff\r\n{}",
		"an unknown coding": post + "Transfer-Encoding: rot13\r\n\r\n{}", "an escape that is none": "GET /api/queue/v1/task/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"no host": "GET /api/queue/v1/ping HTTP/1.1\r\n\r\n", "a raw zero": "GET /api/queue/v1/task/a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", "raw Unicode": "GET /api/queue/v1/task/ü HTTP/1.1\r\nHost: x\r\n\r\n",
		"a large header": "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 200000) + "\r\n\r\n",
		"a long path":    "GET /" + strings.Repeat("a", 200000) + " HTTP/1.1\r\nHost: x\r\n\r\n", "many headers": "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 50000) + "\r\n",
		"a whole address": "GET http://elsewhere.example/api/queue/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", "only a star": "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"another version": "GET /ping HTTP/9.9\r\nHost: x\r\n\r\n", "rubbish": "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
	} {
		if status, body := s.raw(t, text, strings.Contains(name, "cut")); status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported {
			t.Errorf("%s: %d %.300s", name, status, body)
		} else if status < 400 && status != 0 && name != "only a star" {
			t.Errorf("%s is taken: %d", name, status)
		}
	}
}

// raw sends text over a connection, and its end if told so, and returns the answer; the status is 0
// when the server only closed the connection.
func (s *server) raw(t *testing.T, text string, end bool) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil && !broken(err) {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && end {
		_ = tcp.CloseWrite() // the server may have closed it already
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what came is told
	return resp.StatusCode, string(body)
}

// TestManyLargeBodiesAtOnce sends as many of the largest bodies as a server might get at a bad moment.
func TestManyLargeBodiesAtOnce(t *testing.T) {
	const clients = 6
	s := serve(t)
	body := append(append([]byte(`{"scopes": ["`), bytes.Repeat([]byte("x"), 10<<20-100)...), `"]}`...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := heap()
	var peak atomic.Int64
	var watch, group sync.WaitGroup
	watched, stop := context.WithCancel(ctx)
	watch.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for watched.Err() == nil {
			peak.Store(max(peak.Load(), heap()-before))
			<-tick.C
		}
	})
	c := browser()
	defer c.CloseIdleConnections()
	for range clients {
		group.Go(func() {
			got, err := s.send(t, c, request{method: "POST", path: "/api/auth/v1/scopes/expand", header: jsonHeader(), body: bytes.NewReader(body), unsigned: true})
			if err != nil && !broken(err) || err == nil && got.problem() != "" {
				t.Errorf("%d %s %v", got.status, got.problem(), err)
			}
		})
	}
	group.Wait()
	stop()
	watch.Wait()
	if most := int64(8 * clients * len(body)); peak.Load() > most {
		t.Errorf("the heap grew by %d MiB for %d MiB of bodies", peak.Load()>>20, clients*len(body)>>20)
	}
	t.Logf("the heap grew by at most %d MiB", peak.Load()>>20)
}
