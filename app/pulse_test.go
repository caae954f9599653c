package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
)

// The references of the exchanges fit their schema, are in the manifest, and every schema that they
// and the messages' schemas name is served.
func TestReferencesOfExchangesAreServed(t *testing.T) {
	references, err := exchangeReferences("")
	if err != nil {
		t.Fatal(err)
	}
	services := []web.Service{queueapi.Service(queue.New(queue.Deps{})), authapi.Service(nil)}
	handler, err := web.Mount(services, webtest.As("someone"), web.Options{RootURL: "https://ci.example", References: references})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) map[string]any {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var doc map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); w.Code != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v", path, w.Code, err)
		}
		return doc
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft6)
	schema := get("/schemas/common/exchanges-reference-v0.json")
	delete(schema, "$schema")
	delete(schema, "$id")
	if err := compiler.AddResource("test:///reference", schema); err != nil {
		t.Fatal(err)
	}
	form, err := compiler.Compile("test:///reference")
	if err != nil {
		t.Fatal(err)
	}
	listed, _ := get("/references/manifest.json")["references"].([]any)
	for _, service := range []string{"queue", "auth"} {
		path := "/references/" + service + "/v1/exchanges.json"
		if !slices.Contains(listed, any("https://ci.example"+path)) {
			t.Errorf("%s is not in the manifest", path)
		}
		doc := get(path)
		if err := form.Validate(any(doc)); err != nil {
			t.Error(err)
		}
		if doc["exchangePrefix"] != "exchange/taskcluster-"+service+"/v1/" {
			t.Errorf("the prefix is %v", doc["exchangePrefix"])
		}
		for _, e := range doc["entries"].([]any) {
			file := "/schemas/" + service + "/" + strings.TrimSuffix(e.(map[string]any)["schema"].(string), "#")
			for _, ref := range named(get(file)) {
				if other, _, _ := strings.Cut(ref, "#"); other != "" {
					get("/schemas/" + service + "/v1/" + other)
				}
			}
		}
	}
}

// named lists what a schema refers to.
func named(v any) (refs []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if text, ok := member.(string); ok && name == "$ref" {
				refs = append(refs, text)
			}
			refs = append(refs, named(member)...)
		}
	case []any:
		for _, member := range v {
			refs = append(refs, named(member)...)
		}
	}
	return refs
}

func TestAConfigurationWithABadPulseURLKeepsTheSecret(t *testing.T) {
	c := Config{DatabaseURL: "postgres://x", DataDir: "d"}
	c.Pulse.URL = "https://user:hunter2@broker"
	err := c.Check()
	if err == nil || !strings.Contains(err.Error(), "TREELINE_PULSE_URL") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
