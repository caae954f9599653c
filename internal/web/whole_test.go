package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

func TestWholeNumbersAreIntegersHoweverTheyAreWritten(t *testing.T) {
	type body struct {
		N    int             `json:"n"`
		Rank float64         `json:"rank"`
		Text string          `json:"text"`
		Rest json.RawMessage `json:"rest"`
	}
	var got body
	schema := `{"type": "object", "properties": {"n": {"type": "integer"}, "rank": {"type": "number"}, "text": {"type": "string"}, "rest": {}}, "additionalProperties": false}`
	h, err := web.Mount([]web.Service{{
		Name: "count", Version: "v1", Title: "Count", Description: "Counts.", Schemas: fstest.MapFS{"schemas/n.json": {Data: []byte(schema)}},
		Endpoints: []web.Endpoint{{
			Name: "count", Method: "POST", Route: "/count", Title: "Count", Description: "Counts.", Category: "Count", Stability: "stable", Input: "n.json",
			Handle: func(_ context.Context, r *web.Request) (any, error) {
				got = body{}
				return nil, r.Decode(&got)
			},
		}},
	}}, webtest.As("someone"), web.Options{RootURL: "https://tc.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sent   string
		status int
		n      int
		rest   string
	}{
		{`{"n": 5, "rest": [5.0]}`, 204, 5, `[5.0]`}, // nothing is touched without need
		{`{"n":5.0}`, 204, 5, ""},
		{`{"n": 5e0, "rest": {"a": 1.50, "5.0": "5.0 \" 5.0", "b": -2.0}}`, 204, 5, `{"a": 1.50, "5.0": "5.0 \" 5.0", "b": -2}`},
		{`{"n": -0.0, "rank": 2.5, "text": "\\\"1.0"}`, 204, 0, ""},
		{`{"n": 1.2E3}`, 204, 1200, ""},
		{`{"n": 5.5}`, 400, 0, ""},
		{`{"n": 1e300}`, 400, 0, ""},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://tc.example/api/count/v1/count", strings.NewReader(c.sent))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(w, r)
		if w.Code != c.status || got.N != c.n || c.status == 204 && string(got.Rest) != c.rest {
			t.Errorf("%s: %d %+v %s", c.sent, w.Code, got, w.Body)
		}
		got = body{}
	}
}
