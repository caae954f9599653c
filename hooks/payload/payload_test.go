package payload_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/hooks/payload"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestPayloadsAreCheckedAsTheSchemaSays(t *testing.T) {
	for _, tt := range []struct {
		name, schema, payload string
		wrong                 string // part of the message; "" fits
	}{
		{"nothing is taken by the usual schema", `{"type": "object", "additionalProperties": false}`, `{}`, ""},
		{"and nothing else", `{"type": "object", "additionalProperties": false}`, `{"a": 1}`, "additional properties 'a' not allowed"},
		{"a place is named", `{"properties": {"a": {"items": {"type": "integer"}}}}`, `{"a": [1, "x"]}`, "payload.a.1: got string, want integer"},
		{"a schema that is always true", `{}`, `{"x": [1, {"y": null}]}`, ""},
		{"references inside", `{"definitions": {"a/b": {"type": "string"}}, "properties": {"x": {"$ref": "#/definitions/a~1b"}}}`, `{"x": 1}`, "want string"},
		{"a schema that is itself again", `{"type": "object", "additionalProperties": {"$ref": "#"}}`, `{"a": {"b": {}}}`, ""},
		{"and finds a mistake deep inside", `{"type": "object", "additionalProperties": {"$ref": "#"}}`, `{"a": {"b": {"c": 1}}}`, "payload.a.b.c"},
		{"a draft that is named", `{"$schema": "http://json-schema.org/draft-06/schema#", "required": ["a"]}`, `{}`, "missing property 'a'"},
		{"the newest draft", `{"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {"t": {"minLength": 3}}, "properties": {"a": {"$ref": "#/$defs/t", "maxLength": 5}}}`, `{"a": "xy"}`, "minLength"},
		{"an id of the whole", `{"$id": "https://example.com/x.json", "properties": {"a": {"$ref": "#/definitions/t"}}, "definitions": {"t": {"enum": [1, 2]}}}`, `{"a": 3}`, "one of 1, 2"},
		{"a pattern", `{"properties": {"a": {"pattern": "^[a-f0-9]{40}$"}}}`, `{"a": "x"}`, "does not match pattern"},
		{"a format", `{"properties": {"a": {"format": "date-time"}}}`, `{"a": "x"}`, "date-time"},
		{"a property called $id", `{"properties": {"$id": {"type": "string"}}}`, `{"$id": "x"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := payload.Compile([]byte(tt.schema))
			if err != nil {
				t.Fatal(err)
			}
			err = s.Validate([]byte(tt.payload))
			if tt.wrong == "" && err != nil {
				t.Error(err)
			}
			if tt.wrong != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("%v, want %q", err, tt.wrong)
			}
		})
	}
}

func TestBadSchemasAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 300) + `{}` + strings.Repeat(`}`, 300)
	wide := `{"allOf": [{"const": 0}` + strings.Repeat(`, {"const": 1}`, payload.MaxSubschemas) + `]}`
	for _, tt := range []struct{ name, schema, want string }{
		{"no JSON", `{`, "no JSON"},
		{"no object", `[]`, "must be an object"},
		{"no schema", `{"type": "pie"}`, "it is no schema"},
		{"a reference to a file", `{"$ref": "file:///etc/passwd"}`, "only references inside"},
		{"a reference to an address", `{"properties": {"a": {"$ref": "http://169.254.169.254/x"}}}`, "only references inside"},
		{"a reference to nothing", `{"$ref": "#/definitions/x"}`, "leads nowhere"},
		{"a dialect of one's own", `{"$schema": "http://example.com/mine"}`, "names the dialect"},
		{"a dynamic reference", `{"$schema": "https://json-schema.org/draft/2020-12/schema", "$dynamicRef": "#x"}`, "$dynamicRef"},
		{"an id inside", `{"properties": {"a": {"$id": "b.json"}}}`, "only the whole schema"},
		{"a pattern that is none", `{"pattern": "("}`, "cannot be used"},
		{"a pattern with look-ahead", `{"pattern": "^(?!a)"}`, "look-around"},
		{"a huge pattern", `{"pattern": "(((a{30}){30}){30})"}`, "cannot be used"},
		{"a large one", `{"pattern": "` + strings.Repeat("(ab?c){300}", 8) + `"}`, "too large"},
		{"a long one", `{"pattern": "` + strings.Repeat("a", 3000) + `"}`, "more than the 2000"},
		{"a pattern of names", `{"patternProperties": {"(": {}}}`, "cannot be used"},
		{"a deep one", deep, "levels deep"},
		{"a wide one", wide, "subschemas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			_, err := payload.Compile([]byte(tt.schema))
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%.300v, want %q", err, tt.want)
			}
			if err != nil && (len(err.Error()) > 3000 || strings.Contains(err.Error(), "hook:")) {
				t.Errorf("the message is long, or names a path: %s", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// doubling is a schema of n definitions, each of which refers to the next twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{"allOf": [{"$ref": "#/definitions/d0"}], "definitions": {`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d": {"allOf": [{"$ref": "#/definitions/d%d"}, {"$ref": "#/definitions/d%d"}]}, `, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d": {"type": "object"}}}`, n)
	return b.String()
}

func TestHostileSchemasEndSoon(t *testing.T) {
	nested := strings.Repeat(`{"x":`, 60) + `{}` + strings.Repeat(`}`, 60)
	for _, tt := range []struct{ name, schema, payload, want string }{
		{"a billion laughs", doubling(60), `{}`, "more than"},
		{"a few", doubling(5), `{}`, ""},
		{"children that double", `{"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]}`, nested, "more than"},
		{"a reference to itself", `{"$ref": "#"}`, `{}`, "cycle"},
		{"a reference to itself through others", `{"allOf": [{"$ref": "#/definitions/a"}], "definitions": {"a": {"anyOf": [{"$ref": "#/definitions/b"}]}, "b": {"not": {"$ref": "#/definitions/a"}}}}`, `{}`, ""},
		{"a pattern that other engines die of", `{"properties": {"a": {"pattern": "^(a+)+$"}}}`, `{"a": "` + strings.Repeat("a", 50000) + `!"}`, "payload.a"},
		{"a large pattern for a large text", `{"properties": {"a": {"pattern": "(x|y?z){600}$"}}}`, `{"a": "` + strings.Repeat("x", 3_000_000) + `"}`, "more than"},
		{"many alternatives for many values", `{"additionalProperties": {"anyOf": [` + strings.TrimSuffix(strings.Repeat(`{"const": 7},`, 1000), ",") + `]}}`, many(5000), "more than"},
		{"a deep payload", `{"additionalProperties": {"$ref": "#"}}`, strings.Repeat(`{"x":`, 5000) + `{}` + strings.Repeat(`}`, 5000), "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			s, err := payload.Compile([]byte(tt.schema))
			if err != nil {
				t.Fatal(err)
			}
			err = s.Validate([]byte(tt.payload))
			if tt.want != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%.300v, want %q", err, tt.want)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	b.WriteString(`{"k": 1`)
	for i := range n {
		fmt.Fprintf(&b, `, "k%d": 1`, i)
	}
	return b.String() + "}"
}

// FuzzSchema looks for schemas and payloads that upset the library behind.
func FuzzSchema(f *testing.F) {
	f.Add(`{"type": "object"}`, `{}`)
	f.Add(doubling(3), `{"a": [1, 2]}`)
	f.Add(`{"items": [{"const": 1}], "additionalItems": {"$ref": "#"}, "if": {}, "then": {"enum": [1]}}`, `[1, [2]]`)
	f.Add(`{"patternProperties": {"^a": {"not": {}}}, "propertyNames": {"maxLength": 2}, "dependencies": {"a": ["b"], "c": {}}}`, `{"a": 1, "c": 2}`)
	f.Fuzz(func(t *testing.T, schema, text string) {
		s, err := payload.Compile([]byte(schema))
		if err != nil {
			return
		}
		_ = s.Validate([]byte(text))
	})
}
