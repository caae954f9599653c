package graphapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/graphapi"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/taskgraph/explain"
)

const (
	decision = "fN1SbArXTPSVFNUvaOlinQ"
	made     = "Ck6H5RzFTomOeX9C8lZOHA"
	broken   = "GvlWPKGYQ5uG3PGScmZmCQ"
	large    = "HWRw0U5MS1O2IPQk8DyGBw"
	other    = "Ne9vShUCT_KdH8HGiIij5w"
)

// server answers with one record; opened counts how often it was read.
func server(t *testing.T, opened *int, scopes ...string) http.Handler {
	t.Helper()
	p := explain.Provenance{Kind: "k", File: "ci/kinds/k/kind.yml", Line: 3, Entry: "a"}.With(explain.Step{
		Transform: "matrix", Keys: []string{"name"}, Cell: []explain.Dimension{{Name: "os", Value: "linux"}}, Edits: []explain.Edit{{Old: "a", New: "a-linux"}},
	})
	rec := &explain.Record{Kinds: []string{"k"}, Tasks: map[string]explain.Recorded{"k-a-linux": {Provenance: p, TaskID: made}, "k-b": {Provenance: explain.Provenance{Kind: "k", Entry: "b"}}}}
	rec.Select(explain.Selection{Label: "k-a-linux", Filter: "f", Kept: true, Rule: "all"})
	rec.Select(explain.Selection{Label: "k-b", Filter: "f", Kept: true, Rule: "all"})
	rec.Optimize(explain.Optimization{Label: "k-a-linux", Phase: "remove", Outcome: explain.Kept, Reason: "wanted"})
	rec.Optimize(explain.Optimization{Label: "k-b", Phase: "remove", Outcome: explain.Removed, Strategy: "skip-unless-changed", Arg: []any{"docs/**"}, Reason: "none"})
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	d := graphapi.Deps{
		Decision: func(_ context.Context, id string) (string, error) {
			switch id {
			case made, decision:
				return decision, nil
			case broken, large:
				return id, nil
			}
			return "", fault.New(fault.NotFound, "no such task")
		},
		Artifact: func(_ context.Context, id, name string) (graphapi.Artifact, error) {
			content := map[string][]byte{decision: text, broken: []byte("{]"), large: text}[id]
			if content == nil || name != "public/explain.json" {
				return graphapi.Artifact{}, fault.New(fault.NotFound, "no such artifact")
			}
			a := graphapi.Artifact{SHA256: id, Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
				*opened++
				return io.NopCloser(bytes.NewReader(content)), nil
			}}
			if id == large {
				a.Size = 1 << 40
			}
			return a, nil
		},
	}
	h, err := web.Mount([]web.Service{graphapi.Service(d)}, webtest.As("me", scopes...), web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://tc.example/api/taskgraph/v1"+path, nil))
	return w
}

func TestWhyIsAnsweredFromTheRecord(t *testing.T) {
	opened := 0
	h := server(t, &opened, "queue:get-artifact:public/*")
	for _, c := range []struct {
		path string
		code int
		want []string
	}{
		{"/task/" + made + "/why", 200, []string{`"outcome":"created"`, `"taskId":"` + made + `"`, `"line":3`, `"new":"\"a-linux\""`, `"value":"linux"`}},
		{"/task/" + decision + "/why?label=k-b", 200, []string{`"outcome":"removed"`, `"if":"if one of these files changed: docs/**"`}},
		{"/task/" + decision + "/why?label=k-a-bsd", 200, []string{`"outcome":"unknown"`, `"dimension":"os","value":"bsd","values":["linux"]`}},
		{"/task/" + decision + "/why", 400, []string{"name a label"}},
		{"/task/" + other + "/why?label=x", 404, []string{"no such task"}},
		{"/task/" + broken + "/why?label=x", 400, []string{"cannot be read"}},
		{"/task/" + large + "/why?label=x", 413, []string{"Read the artifact public/explain.json"}},
		{"/task/nonsense/why", 400, nil},
		{"/task/" + decision + "/why?label=", 400, nil},
	} {
		w := get(t, h, c.path)
		if w.Code != c.code {
			t.Errorf("%s: %d, want %d: %s", c.path, w.Code, c.code, w.Body)
		}
		var text bytes.Buffer
		if err := json.Compact(&text, w.Body.Bytes()); err != nil {
			t.Fatal(err)
		}
		for _, part := range c.want {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%s: %q is not in %s", c.path, part, &text)
			}
		}
	}
	if opened != 2 { // the good one once, the broken one once
		t.Errorf("records were read %d times", opened)
	}
}

func TestWhyAsksForTheScopeOfTheArtifact(t *testing.T) {
	opened := 0
	if w := get(t, server(t, &opened, "queue:get-artifact:private/*"), "/task/"+decision+"/why?label=k-b"); w.Code != http.StatusForbidden || opened > 0 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
