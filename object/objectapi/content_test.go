package objectapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestContentIsNoPartOfAProgram(t *testing.T) {
	b := serve(t, "*")
	o, err := b.store.Put(t.Context(), "evil.js", "p", "text/javascript", time.Now().Add(time.Hour), strings.NewReader("alert(1)"), "")
	if err != nil {
		t.Fatal(err)
	}
	address, err := b.store.DownloadURL(t.Context(), o.Name)
	if err != nil {
		t.Fatal(err)
	}
	for use, want := range map[string]int{"": 200, "empty": 200, "document": 200, "image": 200, "script": 400, "serviceworker": 400, "worker": 400, "style": 400} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Sec-Fetch-Dest", use)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != want {
			t.Errorf("as %q: status %d, want %d", use, answer.StatusCode, want)
		}
	}
}
