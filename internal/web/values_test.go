package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// TestBodiesOfManyTinyValuesAreRefusedAtOnce: what is worked through grows with the values, not with
// the bytes.
func TestBodiesOfManyTinyValuesAreRefusedAtOnce(t *testing.T) {
	h := mount(t, webtest.As("someone"))
	ids := func(n int, each string) string {
		return `{"name": "x", "ids": [` + each + strings.Repeat(","+each, n-1) + `]}`
	}
	for _, tt := range []struct {
		name, body string
		status     int
	}{
		{"as many as there may be", ids(300_000, `"a"`), 200},
		{"as many that do not fit", ids(300_000, `1`), 400},
		{"too many", ids(330_000, `"a"`), 413},
		{"far too many", ids(5_000_000, `1`), 413},
		{"many commas in a text", `{"name": "x", "ids": ["` + strings.Repeat(`,[{\"`, 1_000_000) + `"]}`, 200},
	} {
		r := httptest.NewRequest("POST", "/api/sample/v1/create/abc", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		began := time.Now()
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: %d %.300s", tt.name, w.Code, w.Body)
		}
		t.Logf("%s: %v", tt.name, time.Since(began))
	}
}
