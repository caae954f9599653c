package client_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

const aTask = "fN1SbArXTPSVFNUvaOlinQ"

// content serves bytes with faults: each answer breaks off after so many bytes.
type content struct {
	data   []byte
	sum    string // the sha256 it claims to have, "" for none
	breaks int    // bytes per answer, 0 for no limit
	ranges bool
}

func (c *content) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.Contains(r.URL.Path, "artifact-content"):
		reply(w, 200, map[string]any{"storageType": "object", "name": "t/x", "credentials": map[string]string{}})
	case strings.Contains(r.URL.Path, "start-download"):
		hashes := map[string]string{}
		if c.sum != "" {
			hashes["sha256"] = c.sum
		}
		reply(w, 200, map[string]any{"method": "getUrl", "url": "http://" + r.Host + "/moved", "hashes": hashes})
	case r.URL.Path == "/moved":
		http.Redirect(w, r, "/bytes", http.StatusSeeOther)
	case r.URL.Path == "/bytes":
		c.bytes(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (c *content) bytes(w http.ResponseWriter, r *http.Request) {
	from := 0
	if rng := r.Header.Get("Range"); rng != "" && c.ranges {
		if _, err := fmt.Sscanf(rng, "bytes=%d-", &from); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(c.data)-1, len(c.data)))
	}
	rest := c.data[from:]
	w.Header().Set("Content-Length", strconv.Itoa(len(rest)))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if c.breaks > 0 && len(rest) > c.breaks {
		if _, err := w.Write(rest[:c.breaks]); err == nil {
			http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}
	w.Write(rest)
}

func TestDownload(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	sum := sha256.Sum256(data)
	right := hex.EncodeToString(sum[:])
	for _, c := range []struct {
		name     string
		content  content
		verified bool
		wrong    bool
	}{
		{"a whole transfer is verified", content{data: data, sum: right, ranges: true}, true, false},
		{"a broken transfer is resumed", content{data: data, sum: right, ranges: true, breaks: 100_000}, true, false},
		{"without a hash the length is checked", content{data: data, ranges: true, breaks: 200_000}, false, false},
		{"wrong bytes are an error", content{data: data, sum: strings.Repeat("0", 64)}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := serve(t, time.Minute, c.content.ServeHTTP)
			var got bytes.Buffer
			out, err := cl.DownloadArtifact(t.Context(), client.Download{TaskID: aTask, RunID: client.LatestRun, Name: "public/x"}, &got)
			if c.wrong {
				if !errors.Is(err, fault.Internal) || out.Verified {
					t.Errorf("%+v, %v", out, err)
				}
				return
			}
			if err != nil || out.Verified != c.verified || out.SHA256 != right || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%+v, %v; %d bytes", out, err, got.Len())
			}
		})
	}
	t.Run("a server without ranges sends all again and what is known is skipped", func(t *testing.T) {
		whole := content{data: data, sum: right}
		var mu sync.Mutex
		first := true
		cl := serve(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			broken := whole
			if r.URL.Path == "/bytes" && first {
				first, broken.breaks = false, 50_000
			}
			mu.Unlock()
			broken.ServeHTTP(w, r)
		})
		var got bytes.Buffer
		out, err := cl.DownloadArtifact(t.Context(), client.Download{TaskID: aTask, Name: "public/x"}, &got)
		if err != nil || !out.Verified || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

// appender is a server side of streams that loses answers and forgets its tail once.
type appender struct {
	t        *testing.T
	mu       sync.Mutex
	data     []byte
	requests int
}

func (a *appender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Errorf("%v", err)
	}
	switch {
	case strings.Contains(r.URL.Path, "/artifacts/") && r.Method == http.MethodPost:
		reply(w, 200, map[string]any{"storageType": "object", "name": "t/x", "projectId": "none", "uploadId": aTask, "expires": "2030-01-01T00:00:00.000Z"})
	case strings.Contains(r.URL.Path, "/upload/"):
		base := "http://" + r.Host
		reply(w, 200, map[string]any{"uploadMethod": map[string]any{"append": map[string]string{"appendUrl": base + "/append?token=x", "streamUrl": base + "/stream"}}})
	case r.URL.Path == "/append":
		if r.Header.Get("Authorization") != "" {
			a.t.Error("a signed URL got our signature as well")
		}
		a.append(w, r, body)
	case strings.Contains(r.URL.Path, "/finish-upload/"), r.Method == http.MethodPut:
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func (a *appender) append(w http.ResponseWriter, r *http.Request, body []byte) {
	a.requests++
	offset, err := strconv.Atoi(r.URL.Query().Get("offset"))
	if err != nil || r.URL.Query().Get("token") != "x" {
		a.t.Errorf("append to %s", r.URL)
	}
	if a.requests == 3 && len(a.data) > 4 { // as after a crash
		a.data = a.data[:len(a.data)-4]
	}
	if offset > len(a.data) || offset < len(a.data) && !bytes.HasPrefix(a.data[offset:], body) {
		reply(w, http.StatusConflict, map[string]int{"size": len(a.data)})
		return
	}
	if offset == len(a.data) {
		a.data = append(a.data, body...)
	}
	if a.requests == 2 { // taken, but the answer is lost
		panic(http.ErrAbortHandler)
	}
	reply(w, http.StatusOK, map[string]int{"size": len(a.data)})
}

func TestStream(t *testing.T) {
	a := &appender{t: t}
	c := serve(t, time.Minute, a.ServeHTTP)
	s, err := c.OpenStream(t.Context(), client.Upload{TaskID: aTask, Name: "public/logs/live_backing.log", ContentType: "text/plain"})
	if err != nil || !s.Live() || s.URL() == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	text := []byte(strings.Repeat("a line of log\n", 40))
	for at := int64(0); at < int64(len(text)); {
		end := min(at+100, int64(len(text)))
		if at, err = s.Append(t.Context(), c, at, text[at:end]); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(text)
	if err := s.Finish(t.Context(), c, bytes.NewReader(text), int64(len(text)), hex.EncodeToString(sum[:])); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.data, text) {
		t.Errorf("the server holds %d bytes, sent were %d", len(a.data), len(text))
	}
}

func TestUploadFallsBack(t *testing.T) {
	// A server without our upload in parts gets large content as one PUT.
	data := bytes.Repeat([]byte("x"), 9<<20)
	var got []byte
	c := serve(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%v", err)
		}
		switch {
		case strings.Contains(r.URL.Path, "/artifacts/") && r.Method == http.MethodPost:
			reply(w, 200, map[string]any{"storageType": "object", "name": "t/x", "projectId": "none", "uploadId": aTask, "expires": "2030-01-01T00:00:00.000Z"})
		case strings.Contains(r.URL.Path, "/upload/") && bytes.Contains(body, []byte(`"parts"`)):
			reply(w, 400, map[string]string{"code": "InputValidationError", "message": "data must not have additional properties"})
		case strings.Contains(r.URL.Path, "/upload/"):
			reply(w, 200, map[string]any{"uploadMethod": map[string]any{"putUrl": map[string]any{
				"url": "http://" + r.Host + "/put", "headers": map[string]string{"X-Wanted": "yes"}}}})
		case r.URL.Path == "/put":
			if r.Header.Get("X-Wanted") != "yes" || r.ContentLength != int64(len(data)) {
				t.Errorf("PUT with %v, length %d", r.Header, r.ContentLength)
			}
			got = body
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	var last int64
	up := client.Upload{TaskID: aTask, Name: "public/big", ContentType: "application/octet-stream", Progress: func(done, _ int64) { last = done }}
	out, err := c.UploadArtifact(t.Context(), up, bytes.NewReader(data), int64(len(data)))
	if err != nil || out.Size != int64(len(data)) || !bytes.Equal(got, data) || last != out.Size {
		t.Errorf("%+v, %v; %d bytes arrived, progress %d", out, err, len(got), last)
	}
}

// partsServer is a server side of uploads in parts that loses answers, and once its upload.
type partsServer struct {
	t        *testing.T
	mu       sync.Mutex
	parts    map[string]string // number to content
	requests int
	begun    int
}

func (s *partsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client may leave when another part fails
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.Contains(r.URL.Path, "/artifacts/") && r.Method == http.MethodPost:
		reply(w, 200, map[string]any{"storageType": "object", "name": "t/x", "projectId": "none", "uploadId": aTask, "expires": "2030-01-01T00:00:00.000Z"})
	case strings.Contains(r.URL.Path, "/upload/"):
		s.begun++
		reply(w, 200, map[string]any{"uploadMethod": map[string]any{"parts": map[string]any{"url": "http://" + r.Host + "/parts?token=x", "partSize": 1 << 20}}})
	case r.URL.Path == "/parts" && r.Method == http.MethodGet:
		list := []any{}
		for number, piece := range s.parts {
			n, sum := 0, sha256.Sum256([]byte(piece))
			if _, err := fmt.Sscan(number, &n); err != nil {
				s.t.Error(err)
			}
			list = append(list, map[string]any{"part": n, "size": len(piece), "sha256": hex.EncodeToString(sum[:])})
		}
		reply(w, 200, map[string]any{"partSize": 1 << 20, "count": 10, "parts": list})
	case r.URL.Path == "/parts":
		s.put(w, r, body)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *partsServer) put(w http.ResponseWriter, r *http.Request, body []byte) {
	s.requests++
	sum := sha256.Sum256(body)
	if r.URL.Query().Get("sha256") != hex.EncodeToString(sum[:]) || r.URL.Query().Get("token") != "x" || r.Header.Get("Authorization") != "" {
		s.t.Errorf("a part of %d bytes to %s", len(body), r.URL)
	}
	switch s.requests {
	case 2: // taken, but the answer is lost
		s.parts[r.URL.Query().Get("part")] = string(body)
		panic(http.ErrAbortHandler)
	case 4:
		reply(w, http.StatusServiceUnavailable, map[string]string{"code": "ServiceUnavailable", "message": "later"})
		return
	case 6: // begun anew, with nothing there
		clear(s.parts)
		reply(w, http.StatusConflict, map[string]string{"code": "RequestConflict", "message": "begun anew"})
		return
	}
	s.parts[r.URL.Query().Get("part")] = string(body)
	reply(w, 200, map[string]any{"part": 1, "size": len(body), "sha256": hex.EncodeToString(sum[:])})
}

func TestUploadInParts(t *testing.T) {
	data := make([]byte, 9<<20+5)
	for i := range data {
		data[i] = byte(i * 7 >> 9)
	}
	s := &partsServer{t: t, parts: map[string]string{}}
	c := serve(t, time.Minute, s.ServeHTTP)
	up := client.Upload{TaskID: aTask, Name: "public/big", ContentType: "application/octet-stream"}
	send := func() {
		t.Helper()
		if out, err := c.UploadArtifact(t.Context(), up, bytes.NewReader(data), int64(len(data))); err != nil || out.Size != int64(len(data)) {
			t.Fatalf("%+v, %v", out, err)
		}
		var got strings.Builder
		for n := 1; n <= 10; n++ {
			got.WriteString(s.parts[strconv.Itoa(n)])
		}
		if got.String() != string(data) {
			t.Errorf("%d bytes arrived", got.Len())
		}
	}
	send()
	if s.begun < 2 {
		t.Error("it was not begun anew")
	}
	t.Run("what is there is not sent again", func(t *testing.T) {
		delete(s.parts, "3")
		s.parts["5"] = "something else"
		s.requests = 100
		send()
		if s.requests != 102 {
			t.Errorf("%d parts were sent", s.requests-100)
		}
	})
}
