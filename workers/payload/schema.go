package payload

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed generic.schema.json
var genericSchema []byte

//go:embed docker.schema.json
var dockerSchema []byte

// Parser holds the compiled schemas. It is safe for concurrent use.
type Parser struct {
	genericSchema, dockerSchema *jsonschema.Schema
	printer                     *message.Printer
}

// NewParser compiles the schemas.
func NewParser() (*Parser, error) {
	p := &Parser{printer: message.NewPrinter(language.English)}
	var err error
	if p.genericSchema, err = compile("generic.schema.json", genericSchema); err != nil {
		return nil, err
	}
	p.dockerSchema, err = compile("docker.schema.json", dockerSchema)
	return p, err
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
	*out = append(*out, place+": "+e.ErrorKind.LocalizedString(p.printer))
}
