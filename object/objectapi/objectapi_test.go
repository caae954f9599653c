package objectapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/object"
)

// bench is a server with a real store behind it; its caller may do everything unless said otherwise.
type bench struct {
	testing.TB
	store *object.Store
	root  string
}

func serve(t testing.TB, scopes ...string) bench {
	t.Helper()
	return serveWith(t, func(*object.Config) {}, scopes...)
}

func serveWith(t testing.TB, change func(*object.Config), scopes ...string) bench {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	root := "http://" + server.Listener.Addr().String()
	c := object.Config{Dir: t.TempDir(), RootURL: root, URLKey: []byte(strings.Repeat("k", 32)), Log: slog.New(slog.DiscardHandler)}
	change(&c)
	store, err := object.New(pgtest.DB(t), c)
	if err != nil {
		t.Fatal(err)
	}
	d := door{store, 300 * time.Millisecond}
	server.Config.Handler, err = web.Mount([]web.Service{d.service()}, webtest.As("someone", scopes...), web.Options{RootURL: root, CheckOutput: true, Patience: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(func() {
		if err := store.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return bench{t, store, root}
}

// head is what of an answer is not its body.
type head struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

// do makes a request to a path below the service, or to an absolute URL.
func (b bench) do(method, target string, body any, headers ...string) (head, []byte) {
	b.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			b.Fatal(err)
		}
		reader = bytes.NewReader(text)
		headers = append(headers, "Content-Type", "application/json")
	}
	if strings.HasPrefix(target, "/") {
		target = b.root + "/api/object/v1" + target
	}
	req, err := http.NewRequestWithContext(b.Context(), method, target, reader)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return head{resp.StatusCode, resp.Header, resp.ContentLength}, text
}

// want makes a request, checks its status and returns the answer.
func (b bench) want(status int, method, target string, body any, headers ...string) map[string]any {
	b.Helper()
	resp, text := b.do(method, target, body, headers...)
	if resp.StatusCode != status {
		b.Fatalf("%s %s: %d %s, want %d", method, target, resp.StatusCode, text, status)
	}
	var answer map[string]any
	if len(text) > 0 && json.Unmarshal(text, &answer) != nil {
		answer = map[string]any{"text": string(text)}
	}
	return answer
}

type members = map[string]any

func begun(methods members) members {
	return members{"projectId": "p", "uploadId": slug.New(), "expires": "2100-01-01T00:00:00.000Z", "proposedUploadMethods": methods}
}

func finishing(upload members, hashes members) members {
	return members{"projectId": upload["projectId"], "uploadId": upload["uploadId"], "hashes": hashes}
}

func method(answer map[string]any, name string) map[string]any {
	m, _ := answer["uploadMethod"].(map[string]any)[name].(map[string]any)
	return m
}

// make uploads an object inline.
func (b bench) make(name, contentType, text string) {
	b.Helper()
	up := begun(members{"dataInline": members{"contentType": contentType, "objectData": base64.StdEncoding.EncodeToString([]byte(text))}})
	path := url.PathEscape(name)
	if got := b.want(200, "PUT", "/upload/"+path, up); got["uploadMethod"].(map[string]any)["dataInline"] != true {
		b.Fatalf("answer %v", got)
	}
	b.want(404, "GET", "/metadata/"+path, nil)
	b.want(204, "POST", "/finish-upload/"+path, finishing(up, members{}))
}

func TestUploadAndDownload(t *testing.T) {
	b := serve(t, "*")
	const name, text = "t/abc/0/public/build/a b.txt", "hello, world"
	b.make(name, "text/plain", text)
	path := url.PathEscape(name)
	hashes := b.want(200, "GET", "/metadata/"+path, nil)["hashes"].(map[string]any)
	if hashes["sha256"] != "09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b" || len(hashes["sha512"].(string)) != 128 {
		t.Errorf("hashes %v", hashes)
	}
	t.Run("by getUrl, which is preferred, and simple", func(t *testing.T) {
		got := b.want(200, "PUT", "/start-download/"+path, members{"acceptDownloadMethods": members{"getUrl": true, "simple": true}})
		if diff := cmp.Diff(any(hashes), got["hashes"]); diff != "" || got["method"] != "getUrl" {
			t.Errorf("%v %s", got, diff)
		}
		if _, body := b.do("GET", got["url"].(string), nil); string(body) != text {
			t.Errorf("content %q", body)
		}
		if got := b.want(200, "PUT", "/start-download/"+path, members{"acceptDownloadMethods": members{"simple": true}}); got["method"] != "simple" {
			t.Errorf("%v", got)
		}
		if got := b.want(406, "PUT", "/start-download/"+path, members{"acceptDownloadMethods": members{}}); got["code"] != "NoMatchingMethod" {
			t.Errorf("%v", got)
		}
		b.want(404, "PUT", "/start-download/none", members{"acceptDownloadMethods": members{"simple": true}})
	})
	resp, _ := b.do("GET", "/download/"+path, nil)
	address := resp.Header.Get("Location")
	if resp.StatusCode != 303 {
		t.Fatalf("download answers %d", resp.StatusCode)
	}
	t.Run("the content comes with headers that guard the reader", func(t *testing.T) {
		resp, body := b.do("GET", address, nil)
		h := resp.Header
		if string(body) != text || h.Get("Content-Type") != "text/plain" || h.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox") || h.Get("Content-Disposition") != `inline; filename="a b.txt"` {
			t.Errorf("%q %v", body, h)
		}
	})
	t.Run("in ranges, and not at all when it is known", func(t *testing.T) {
		resp, body := b.do("GET", address, nil, "Range", "bytes=7-11")
		if resp.StatusCode != 206 || string(body) != "world" || resp.Header.Get("Content-Range") != "bytes 7-11/12" {
			t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
		etag := resp.Header.Get("ETag")
		if resp, _ := b.do("GET", address, nil, "If-None-Match", etag); resp.StatusCode != 304 {
			t.Errorf("known content: %d", resp.StatusCode)
		}
		if resp, _ := b.do("GET", address, nil, "Range", "bytes=12-"); resp.StatusCode != 416 {
			t.Errorf("behind the end: %d", resp.StatusCode)
		}
		if resp, body := b.do("HEAD", address, nil); resp.ContentLength != 12 || len(body) != 0 {
			t.Errorf("HEAD: %d %q", resp.ContentLength, body)
		}
	})
	t.Run("a changed URL is refused", func(t *testing.T) {
		b.want(401, "GET", address+"x", nil)
		b.want(401, "GET", strings.Replace(address, "/content/", "/stream/", 1), nil)
		b.want(401, "GET", strings.Replace(address, "a%20b", "c", 1), nil)
		b.want(401, "GET", b.root+"/api/object/v1/content/"+path, nil)
	})
	t.Run("pages are saved, not shown", func(t *testing.T) {
		for contentType, want := range map[string]string{"text/html; charset=utf-8": "attachment", "application/xhtml+xml": "attachment", "image/svg+xml": "attachment", "???": "attachment", "": "inline", "image/png": "inline", "application/json": "inline"} {
			name := "page/" + slug.New()
			b.make(name, contentType, "<script>")
			resp, _ := b.do("GET", "/download/"+url.PathEscape(name), nil)
			resp, _ = b.do("GET", resp.Header.Get("Location"), nil)
			if got, _, _ := strings.Cut(resp.Header.Get("Content-Disposition"), ";"); got != want {
				t.Errorf("%q is served as %q", contentType, got)
			}
		}
	})
}

func TestPutUpload(t *testing.T) {
	b := serve(t, "*")
	up := begun(members{"putUrl": members{"contentType": "text/plain", "contentLength": 5}, "append": members{"contentType": "text/plain"}})
	put := method(b.want(200, "PUT", "/upload/x", up), "putUrl")
	address := put["url"].(string)
	b.want(409, "POST", "/finish-upload/x", finishing(up, members{}))
	b.want(400, "PUT", address, "hello", "Content-Type", "text/html")
	b.want(400, "PUT", address, "hell", "Content-Type", "text/plain")
	b.want(401, "PUT", address+"x", "hello", "Content-Type", "text/plain")
	b.want(200, "PUT", address, "hello", "Content-Type", "text/plain")
	b.want(400, "POST", "/finish-upload/x", finishing(up, members{"sha256": strings.Repeat("0", 64)}))
	b.want(204, "POST", "/finish-upload/x", finishing(up, members{"sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}))
	b.want(204, "POST", "/finish-upload/x", finishing(up, members{}))
	b.want(409, "PUT", address, "later", "Content-Type", "text/plain")
	t.Run("nothing proposed is no way, but fixes the upload", func(t *testing.T) {
		up := begun(members{})
		if got := b.want(200, "PUT", "/upload/y", up); len(got["uploadMethod"].(map[string]any)) != 0 {
			t.Errorf("%v", got)
		}
		b.want(409, "PUT", "/upload/y", begun(members{}))
		b.want(400, "PUT", "/upload/z", begun(members{"other": true}))
	})
}

func TestAppendUploadIsFollowed(t *testing.T) {
	b := serve(t, "*")
	up := begun(members{"append": members{"contentType": "text/plain; charset=utf-8"}})
	m := method(b.want(200, "PUT", "/upload/log", up), "append")
	appendURL, streamURL := m["appendUrl"].(string), m["streamUrl"].(string)
	add := func(status int, offset, piece string) {
		t.Helper()
		b.want(status, "POST", appendURL+"&offset="+offset, piece)
	}
	add(200, "0", "one\n")
	if got := b.want(409, "POST", appendURL+"&offset=9", "x"); got["size"] != 4.0 {
		t.Errorf("a gap: %v", got)
	}
	b.want(400, "POST", appendURL, "x")
	b.want(416, "GET", streamURL, nil, "Range", "bytes=5-")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, streamURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=2-")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Range"); resp.StatusCode != 206 || !strings.HasPrefix(got, "bytes 2-") {
		t.Errorf("%d %s", resp.StatusCode, got)
	}
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	read("e\n") // what is there comes at once, though the upload goes on
	add(200, "4", "two\n")
	read("two\n")
	add(200, "4", "two\n")
	add(200, "8", "three\n")
	b.want(204, "POST", "/finish-upload/log", finishing(up, members{}))
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "three\n" {
		t.Errorf("%q, %v", rest, err)
	}
	t.Run("afterwards the same URL serves the object", func(t *testing.T) {
		resp, body := b.do("GET", streamURL, nil, "Range", "bytes=8-")
		if resp.StatusCode != 206 || string(body) != "three\n" || resp.Header.Get("Content-Range") != "bytes 8-13/14" {
			t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
		b.want(416, "GET", streamURL, nil, "Range", "bytes=14-")
		add(200, "8", "three\n")
		add(409, "14", "four\n")
	})
}

func TestScopesAreNeeded(t *testing.T) {
	up := begun(members{"append": members{"contentType": "text/plain"}})
	for _, c := range []struct {
		method, path, scope string
		body                any
		status              int
	}{
		{"PUT", "/upload/a%2Fb", "object:upload:p:a/b", up, 200},
		{"POST", "/finish-upload/a%2Fb", "object:upload:p:a/b", finishing(up, members{}), 404},
		{"PUT", "/start-download/a%2Fb", "object:download:a/b", members{"acceptDownloadMethods": members{"simple": true}}, 404},
		{"GET", "/metadata/a%2Fb", "object:download:a/b", nil, 404}, {"GET", "/download/a%2Fb", "object:download:a/b", nil, 404},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			if got := serve(t, "object:upload:q:*", "object:download:a").want(403, c.method, c.path, c.body); !strings.Contains(got["message"].(string), "```\n"+c.scope+"\n```") {
				t.Errorf("message %v", got["message"])
			}
			serve(t, c.scope).want(c.status, c.method, c.path, c.body)
		})
	}
}

// TestStalledClients checks that a client that stops in the middle is given up, whether it sends or
// receives.
func TestStalledClients(t *testing.T) {
	b := serve(t, "*")
	up := begun(members{"append": members{"contentType": "text/plain"}})
	m := method(b.want(200, "PUT", "/upload/log", up), "append")
	u, err := url.Parse(m["appendUrl"].(string))
	if err != nil {
		t.Fatal(err)
	}
	dial := func(t *testing.T, request string) net.Conn {
		t.Helper()
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	t.Run("sending", func(t *testing.T) {
		conn := dial(t, "POST "+u.RequestURI()+"&offset=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
		answer, err := io.ReadAll(conn) // the server answers and hangs up; else the deadline above fails the test
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
			t.Errorf("%q, %v", answer, err)
		}
		if got := b.want(409, "POST", u.String()+"&offset=99", ""); got["size"] != 4.0 {
			t.Errorf("what came is kept: %v", got)
		}
	})
	t.Run("receiving", func(t *testing.T) {
		big := strings.Repeat("0123456789abcdef", 4<<20) // 64 MiB: more than the sockets' buffers
		o, err := b.store.Put(t.Context(), "big", "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader(big), "")
		if err != nil {
			t.Fatal(err)
		}
		address, err := b.store.DownloadURL(t.Context(), o.Name)
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, "GET "+strings.TrimPrefix(address, b.root)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		first := make([]byte, 12)
		if _, err := io.ReadFull(conn, first); err != nil || string(first) != "HTTP/1.1 200" {
			t.Fatalf("%q, %v", first, err)
		}
		stalled := time.NewTimer(time.Second)
		defer stalled.Stop()
		<-stalled.C // three times what the server waits
		n, err := io.Copy(io.Discard, conn)
		if n >= int64(len(big)) {
			t.Errorf("all %d bytes came, %v", n, err)
		}
	})
}
