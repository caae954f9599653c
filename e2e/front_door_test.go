package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// raw sends a request as it is written, which no client of good manners would do, and returns the
// answer.
func (m *machine) raw(t *testing.T, request string, body io.Reader) (status int, answer string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, io.MultiReader(strings.NewReader(request), body))
		sent <- err
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	// A server that leaves bytes of ours unread resets the connection, which may cut its own text.
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("half an answer: %v", err)
	}
	conn.Close()
	<-sent // an error is the server's right: it need not read on
	return resp.StatusCode, string(text)
}

// endless is n bytes of a JSON string that never ends.
func endless(n int64) io.Reader { return io.LimitReader(letters{}, n) }

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestOddRequestsAreRefusedPolitely(t *testing.T) {
	m := shared(t)
	from := m.out.len()
	const id = "fN1SbArXTPSVFNUvaOlinQ"
	const size = 11 << 20
	for _, c := range []struct {
		name    string
		line    string // method and target
		headers string
		body    io.Reader
		status  int
		want    string // in the answer
	}{
		{"an unknown page", "GET /nothing/here", "", nil, 404, "<html"},
		{"an unknown method of a service", "GET /api/queue/v1/nothing", "", nil, 404, `"error": "Not found"`},
		{"an unknown service", "GET /api/nothing/v1/ping", "", nil, 404, `"error": "Not found"`},
		{"an unknown version", "GET /api/queue/v9/ping", "", nil, 404, `"error": "Not found"`},
		{"a verb that the route does not have", "DELETE /api/queue/v1/task/" + id, "", nil, 404, `"error": "Not found"`},
		{"a verb that nobody knows", "FROBNICATE /jobs?repo=pebble", "", nil, 404, ""},
		{"an escaped slash in an id", "GET /api/queue/v1/task/abc%2Fdef", "", nil, 400, "InvalidRequestArguments"},
		{"letters of far away in an id", "GET /api/queue/v1/task/%E6%9C%A8%E3%81%AE%E7%B7%9A%E6%9C%A8%E3%81%AE%E7%B7%9A%E6%9C%A8", "", nil, 400, "InvalidRequestArguments"},
		{"bytes that are no text", "GET /api/queue/v1/task/%FF%FE", "", nil, 400, "InvalidRequestArguments"},
		{"a broken escape", "GET /api/queue/v1/task/%zz", "", nil, 400, ""},
		{"a zero byte in an id", "GET /api/queue/v1/task/%00", "", nil, 400, "InvalidRequestArguments"},
		{"a zero byte in an index path", "GET /api/index/v1/task/a.%00", "", nil, 400, "InvalidRequestArguments"},
		{"a query parameter of the wrong form", "GET /api/queue/v1/task-group/" + id + "/list?limit=many", "", nil, 400, "InvalidRequestArguments"},
		{"a task that is not there", "GET /api/queue/v1/task/" + id, "", nil, 404, "ResourceNotFound"},
		{"an artifact with a path upwards", "GET /api/queue/v1/task/" + id + "/artifacts/public/..%2F..%2Fsecrets.json", "", nil, 404, "ResourceNotFound"},
		{"a content with a path upwards", "GET /api/object/v1/content/..%2F..%2Fsecrets.json", "", nil, 401, "AuthenticationFailed"},
		{"an asset with a path upwards", "GET /ui/assets/..%2F..%2Fui.go", "", nil, 404, ""},
		{"an authorization of another kind", "GET /api/auth/v1/scopes/current", "Authorization: Basic QWxhZGRpbg==\r\n", nil, 401, "AuthenticationFailed"},
		{"an authorization that is noise", "GET /api/auth/v1/scopes/current", "Authorization: Hawk id=\"\\\x80\"\r\n", nil, 401, "AuthenticationFailed"},
		{"a task from nobody", "PUT /api/queue/v1/task/" + id, "Content-Type: application/json\r\nContent-Length: 2\r\n", strings.NewReader("{}"), 400, "InputValidationError"},
		{"a body that is not JSON", "PUT /api/queue/v1/task/" + id, "Content-Type: application/json\r\nContent-Length: 5\r\n", strings.NewReader("{\"a\":"), 400, "MalformedPayload"},
		{"a body of another type", "PUT /api/queue/v1/task/" + id, "Content-Type: text/plain\r\nContent-Length: 2\r\n", strings.NewReader("{}"), 400, "MalformedPayload"},
		{"a body too large, announced", "PUT /api/queue/v1/task/" + id, fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", size), endless(size), 413, "InputTooLarge"},
		{"a header too large", "GET /api/queue/v1/ping", "X-Large: " + strings.Repeat("a", 200<<10) + "\r\n", nil, 431, ""},
		{"two lengths", "PUT /api/queue/v1/task/" + id, "Content-Length: 2\r\nContent-Length: 3\r\n", strings.NewReader("{}"), 400, ""},
		{"a repository that is not there", "GET /jobs?repo=nothing", "", nil, 404, "nothing"},
		{"a repository with a zero byte", "GET /jobs?repo=%00", "", nil, 400, "zero byte"},
		{"a revision with a zero byte", "GET /jobs?repo=pebble&revision=%00", "", nil, 400, "zero byte"},
		{"a push that is no number", "GET /ui/api/jobs?repo=pebble&push=x", "", nil, 400, ""},
		{"a task page of no task", "GET /tasks/%F0%9F%8C%B2", "", nil, 404, ""},
		{"markup as a repository", "GET /jobs?repo=%3Cscript%3E", "", nil, 404, "&lt;script&gt;"},
		{"a git repository that is not there", "GET /git/nothing/info/refs?service=git-upload-pack", "", nil, 404, ""},
		{"a git path upwards", "GET /git/..%2F..%2Fetc/info/refs?service=git-upload-pack", "", nil, 404, ""},
		{"a git push", "GET /git/pebble/info/refs?service=git-receive-pack", "", nil, 403, "only fetching"},
		{"git noise", "POST /git/pebble/git-upload-pack", "Content-Encoding: gzip\r\nContent-Length: 5\r\n", strings.NewReader("noise"), 400, "gzip"},
		{"a sign-in from elsewhere", "POST /login", "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n", strings.NewReader("a=b"), 403, ""},
		{"an act without a session", "POST /ui/api/tasks/" + id + "/cancel", "Content-Type: application/json\r\nContent-Length: 2\r\n", strings.NewReader("{}"), 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := shared(t)
			body := c.body
			if body == nil {
				body = strings.NewReader("")
			}
			status, answer := m.raw(t, c.line+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"+c.headers+"\r\n", body)
			if status != c.status || !strings.Contains(strings.ToLower(answer), strings.ToLower(c.want)) {
				t.Errorf("%d, want %d with %q: %s", status, c.status, c.want, tail(answer, 600))
			}
			if strings.Contains(answer, "<script>") {
				t.Error("markup came back as it was sent")
			}
		})
	}
	for _, path := range []string{"/jobs?repo=pebble", "/api/queue/v1/ping", "/git/pebble/info/refs?service=git-upload-pack"} {
		t.Run("another site's name for this machine, at "+path, func(t *testing.T) {
			m := shared(t)
			status, answer := m.raw(t, "GET "+path+" HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n", strings.NewReader(""))
			if status != http.StatusMisdirectedRequest || strings.Contains(answer, "pebble") {
				t.Errorf("%d: %s", status, tail(answer, 600))
			}
		})
	}
	if said := m.out.from(from); strings.Contains(said, "level=ERROR") || strings.Contains(said, "panic") {
		t.Errorf("the server found fault with itself:\n%s", tail(said, 4000))
	}
}
