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

// lingering serves large bodies, of which it throws away so many bytes, for so long.
func lingering(t *testing.T, most int64, within time.Duration) net.Conn {
	t.Helper()
	handler, err := web.Mount([]web.Service{bulk()}, webtest.As("me"), web.Options{RootURL: "http://tc"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(web.Linger(handler, most, within))
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

const bulkHead = "POST /api/bulk/v1/%s/abc HTTP/1.1\r\nHost: tc\r\nContent-Type: application/json\r\n%s\r\n"

func TestWhoWritesAllBeforeReadingHasTheAnswer(t *testing.T) {
	const size = 40 << 20 // more than the buffers of a connection hold
	text := strings.Repeat("x", size)
	for name, c := range map[string]struct {
		way, head, body, code string
		status                int
	}{
		"too much":                {"open", fmt.Sprintf("Content-Length: %d\r\n", size), text, "InputTooLarge", 413},
		"too much, length untold": {"open", "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, text), "InputTooLarge", 413},
		"without the scope":       {"early", fmt.Sprintf("Content-Length: %d\r\n", size), text, "InsufficientScopes", 403},
	} {
		t.Run(name, func(t *testing.T) {
			conn := lingering(t, web.LingerBytes, web.LingerTime)
			if _, err := fmt.Fprintf(conn, bulkHead+"%s", c.way, c.head, c.body); err != nil {
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
	conn := lingering(t, web.LingerBytes, web.LingerTime)
	reader := bufio.NewReader(conn)
	for _, size := range []int{100, 300 << 10, 4 << 20, 100} {
		if _, err := fmt.Fprintf(conn, bulkHead+`{"a": "%s"}`, "open", fmt.Sprintf("Content-Length: %d\r\n", size+9), strings.Repeat("x", size)); err != nil {
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
		most   int64
		within time.Duration
		silent bool
	}{
		"after some bytes":  {16 << 20, time.Hour, false},
		"after some time":   {1 << 40, 300 * time.Millisecond, false},
		"who sends nothing": {1 << 40, 300 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := lingering(t, c.most, c.within)
			if _, err := fmt.Fprintf(conn, bulkHead, "open", "Content-Length: 1000000000000\r\n"); err != nil {
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
