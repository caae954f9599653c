package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/s3test"
)

func TestS3Troubles(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	proxy := s3test.NewProxy(t, server)
	s := bucket(t, proxy.Endpoint, server.Bucket(t))
	ctx := t.Context()
	data := noise(9 << 20)
	// some spoils the first n requests of a method.
	some := func(method string, n int32, f s3test.Fault) {
		var seen atomic.Int32
		proxy.Spoil(func(r *http.Request) s3test.Fault {
			if r.Method == method && seen.Add(1) <= n {
				return f
			}
			return s3test.Fault{}
		})
	}
	t.Run("answers of 503 and 500 are tried again", func(t *testing.T) {
		for _, size := range []int{1000, len(data)} {
			some(http.MethodPut, 2, s3test.Fault{Status: 503})
			sum := put(t, s, data[:size])
			some(http.MethodGet, 2, s3test.Fault{Status: 500})
			wantBytes(t, s, data[:size])
			if err := s.Remove(ctx, sum); err != nil {
				t.Fatal(err)
			}
		}
	})
	sum := put(t, s, data)
	t.Run("an answer that breaks off is asked for from there", func(t *testing.T) {
		some(http.MethodGet, 3, s3test.Fault{CutAt: 1 << 20})
		wantBytes(t, s, data)
		if n := len(proxy.Requests()); n != 5 { // HEAD, and GET four times
			t.Errorf("requests %v", proxy.Requests())
		}
	})
	t.Run("one that stands still as well", func(t *testing.T) {
		s.patient = 200 * time.Millisecond
		defer func() { s.patient = 30 * time.Second }()
		some(http.MethodGet, 1, s3test.Fault{Stall: true})
		wantBytes(t, s, data)
		some(http.MethodGet, 1, s3test.Fault{Mute: true})
		wantBytes(t, s, data)
	})
	t.Run("but not for ever", func(t *testing.T) {
		some(http.MethodGet, 1000, s3test.Fault{CutAt: 100})
		r, err := s.Open(ctx, sum, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := r.Seek(100, io.SeekStart); err != nil || got != 100 {
			t.Fatal(err)
		}
		proxy.Spoil(func(r *http.Request) s3test.Fault { return s3test.Fault{Status: 403} })
		_, err = io.ReadAll(r)
		wantKind(t, err, fault.Unavailable)
	})
	t.Run("who leaves does not wait", func(t *testing.T) {
		some(http.MethodGet, 1000, s3test.Fault{Stall: true})
		ctx, cancel := context.WithCancel(ctx)
		r, err := s.Open(ctx, sum, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	proxy.Spoil(nil)
	t.Run("a service that refuses is unavailable, and nobody learns the keys", func(t *testing.T) {
		proxy.Spoil(func(*http.Request) s3test.Fault { return s3test.Fault{Status: 403} })
		_, err := s.Receive(ctx, bytes.NewReader(data), 1<<30)
		wantKind(t, err, fault.Unavailable)
		if err != nil && strings.Contains(err.Error(), s3test.SecretKey) {
			t.Error(err)
		}
		_, err = s.Stat(ctx, sum)
		wantKind(t, err, fault.Unavailable)
	})
}

// TestS3Killed has the service die during an upload in parts: what it said it had it has when it is
// back, and the upload goes on.
func TestS3Killed(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := bucket(t, server.Endpoint, server.Bucket(t))
	ctx := t.Context()
	data := noise(20 << 20)
	parts := cut(t, data)
	ticket, err := s.BeginParts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sendPart(t, s, ticket, &parts[0], data)
	slow, w := io.Pipe()
	go func() {
		_, _ = w.Write(data[parts[1].Offset : parts[1].Offset+100]) // the reader may leave
		server.Kill()
		_ = w.CloseWithError(errLeft) // never fails
	}()
	if _, err := s.PutPart(ctx, ticket, parts[1], slow); err == nil {
		t.Error("a part came to a dead service")
	}
	server.Run(t)
	sendPart(t, s, ticket, &parts[1], data)
	server.Kill()
	server.Run(t)
	sendPart(t, s, ticket, &parts[2], data)
	staged, err := s.JoinParts(ctx, ticket, parts)
	if err == nil {
		err = s.Place(ctx, staged)
	}
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Run(t)
	wantBytes(t, s, data)
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := bucket(t, server.Endpoint, server.Bucket(t))
	ctx := t.Context()
	do := func(method, address string, body []byte, headers map[string]string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, string(text)
	}
	t.Run("to read", func(t *testing.T) {
		sum := put(t, s, []byte("hello"))
		address, err := s.SignGet(ctx, sum, Served{ContentType: "text/x-log", Disposition: `inline; filename="a b.txt"`}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		status, h, text := do(http.MethodGet, address, nil, nil)
		if status != 200 || text != "hello" || h.Get("Content-Type") != "text/x-log" || !strings.Contains(h.Get("Content-Disposition"), "a b.txt") {
			t.Errorf("%d %q %v", status, text, h)
		}
		if status, _, text := do(http.MethodGet, address, nil, map[string]string{"Range": "bytes=1-2"}); status != 206 || text != "el" {
			t.Errorf("a range: %d %q", status, text)
		}
		if status, _, _ := do(http.MethodGet, strings.Replace(address, "x-log", "html", 1), nil, nil); status != 403 {
			t.Errorf("a changed URL: %d", status)
		}
	})
	t.Run("to write, what is looked at is what is placed", func(t *testing.T) {
		ticket := s.NewPut()
		_, err := s.Inspect(ctx, ticket)
		wantNone(t, err)
		address, headers, err := s.SignPut(ctx, ticket, 5, "text/plain", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, text := do(http.MethodPut, address, []byte("larger"), map[string]string{"Content-Type": "text/plain"}); status == 200 {
			t.Errorf("another length: %d %s", status, text)
		}
		if status, _, text := do(http.MethodPut, address, []byte("hello"), headers); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		staged, err := s.Inspect(ctx, ticket)
		if err != nil || staged.Sums != sumsOf(t, []byte("hello")) {
			t.Fatalf("%+v, %v", staged, err)
		}
		if status, _, _ := do(http.MethodPut, address, []byte("other"), headers); status != 200 {
			t.Fatal(status)
		}
		if err := errors.Join(s.Remove(ctx, staged.SHA256), s.Place(ctx, staged)); err == nil {
			t.Error("bytes were placed that came after the look")
		}
		_, err = s.Stat(ctx, staged.SHA256)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
	t.Run("with another host when clients have another way", func(t *testing.T) {
		other, err := OpenS3(S3Config{Endpoint: server.Endpoint, PublicEndpoint: "https://files.example.com", Bucket: s.bucket, AccessKey: "a", SecretKey: "s"})
		if err != nil {
			t.Fatal(err)
		}
		address, err := other.SignGet(ctx, sumsOf(t, nil).SHA256, Served{ContentType: "text/plain", Disposition: "inline"}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || !strings.HasSuffix(u.Host, "files.example.com") {
			t.Errorf("%s, %v", address, err)
		}
	})
}
