// Package payload checks payloads against JSON schemas that strangers wrote, with bounded work.
//
// Compile refuses schemas that reach outside themselves, that are too large, or whose regular
// expressions are; regular expressions are Go's, which take time in proportion to the text. Validate
// first bounds the work that a payload would make, with every alternative of the schema taken, and
// refuses what is too much: a chain of references that double at each step is found without walking it.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Limits.
const (
	MaxSubschemas = 4000      // in one schema
	MaxWork       = 2_000_000 // steps of a check: a subschema held against a value
	maxPairs      = 300_000   // different ones
	maxPattern    = 2000      // bytes of a regular expression
	maxProgram    = 5000      // instructions of one
	maxDepth      = 200       // of a schema
	maxNesting    = 2000      // of a payload, and of references followed
)

// Schema is a schema ready for use. It is immutable and safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	root     *node
}

// drafts are the dialects that a schema may name.
var drafts = []string{"draft-04", "draft-06", "draft-07", "draft/2019-09", "draft/2020-12"}

// Compile reads a schema. Errors are of kind fault.Invalid and say where the mistake is.
func Compile(text []byte) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fault.New(fault.Invalid, "The triggerSchema is no JSON: %v.", err)
	}
	top, ok := doc.(map[string]any)
	if !ok {
		return nil, fault.New(fault.Invalid, "The triggerSchema must be an object.")
	}
	if err := checkDraft(top); err != nil {
		return nil, err
	}
	r := &reader{doc: doc, nodes: map[string]*node{}}
	root, err := r.read(doc, "#", 0)
	if err == nil {
		err = r.resolve()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "The triggerSchema cannot be used: %v.", err)
	}
	const name = "hook://triggerSchema"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noLoader{})
	c.AssertFormat()
	bare := make(map[string]any, len(top)) // where it says that it is does not matter
	for k, v := range top {
		if k != "$id" && k != "id" {
			bare[k] = v
		}
	}
	if err := c.AddResource(name, bare); err != nil {
		return nil, fault.New(fault.Invalid, "The triggerSchema cannot be used: %s.", brief(err))
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "The triggerSchema cannot be used: %s.", brief(err))
	}
	return &Schema{compiled, root}, nil
}

func checkDraft(top map[string]any) error {
	named, ok := top["$schema"]
	if !ok {
		return nil
	}
	text, _ := named.(string)
	for _, d := range drafts {
		if strings.Contains(text, "json-schema.org/"+d+"/schema") {
			return nil
		}
	}
	// The peer's own name of the dialect that its schemas are in.
	if strings.HasPrefix(text, "/schemas/common/metaschema.json") {
		delete(top, "$schema")
		return nil
	}
	return fault.New(fault.Invalid, "The triggerSchema names the dialect %.200q; known are http://json-schema.org/draft-04/schema#, draft-06, draft-07, and https://json-schema.org/draft/2019-09/schema and 2020-12.", text)
}

// noLoader keeps schemas from reading files and addresses.
type noLoader struct{}

func (noLoader) Load(address string) (any, error) {
	return nil, fmt.Errorf("it refers to %s; only references inside it (#/…) are followed", address)
}

// brief is an error of the compiler without the address that the schema was given.
func brief(err error) string {
	text := err.Error()
	if violation, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		text = "it is no schema: " + violation.Err.Error()
	}
	return clip(strings.ReplaceAll(text, "hook://triggerSchema", ""), 2000)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Validate holds a payload, JSON text, against the schema. What does not fit is a fault.Invalid that
// lists the first problems; the *Misfit in it has them all.
func (s *Schema) Validate(text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fault.New(fault.Invalid, "The payload is no JSON: %v.", err)
	}
	w := &work{known: map[pair]int{}}
	if w.cost(s.root, v, "", 0) >= MaxWork || w.over {
		return fault.New(fault.Invalid, "The payload cannot be checked: its triggerSchema would take more than %d steps for it. Use fewer alternatives and references in each other.", MaxWork)
	}
	err = s.compiled.Validate(v)
	if wrong, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		m := misfit(wrong)
		return fault.Wrap(fault.Invalid, m, "The payload does not fit the hook's triggerSchema:\n%s", m)
	}
	return err
}

// checkPattern refuses a regular expression that Go cannot run, or that is large.
func checkPattern(pattern string) (size int, err error) {
	if len(pattern) > maxPattern {
		return 0, fmt.Errorf("a regular expression has %d bytes, more than the %d allowed", len(pattern), maxPattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("the regular expression %.200q cannot be used: %w (look-around and references back are not known)", pattern, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, fmt.Errorf("the regular expression %.200q cannot be used: %w", pattern, err)
	}
	if len(program.Inst) > maxProgram {
		return 0, fmt.Errorf("the regular expression %.200q is too large: it takes %d instructions, more than the %d allowed; use smaller repetitions", pattern, len(program.Inst), maxProgram)
	}
	return len(program.Inst), nil
}

// length is how many characters of a value a regular expression would read.
func length(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case json.Number:
		return len(v)
	}
	return 0
}
