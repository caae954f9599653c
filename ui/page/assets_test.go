package page

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
)

// TestWithoutBuiltScript renders a page of a binary that was built without "make ui".
func TestWithoutBuiltScript(t *testing.T) {
	for _, c := range []struct {
		name   string
		dist   fstest.MapFS
		script bool
	}{
		{"a binary without the script says so, and shows the page", fstest.MapFS{"dist/.gitkeep": {}}, false},
		{"a binary with the script loads it", fstest.MapFS{"dist/app.ABC.js": {Data: []byte("0")}, "dist/app.ABC.js.map": {}, "dist/part.DEF.js": {}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := LoadAssets(os.DirFS(".."), c.dist)
			if err != nil {
				t.Fatal(err)
			}
			k, err := New(Deps{Assets: a})
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := k.render(&out, &View{Title: "Gone", Name: "error", Assets: a, Body: problem{Head: "What is missing"}}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), `src="/ui/assets/app.ABC.js"`); got != c.script {
				t.Errorf("the page loads the script: %v, want %v", got, c.script)
			}
			if got := strings.Contains(out.String(), "make ui"); got == c.script {
				t.Errorf("the page names make ui: %v, want %v", got, !c.script)
			}
			if !strings.Contains(out.String(), "What is missing") {
				t.Error("the page itself is missing")
			}
		})
	}
}

func TestAssetsArePackedForWhoUnpacks(t *testing.T) {
	body := bytes.Repeat([]byte("treeline "), 5000)
	a, err := LoadAssets(os.DirFS(".."), fstest.MapFS{"dist/part.ABC.js": {Data: body}})
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(Deps{Assets: a})
	if err != nil {
		t.Fatal(err)
	}
	get := func(name, header, value string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/ui/assets/"+name, nil)
		r.Header.Set(header, value)
		k.ServeHTTP(w, r)
		return w
	}
	if w := get("part.ABC.js", "Accept-Encoding", "identity"); !bytes.Equal(w.Body.Bytes(), body) || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("plain: %d bytes, headers %v", w.Body.Len(), w.Header())
	}
	if w := get("part.ABC.js", "Range", "bytes=9-16"); w.Code != http.StatusPartialContent || w.Body.String() != "treeline" {
		t.Errorf("a range: %d %q", w.Code, w.Body)
	}
	for range 2 { // packed now, and kept
		w := get("part.ABC.js", "Accept-Encoding", "br, gzip")
		if w.Body.Len() > len(body)/10 || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("packed: %d bytes, headers %v", w.Body.Len(), w.Header())
		}
		unpacked, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(got, body) {
			t.Errorf("unpacked: %d bytes, %v", len(got), err)
		}
	}
	if w := get("part.GONE.js", "Accept-Encoding", "gzip"); w.Code != http.StatusNotFound {
		t.Errorf("what is not there: %d", w.Code)
	}
}
