package action

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/treeline-ci/treeline/taskgraph/value"
)

// CheckInput checks the input of an action against its schema and fills in the defaults that the
// schema names. An action without schema takes no input. The error says all that is wrong.
func (d Definition) CheckInput(input any) (map[string]any, error) {
	if d.Schema == nil {
		if m, ok := input.(map[string]any); input != nil && (!ok || len(m) > 0) {
			return nil, fmt.Errorf("action %s takes no input, but got %s", d.Callback, value.Kind(input))
		}
		return map[string]any{}, nil
	}
	if input == nil {
		input = map[string]any{}
	}
	input = plain(withDefaults(d.Schema, input, 0))
	if err := validate(d.Schema, input); err != nil {
		return nil, fmt.Errorf("action %s: the input is wrong: %w", d.Callback, err)
	}
	m, ok := input.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("action %s: the input must be an object, not %s", d.Callback, value.Kind(input))
	}
	return m, nil
}

// maxSchemaDepth bounds how deep defaults are looked for.
const maxSchemaDepth = 20

// withDefaults gives v with the defaults of the schema's properties, in objects and lists inside it
// too. v is not changed.
func withDefaults(schema map[string]any, v any, depth int) any {
	if depth > maxSchemaDepth {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[key] = e
		}
		for name, s := range value.Map(schema, "properties") {
			property, ok := s.(map[string]any)
			if !ok {
				continue
			}
			if e, has := out[name]; has {
				out[name] = withDefaults(property, e, depth+1)
			} else if e, has := property["default"]; has {
				out[name] = e
			}
		}
		return out
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok {
			return v
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = withDefaults(items, e, depth+1)
		}
		return out
	}
	return v
}

// noLoader keeps schemas of a tree from reading files and addresses.
type noLoader struct{}

func (noLoader) Load(address string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s; only references inside it are followed", address)
}

// CompileSchema checks that a schema of an input is one.
func CompileSchema(schema map[string]any) error {
	if err := bound(schema, nil); err != nil {
		return err
	}
	_, err := compile(schema)
	return err
}

func compile(schema map[string]any) (*jsonschema.Schema, error) {
	doc, err := generic(schema)
	if err != nil {
		return nil, err
	}
	const name = "input.json"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noLoader{})
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// generic is v in the form that the schema's library takes: numbers are json.Number.
func generic(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

func validate(schema map[string]any, input any) error {
	if err := bound(schema, input); err != nil {
		return err
	}
	s, err := compile(schema)
	if err != nil {
		return fmt.Errorf("its schema cannot be used: %w", err)
	}
	doc, err := generic(input)
	if err != nil {
		return err
	}
	err = s.Validate(doc)
	violation, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return err
	}
	wrong := &InputError{}
	leaves(violation, message.NewPrinter(language.English), wrong)
	slices.SortFunc(wrong.Problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	wrong.Problems = slices.CompactFunc(wrong.Problems, func(a, b Problem) bool { return a.String() == b.String() })
	return wrong
}

// InputError is an input that does not fit its schema.
type InputError struct{ Problems []Problem }

func (e *InputError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}

// Problem is what is wrong at one place of an input.
type Problem struct {
	Path    []string // of names and numbers; empty for the input itself
	Message string
}

func (p Problem) String() string {
	at := strings.Join(p.Path, ".")
	if at == "" {
		at = "input"
	}
	return at + ": " + p.Message
}

// saying is a complaint as people read it at a field.
func saying(k jsonschema.ErrorKind, p *message.Printer) string {
	number := func(r *big.Rat) string { f, _ := r.Float64(); return strconv.FormatFloat(f, 'f', -1, 64) }
	switch k := k.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters, and has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, and has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items, and has %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, and has %d", k.Want, k.Got)
	case *kind.Minimum:
		return fmt.Sprintf("must be %s or more, not %s", number(k.Want), number(k.Got))
	case *kind.Maximum:
		return fmt.Sprintf("must be %s or less, not %s", number(k.Want), number(k.Got))
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Type:
		return fmt.Sprintf("must be %s, not %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		options := make([]string, min(len(k.Want), 20))
		for i := range options {
			options[i] = fmt.Sprint(k.Want[i])
		}
		return "must be one of " + strings.Join(options, ", ")
	}
	return k.LocalizedString(p)
}

// leaves collects the innermost problems: those say what is wrong.
func leaves(e *jsonschema.ValidationError, p *message.Printer, to *InputError) {
	if len(e.Causes) == 0 {
		if missing, ok := e.ErrorKind.(*kind.Required); ok {
			for _, name := range missing.Missing {
				to.Problems = append(to.Problems, Problem{append(slices.Clone(e.InstanceLocation), name), "is missing"})
			}
			return
		}
		to.Problems = append(to.Problems, Problem{e.InstanceLocation, saying(e.ErrorKind, p)})
		return
	}
	for _, c := range e.Causes {
		leaves(c, p, to)
	}
}
