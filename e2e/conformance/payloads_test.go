package conformance_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/workers/payload"
)

// TestThePayloadsOfWorkersArePublished holds the schemas that a server publishes of payloads against what a worker says.
func TestThePayloadsOfWorkersArePublished(t *testing.T) {
	published := served(t)
	parser, err := payload.NewParser()
	if err != nil {
		t.Fatal(err)
	}
	generic := []string{"schemas/generic-worker/v1/payload.json", "schemas/generic-worker/insecure_posix.json", "schemas/generic-worker/multiuser_posix.json"}
	for _, c := range []struct {
		names   []string
		payload string
	}{
		{generic, `{"command": [["true"]], "maxRunTime": 60}`},
		{generic, `{"command": [["true"]], "maxRunTime": 0}`},
		{generic, `{"command": [["true"]], "maxRunTime": 60, "colour": "blue"}`},
		{generic, `{"command": [["true"]], "maxRunTime": 60, "mounts": [{"cacheName": 7}]}`},
		{[]string{"schemas/docker-worker/v1/payload.json"}, `{"image": "debian:12", "command": ["true"], "maxRunTime": 60}`},
		{[]string{"schemas/docker-worker/v1/payload.json"}, `{"image": {"type": "indexed-image"}, "command": ["true"], "maxRunTime": 60}`},
	} {
		_, refused := parser.Parse(json.RawMessage(c.payload), payload.Options{Containers: true})
		for _, name := range c.names {
			schema := compiled(t, name, published[name])
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(c.payload)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); (err == nil) != (refused == nil) {
				t.Errorf("%s by %s: %v; the worker says: %v", c.payload, name, err, refused)
			}
		}
	}
}

func compiled(t *testing.T, name string, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	object := doc.(map[string]any)
	if object["$id"] != "/"+name+"#" {
		t.Errorf("%s calls itself %v", name, object["$id"])
	}
	delete(object, "$id")
	delete(object, "$schema")
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft6)
	c.AssertFormat()
	if err := c.AddResource("mem:///"+name, object); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("mem:///" + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
