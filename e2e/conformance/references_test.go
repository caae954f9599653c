package conformance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func fetch(t *testing.T, address string) map[string]any {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", address, resp.StatusCode, err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return doc
}

// documents are the schemas of a bundle that describe references, by path.
func documents(t *testing.T, b bundle) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft6)
	for name, text := range b {
		if !strings.HasPrefix(name, "schemas/common/") || !strings.HasSuffix(name, ".json") {
			continue
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		delete(doc, "$id")
		delete(doc, "$schema")
		if err := c.AddResource(origin+"/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestReferencesAreWhatTheySay follows the manifest as a generator of clients does: each document is
// there, stands under its name, fits the schema that it names, ours and the peer's, and refers to
// nothing that is not there.
func TestReferencesAreWhatTheySay(t *testing.T) {
	s := serve(t)
	manifest := fetch(t, s.url+"/references/manifest.json")
	if diff := cmp.Diff(manifest, fetch(t, s.url+"/references")); diff != "" {
		t.Errorf("/references is not the manifest: %s", diff)
	}
	list, _ := manifest["references"].([]any)
	found := map[string]bool{}
	for _, address := range append(list, s.url+"/references/manifest.json") {
		address, _ := address.(string)
		document := fetch(t, address)
		found[path.Dir(strings.TrimPrefix(address, s.url))] = true
		named, _ := document["$schema"].(string)
		name := strings.TrimSuffix(strings.TrimPrefix(named, s.url), "#")
		for _, of := range []struct {
			whose string
			bundle
		}{{"ours", served(t)}, {"the peer's", peer(t)}} {
			whose, b := of.whose, of.bundle
			if b == nil {
				continue
			}
			if whose == "the peer's" {
				forgive(document)
			}
			schema, err := documents(t, b).Compile(origin + name)
			if err != nil {
				t.Errorf("%s names the schema %s, of which %s: %v", address, named, whose, err)
			} else if err := schema.Validate(document); err != nil {
				t.Errorf("%s does not fit %s: %v", address, whose, err)
			}
		}
	}
	for _, service := range services {
		if !found["/references/"+service+"/v1"] {
			t.Errorf("the manifest does not name %s", service)
		}
	}
}

// forgive takes out of a document what the peer's schemas refuse though the peer's documents have it,
// or though its description allows it: a manifest that names its schema, and bytes as output, which are
// in both of two alternatives.
func forgive(document map[string]any) {
	if document["references"] != nil {
		delete(document, "$schema")
	}
	entries, _ := document["entries"].([]any)
	for _, e := range entries {
		if entry, ok := e.(map[string]any); ok && entry["output"] == "blob" {
			delete(entry, "output")
		}
	}
}

// TestSchemasStandUnderTheirNames fetches every schema that a server publishes.
func TestSchemasStandUnderTheirNames(t *testing.T) {
	s := serve(t)
	resolved := map[string]bool{}
	var refer func(from string, v any)
	refer = func(from string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				file, _, _ := strings.Cut(ref, "#")
				switch {
				case strings.HasPrefix(file, "/"):
					t.Errorf("%s refers to %s, which leads to no server", from, ref)
				case file != "" && !strings.Contains(file, "://"):
					file = from[:strings.LastIndex(from, "/")+1] + file
				}
				if file != "" && !resolved[file] {
					resolved[file] = true
					fetch(t, file)
				}
			}
			for _, member := range v {
				refer(from, member)
			}
		case []any:
			for _, member := range v {
				refer(from, member)
			}
		}
	}
	for name := range served(t) {
		if !strings.HasPrefix(name, "schemas/") {
			continue
		}
		address := s.url + "/" + name
		document := fetch(t, address)
		if document["$id"] != address+"#" {
			t.Errorf("%s calls itself %v", address, document["$id"])
		}
		if !strings.HasPrefix(name, "schemas/common/") { // those are metaschemas, which refer to themselves
			refer(address, document)
		}
	}
}
