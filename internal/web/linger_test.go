package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// lingering serves large bodies, and returns a connection to it; what is refused is thrown away for so long.
func lingering(t *testing.T, within time.Duration) net.Conn {
	t.Helper()
	form := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1000)
		if r.ParseForm() != nil {
			http.Error(w, "the form is too large", http.StatusRequestEntityTooLarge)
		}
	})
	handler, err := web.Mount([]web.Service{bulk()}, webtest.As("me"), web.Options{RootURL: "http://tc", Linger: within, Fallback: form})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

const head = "POST %s HTTP/1.1\r\nHost: tc\r\n%s\r\n"

func TestWhoWritesAllBeforeReadingHasTheAnswer(t *testing.T) {
	const size = 40 << 20 // more than the buffers of a connection hold
	text := strings.Repeat("x", size)
	for name, c := range map[string]struct {
		path, head, body, code string
		status                 int
	}{
		"too much":                {"/api/bulk/v1/open/abc", fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", size), text, "InputTooLarge", 413},
		"too much, length untold": {"/api/bulk/v1/open/abc", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, text), "InputTooLarge", 413},
		"without the scope":       {"/api/bulk/v1/early/abc", fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", size), text, "InsufficientScopes", 403},
		"a form":                  {"/form", fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", size), text, "the form is too large", 413},
	} {
		t.Run(name, func(t *testing.T) {
			conn := lingering(t, 0)
			if _, err := fmt.Fprintf(conn, head+"%s", c.path, c.head, c.body); err != nil {
				t.Fatalf("the body could not be written: %v", err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			said, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.status || !strings.Contains(string(said), c.code) || !answer.Close {
				t.Errorf("status %d, close %v, %v: %.300s", answer.StatusCode, answer.Close, err, said)
			}
		})
	}
}

func TestAConnectionIsUsedAgainWhenItsBodyWasRead(t *testing.T) {
	conn := lingering(t, 0)
	reader := bufio.NewReader(conn)
	for _, size := range []int{100, 300 << 10, 4 << 20, 100} {
		if _, err := fmt.Fprintf(conn, head+`{"a": "%s"}`, "/api/bulk/v1/open/abc", fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", size+9), strings.Repeat("x", size)); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil || answer.StatusCode != 200 || answer.Close {
			t.Fatalf("%d bytes: %v, %v", size, answer, err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

func TestWhoNeverStopsWritingIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		within time.Duration
		silent bool
	}{
		"after some bytes":  {time.Hour, false},
		"after some time":   {300 * time.Millisecond, false},
		"who sends nothing": {300 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := lingering(t, c.within)
			if _, err := fmt.Fprintf(conn, head, "/api/bulk/v1/open/abc", "Content-Type: application/json\r\nContent-Length: 1000000000000\r\n"); err != nil {
				t.Fatal(err)
			}
			var err error
			if c.silent {
				_, err = io.Copy(io.Discard, conn) // the answer, and the end
			} else {
				for piece := make([]byte, 1<<20); err == nil; {
					_, err = conn.Write(piece)
				}
			}
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Error("the connection is still open after 30 seconds")
			}
		})
	}
}
