package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

const patience = 300 * time.Millisecond

// impatient serves a service that takes a body and then waits longer than it would for a client, and
// one that never stops answering; ended tells when the latter gave up.
func impatient(t *testing.T) (address string, ended chan error) {
	t.Helper()
	ended = make(chan error, 2)
	endless := func(w http.ResponseWriter) error {
		for text := []byte(strings.Repeat("x", 1<<20)); ; {
			if _, err := w.Write(text); err != nil {
				return err
			}
		}
	}
	row := web.Endpoint{Title: "t", Description: "d", Category: "c", Stability: "stable"}
	slow, big := row, row
	slow.Name, slow.Method, slow.Route, slow.Input = "slow", "POST", "/slow", "any.json"
	slow.Handle = func(ctx context.Context, _ *web.Request) (any, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(3 * patience):
			return map[string]bool{"waited": true}, nil
		}
	}
	big.Name, big.Method, big.Route, big.Output = "big", "GET", "/big", web.Blob
	big.Handle = func(_ context.Context, r *web.Request) (any, error) {
		ended <- endless(r.Writer)
		return web.Streamed{}, nil
	}
	h, err := web.Mount([]web.Service{{
		Name: "s", Version: "v1", Title: "S", Description: "d", Endpoints: []web.Endpoint{slow, big},
		Schemas: fstest.MapFS{"any.json": {Data: []byte(`{"type": "object"}`)}},
	}}, webtest.As("c"), web.Options{
		Patience: patience,
		Fallback: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { ended <- endless(w) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), ended
}

func TestClientsThatTakeNoPartAreGivenUp(t *testing.T) {
	address, ended := impatient(t)
	send := func(t *testing.T, text string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(conn, text); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	const post = "POST /api/s/v1/slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

	t.Run("one that does not send its body", func(t *testing.T) {
		answer, err := http.ReadResponse(bufio.NewReader(send(t, fmt.Sprintf(post, 100, `{"a":`))), nil)
		if err != nil || answer.StatusCode != http.StatusBadRequest {
			t.Fatalf("%v, %v", answer, err)
		}
		answer.Body.Close()
	})
	for _, path := range []string{"/api/s/v1/big", "/a/page"} {
		t.Run("one that does not take its answer from "+path, func(t *testing.T) {
			send(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			select {
			case err := <-ended:
				if err == nil {
					t.Error("an endless answer ended")
				}
			case <-time.After(15 * time.Second):
				t.Error("the handler still writes")
			}
		})
	}
	t.Run("but one that waits for its answer is not", func(t *testing.T) {
		reader := bufio.NewReader(nil)
		conn := send(t, fmt.Sprintf(post, 2, `{}`))
		reader.Reset(conn)
		for range 2 { // twice, on the same connection
			answer, err := http.ReadResponse(reader, nil)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", answer, err)
			}
			if _, err := io.Copy(io.Discard, answer.Body); err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if _, err := fmt.Fprintf(conn, post, 2, `{}`); err != nil {
				t.Fatal(err)
			}
		}
	})
}
