package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/treeline-ci/treeline/auth/hawk"
)

// wire is one connection to the server, kept open, on which one call follows the other. It does for a
// call what it must, signature included, and no more: on a machine that it shares with the server,
// what the load costs is missing from what is measured. It belongs to one goroutine.
type wire struct {
	root *url.URL
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
}

// signature has what calls are signed with, made once for many calls.
type signature struct {
	credentials hawk.Credentials
	ext         string
}

func newSignature(c hawk.Credentials) (signature, error) {
	ext, err := hawk.Ext(c)
	return signature{c, ext}, err
}

// callPatience is how long an answer may take, long polls included.
const callPatience = 60 * time.Second

// call sends a request and reads the answer into out; nil skips it. Answers other than 200 are errors.
// path is percent-encoded, with its query. After an error the next call opens a new connection.
func (w *wire) call(ctx context.Context, s signature, method, path string, body []byte, out any) error {
	err := w.exchange(ctx, s, method, path, body, out)
	if failed := (*statusError)(nil); err != nil && !errors.As(err, &failed) {
		w.close()
	}
	return err
}

// statusError is an answer that says no.
type statusError struct {
	method, path, status, body string
}

// Error implements error.
func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %s: %s", e.method, e.path, e.status, e.body)
}

func (w *wire) exchange(ctx context.Context, s signature, method, path string, body []byte, out any) error {
	if err := w.dial(ctx); err != nil {
		return err
	}
	if err := w.write(s, method, path, body); err != nil {
		return err
	}
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return fmt.Errorf("bench: %s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Errorf("bench: %s %s: %w", method, path, err)
		}
		return &statusError{method, path, resp.Status, string(text)}
	}
	if out != nil {
		if err := json.UnmarshalRead(resp.Body, out); err != nil {
			return fmt.Errorf("bench: %s %s: %w", method, path, err)
		}
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("bench: %s %s: %w", method, path, err)
	}
	if resp.Close {
		w.close()
	}
	return nil
}

// write sends the request in one piece.
func (w *wire) write(s signature, method, path string, body []byte) error {
	header, err := hawk.Header(s.credentials, method, w.root.String()+path, time.Now(), hawk.Nonce(), s.ext, "")
	if err != nil {
		return err
	}
	b := &w.out
	b.Reset()
	b.WriteString(method + " " + path + " HTTP/1.1\r\nHost: " + w.root.Host + "\r\nAuthorization: " + header + "\r\n")
	if body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	if _, err := w.conn.Write(b.Bytes()); err != nil {
		return fmt.Errorf("bench: %s %s: %w", method, path, err)
	}
	return nil
}

// dial opens the connection when there is none, and gives the call its time.
func (w *wire) dial(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.conn == nil {
		host := w.root.Host
		if w.root.Port() == "" {
			host = net.JoinHostPort(w.root.Hostname(), map[string]string{"http": "80", "https": "443"}[w.root.Scheme])
		}
		var (
			conn net.Conn
			err  error
		)
		if w.root.Scheme == "https" {
			conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", host)
		} else {
			conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", host)
		}
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		w.conn, w.in = conn, bufio.NewReader(conn)
	}
	return w.conn.SetDeadline(time.Now().Add(callPatience))
}

// close closes the connection, if there is one: whatever was on it is lost anyway.
func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}
