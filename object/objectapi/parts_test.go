package objectapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/object/store"
)

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestPartsUpload(t *testing.T) {
	b := serve(t, "*")
	content := strings.Repeat("0123456789abcdef", 9<<16) // 9 MiB: two parts
	up := begun(members{"parts": members{"contentType": "text/plain", "contentLength": len(content)}})
	m := method(b.want(200, "PUT", "/upload/large", up), "parts")
	address, size := m["url"].(string), int(m["partSize"].(float64))
	first, second := content[:size], content[size:]
	put := func(status int, number int, sum, piece string) map[string]any {
		t.Helper()
		return b.want(status, "PUT", fmt.Sprintf("%s&part=%d&sha256=%s", address, number, sum), piece)
	}
	b.want(400, "PUT", address, second)
	b.want(400, "PUT", address+"&part=x&sha256="+sumOf(second), second)
	put(400, 3, sumOf(second), second)
	put(400, 2, sumOf(first), second)
	put(400, 2, sumOf(second), first)
	b.want(401, "POST", strings.Replace(address, "/parts/", "/append/", 1)+"&offset=0", second)
	b.want(401, "GET", address+"x", nil)
	want := map[string]any{"part": 2.0, "size": float64(len(second)), "sha256": sumOf(second)}
	if diff := cmp.Diff(want, put(200, 2, sumOf(second), second)); diff != "" {
		t.Error(diff)
	}
	state := b.want(200, "GET", address, nil)
	if diff := cmp.Diff(map[string]any{"partSize": float64(size), "count": 2.0, "parts": []any{want}}, state); diff != "" {
		t.Error(diff)
	}
	b.want(409, "POST", "/finish-upload/large", finishing(up, members{}))
	put(200, 1, sumOf(first), first)
	b.want(204, "POST", "/finish-upload/large", finishing(up, members{"sha256": sumOf(content)}))
	b.want(204, "POST", "/finish-upload/large", finishing(up, members{}))
	put(409, 1, sumOf(first), first)
	resp, _ := b.do("GET", "/download/large", nil)
	if _, body := b.do("GET", resp.Header.Get("Location"), nil); string(body) != content {
		t.Errorf("%d bytes", len(body))
	}
}

// TestStoresOfRegions has a server with a bucket that clients reach themselves, and one that they do
// not, in another region.
func TestStoresOfRegions(t *testing.T) {
	s3 := s3test.Start(t)
	bucket := func() store.Store {
		s, err := store.OpenS3(store.S3Config{Endpoint: s3.Endpoint, Bucket: s3.Bucket(t), AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	near := bucket()
	b := serveWith(t, func(c *object.Config) {
		c.Places = []object.Place{{Name: "far", Region: "far", Store: bucket(), DirectReads: true, DirectUploads: true}, {Name: "near", Region: "near", Store: near}}
		c.Uploads = "far"
		c.Regions = object.Regions{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Header: "X-Region"}
	}, "*")
	const content = "hello, regions"
	up := begun(members{"putUrl": members{"contentType": "text/plain", "contentLength": len(content)}})
	m := method(b.want(200, "PUT", "/upload/x", up), "putUrl")
	var headers []string
	for name, value := range m["headers"].(map[string]any) {
		headers = append(headers, name, value.(string))
	}
	if !strings.HasPrefix(m["url"].(string), s3.Endpoint) {
		t.Fatalf("%v", m)
	}
	b.want(200, "PUT", m["url"].(string), content, headers...)
	b.want(204, "POST", "/finish-upload/x", finishing(up, members{"sha256": sumOf(content)}))
	download := func(headers ...string) (where, text string) {
		t.Helper()
		resp, _ := b.do("GET", "/download/x", nil, headers...)
		where = resp.Header.Get("Location")
		_, body := b.do("GET", where, nil, headers...)
		return where, string(body)
	}
	if where, text := download(); !strings.HasPrefix(where, s3.Endpoint) || text != content {
		t.Errorf("from home: %s %q", where, text)
	}
	t.Run("a page's script is not sent elsewhere", func(t *testing.T) {
		if where, text := download("Sec-Fetch-Mode", "cors"); !strings.HasPrefix(where, b.root) || text != content {
			t.Errorf("%s %q", where, text)
		}
	})
	t.Run("a reader of another region gets a copy", func(t *testing.T) {
		where, text := download("X-Region", "near")
		if !strings.HasPrefix(where, b.root) || text != content {
			t.Errorf("%s %q", where, text)
		}
		if size, err := near.Stat(t.Context(), sumOf(content)); err != nil || size != int64(len(content)) {
			t.Errorf("%d, %v", size, err)
		}
	})
	t.Run("a URL of ours leads to the store as well", func(t *testing.T) {
		address, err := b.store.DownloadURL(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		resp, _ := b.do("GET", address, nil)
		if where := resp.Header.Get("Location"); resp.StatusCode != 303 || !strings.HasPrefix(where, s3.Endpoint) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	})
}

// BenchmarkDoor moves 64 MiB through the server on a folder; MB/s are of the content.
func BenchmarkDoor(b *testing.B) {
	s := serveWith(b, func(*object.Config) {}, "*")
	content := strings.Repeat("0123456789abcdef", 4<<20)
	transfer := func(method, address string, body io.Reader) {
		b.Helper()
		req, err := http.NewRequestWithContext(b.Context(), method, address, body)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/x")
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if closing := resp.Body.Close(); err != nil || closing != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err, closing)
		}
	}
	b.Run("upload", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			address, _, err := s.store.SignedPut(b.Context(), slug.New(), "p", "text/x", -1, time.Now().Add(time.Hour))
			if err != nil {
				b.Fatal(err)
			}
			transfer(http.MethodPut, address, strings.NewReader(content))
		}
	})
	o, err := s.store.Put(b.Context(), "x", "p", "text/x", time.Now().Add(time.Hour), strings.NewReader(content), "")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("download", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			address, err := s.store.DownloadURL(b.Context(), o.Name)
			if err != nil {
				b.Fatal(err)
			}
			transfer(http.MethodGet, address, nil)
		}
	})
}
