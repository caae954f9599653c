package objectapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func zipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := io.WriteString(z, text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func unzipped(t testing.TB, body []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEncodings asks for contents, stored compressed and not, in every encoding.
func TestEncodings(t *testing.T) {
	b := serve(t, "*")
	plain := strings.Repeat("a line of a log\n", 5000)
	compressed := zipped(t, plain)
	addressOf := func(name string) string {
		address, err := b.store.DownloadURL(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	put, _, err := b.store.SignedPut(t.Context(), "zipped", "p", "text/plain", -1, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	b.want(400, "PUT", put, compressed, "Content-Type", "text/plain", "Content-Encoding", "br")
	b.want(400, "PUT", put, plain, "Content-Type", "text/plain", "Content-Encoding", "gzip")
	b.want(200, "PUT", put, compressed, "Content-Type", "text/plain", "Content-Encoding", "gzip")
	for name, contentType := range map[string]string{"plain": "text/plain", "binary": "application/zip"} {
		if _, err := b.store.Put(t.Context(), name, "p", contentType, time.Now().Add(time.Hour), strings.NewReader(plain), ""); err != nil {
			t.Fatal(err)
		}
	}
	size := fmt.Sprint(len(plain))
	// get asks without the help of net/http, which would decompress. An empty list of headers has no
	// Accept-Encoding at all.
	get := func(method, name string, headers ...string) (head, []byte) {
		t.Helper()
		return b.raw(method, addressOf(name), headers...)
	}
	for _, c := range []struct {
		name, accept string
		encoding     string
		length       string // "": compressed for the answer
	}{
		{"zipped", "", "", size},
		{"zipped", "gzip", "gzip", fmt.Sprint(len(compressed))},
		{"zipped", "br, GZIP;q=0.5", "gzip", fmt.Sprint(len(compressed))},
		{"zipped", "*", "gzip", fmt.Sprint(len(compressed))},
		{"zipped", "gzip;q=0, *", "", size},
		{"zipped", "gzip; q=0", "", size},
		{"zipped", "identity", "", size},
		{"plain", "", "", size},
		{"plain", "gzip", "gzip", ""},
		{"plain", "br", "", size},
		{"binary", "gzip", "", size},
	} {
		t.Run(c.name+" for "+c.accept, func(t *testing.T) {
			var headers []string
			if c.accept != "" {
				headers = []string{"Accept-Encoding", c.accept}
			}
			h, body := get("GET", c.name, headers...)
			if h.StatusCode != 200 || h.Header.Get("Content-Encoding") != c.encoding || c.length != "" && h.Header.Get("Content-Length") != c.length || h.Header.Get("Vary") == "" {
				t.Errorf("%d %v", h.StatusCode, h.Header)
			}
			text := string(body)
			if c.encoding != "" {
				text = unzipped(t, body)
			}
			if text != plain {
				t.Errorf("%d bytes", len(text))
			}
			tag := h.Header.Get("ETag")
			if h, body := get("GET", c.name, append(headers, "If-None-Match", tag)...); h.StatusCode != 304 || len(body) > 0 || h.Header.Get("ETag") != tag {
				t.Errorf("known: %d, %d bytes, %v", h.StatusCode, len(body), h.Header)
			}
			if h, body := get("HEAD", c.name, headers...); h.StatusCode != 200 || len(body) > 0 || h.Header.Get("ETag") != tag || h.Header.Get("Content-Encoding") != c.encoding {
				t.Errorf("HEAD: %d, %v", h.StatusCode, h.Header)
			}
			want := plain
			if c.encoding != "" && c.length != "" {
				want = compressed
			}
			h, body = get("GET", c.name, append(headers, "Range", "bytes=10-29", "If-Range", tag)...)
			if strings.HasPrefix(tag, "W/") { // a range of what is compressed anew each time cannot be had
				if h.StatusCode != 200 || string(body) != plain {
					t.Errorf("a range if it is the same: %d, %d bytes", h.StatusCode, len(body))
				}
			} else if h.StatusCode != 206 || string(body) != want[10:30] || h.Header.Get("Content-Encoding") != strings.Repeat(c.encoding, min(1, len(c.length))) {
				t.Errorf("a range if it is the same: %d %q %v", h.StatusCode, body, h.Header)
			}
			if h, body := get("GET", c.name, append(headers, "Range", "bytes=10-29")...); h.StatusCode != 206 || string(body) != want[10:30] {
				t.Errorf("a range: %d %q %v", h.StatusCode, body, h.Header)
			}
		})
	}
	t.Run("each representation has its own tag", func(t *testing.T) {
		tags := map[string]bool{}
		for _, accept := range []string{"identity", "gzip"} {
			for _, name := range []string{"zipped", "plain"} {
				h, _ := get("HEAD", name, "Accept-Encoding", accept)
				tags[h.Header.Get("ETag")] = true
			}
		}
		if len(tags) != 3 { // the same bytes have the same, wherever they come from
			t.Errorf("%v", tags)
		}
	})
	t.Run("the hashes are of what is in it", func(t *testing.T) {
		got := b.want(200, "PUT", "/start-download/zipped", members{"acceptDownloadMethods": members{"getUrl": true}})
		sum := sha256.Sum256([]byte(plain))
		if got["hashes"].(map[string]any)["sha256"] != hex.EncodeToString(sum[:]) {
			t.Errorf("%v", got)
		}
	})
}

// raw makes a request without what net/http does about compression.
func (b bench) raw(method, address string, headers ...string) (head, []byte) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, address, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return head{resp.StatusCode, resp.Header, resp.ContentLength}, body
}

func FuzzTakesGzip(f *testing.F) {
	for _, seed := range []string{"gzip", "gzip;q=0", "*;q=0.1", ",,;;q=", "gzip;q=nan"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if takesGzip(http.Header{"Accept-Encoding": {accept}}) && !strings.Contains(accept, "*") && !strings.Contains(strings.ToLower(accept), "gzip") {
			t.Errorf("%q takes gzip", accept)
		}
	})
}
