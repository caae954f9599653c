package payload

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/treeline-ci/treeline/internal/near"
)

//go:embed generic.schema.json
var genericSchema []byte

//go:embed docker.schema.json
var dockerSchema []byte

// Parser holds the compiled schemas. It is safe for concurrent use.
type Parser struct {
	genericSchema, dockerSchema *jsonschema.Schema
	printer                     *message.Printer
	known                       []string // names of properties, of both dialects
}

// NewParser compiles the schemas.
func NewParser() (*Parser, error) {
	p := &Parser{printer: message.NewPrinter(language.English)}
	var err error
	if p.genericSchema, err = compile("generic.schema.json", genericSchema); err != nil {
		return nil, err
	}
	if p.dockerSchema, err = compile("docker.schema.json", dockerSchema); err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, source := range [][]byte{genericSchema, dockerSchema} {
		var doc any
		if err := json.Unmarshal(source, &doc); err != nil {
			return nil, fmt.Errorf("payload: %w", err)
		}
		names(doc, known)
	}
	p.known = slices.Sorted(maps.Keys(known))
	return p, nil
}

func compile(name string, source []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
	if err != nil {
		return nil, fmt.Errorf("payload: schema %s: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("payload: schema %s: %w", name, err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("payload: schema %s: %w", name, err)
	}
	return schema, nil
}

// Schemas returns the JSON schemas of the two dialects, for people.
func Schemas() (generic, docker json.RawMessage) {
	return slices.Clone(genericSchema), slices.Clone(dockerSchema)
}

// Published are the same by the paths at which a server publishes them: ours, and the names by which Taskcluster's
// tools ask for them.
func Published() map[string]json.RawMessage {
	return map[string]json.RawMessage{
		"/schemas/generic-worker/v1/payload.json":      genericSchema,
		"/schemas/generic-worker/insecure_posix.json":  genericSchema,
		"/schemas/generic-worker/multiuser_posix.json": genericSchema,
		"/schemas/docker-worker/v1/payload.json":       dockerSchema,
	}
}

// check validates a payload and returns every problem with its place.
func (p *Parser) check(schema *jsonschema.Schema, raw json.RawMessage) []string {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return []string{"(payload): is no JSON: " + err.Error()}
	}
	err = schema.Validate(value)
	if err == nil {
		return nil
	}
	violation, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []string{err.Error()}
	}
	var problems []string
	p.leaves(violation, &problems)
	slices.Sort(problems)
	return slices.Compact(problems)
}

// leaves collects the innermost violations: those that say what is wrong.
func (p *Parser) leaves(e *jsonschema.ValidationError, out *[]string) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			p.leaves(cause, out)
		}
		return
	}
	place := "/" + strings.Join(e.InstanceLocation, "/")
	if len(e.InstanceLocation) == 0 {
		place = "(payload)"
	}
	text := place + ": " + e.ErrorKind.LocalizedString(p.printer)
	if unknown, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		text += p.meant(unknown.Properties)
	}
	*out = append(*out, text)
}

// meant asks whether names that the dialects know were meant.
func (p *Parser) meant(unknown []string) string {
	var out []string
	for _, name := range unknown {
		best, least := "", 3
		for _, known := range p.known {
			if d := near.Distance(strings.ToLower(name), strings.ToLower(known), least); d < least { // case does not count
				best, least = known, d
			}
		}
		if best != "" {
			out = append(out, "did you mean "+best+"?")
		}
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, " ") + ")"
}

// names collects the names of properties in a schema.
func names(schema any, into map[string]bool) {
	switch v := schema.(type) {
	case map[string]any:
		for key, inner := range v {
			if properties, ok := inner.(map[string]any); ok && key == "properties" {
				for name := range properties {
					into[name] = true
				}
			}
			names(inner, into)
		}
	case []any:
		for _, inner := range v {
			names(inner, into)
		}
	}
}
