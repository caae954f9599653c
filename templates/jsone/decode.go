package jsone

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// DecodeError is a fault in YAML or JSON text, at a line counted from 1 (0 when it is not known).
type DecodeError struct {
	Line    int
	Message string
}

func (e *DecodeError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// DecodeJSON reads one JSON value, keeping the order of keys. Objects are *Object, lists []any, numbers float64.
func DecodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := decodeJSON(d, 0)
	if err == nil {
		if _, extra := d.Token(); extra != io.EOF {
			err = errors.New("there is more behind the first JSON value")
		}
	}
	if err != nil {
		line := 1 + bytes.Count(text[:min(int(d.InputOffset()), len(text))], []byte("\n"))
		return nil, &DecodeError{Line: line, Message: err.Error()}
	}
	return v, nil
}

func decodeJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxImportDepth {
		return nil, fmt.Errorf("nested more than %d levels deep", maxImportDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		return parseDecimal(tok.String()), nil
	case json.Delim:
		if tok == '[' {
			return decodeJSONList(d, depth)
		}
		return decodeJSONObject(d, depth)
	}
	return tok, nil
}

func decodeJSONList(d *json.Decoder, depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

func decodeJSONObject(d *json.Decoder, depth int) (any, error) {
	out := &Object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		out.Set(name, v)
	}
	_, err := d.Token()
	return out, err
}

// MaxYAMLNodes is how many nodes one YAML document may have once its aliases are followed.
const MaxYAMLNodes = 200_000

// DecodeYAML turns a parsed YAML node into template data. YAML is read as JSON-e's users know it: yes, no, on and off
// are strings, so are dates; numbers are those of YAML 1.2; aliases and merge keys are followed, within MaxYAMLNodes.
// Errors are *DecodeError.
func DecodeYAML(n *yaml.Node) (any, error) {
	d := yamlDecoder{open: map[*yaml.Node]bool{}}
	return d.decode(n, 0)
}

type yamlDecoder struct {
	nodes int
	open  map[*yaml.Node]bool // anchors being followed, to find loops
}

func (d *yamlDecoder) decode(n *yaml.Node, depth int) (any, error) {
	if d.nodes++; d.nodes > MaxYAMLNodes {
		return nil, &DecodeError{n.Line, fmt.Sprintf(
			"the document has more than %d values once its aliases are followed; use fewer aliases", MaxYAMLNodes)}
	}
	if depth > maxImportDepth {
		return nil, &DecodeError{n.Line, fmt.Sprintf("nested more than %d levels deep; flatten it", maxImportDepth)}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return d.decode(n.Content[0], depth)
	case yaml.AliasNode:
		if d.open[n.Alias] {
			return nil, &DecodeError{n.Line, "the alias *" + n.Value + " is inside its own anchor"}
		}
		d.open[n.Alias] = true
		defer delete(d.open, n.Alias)
		return d.decode(n.Alias, depth+1)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			v, err := d.decode(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case yaml.MappingNode:
		return d.mapping(n, depth)
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, nil
}

func (d *yamlDecoder) mapping(n *yaml.Node, depth int) (any, error) {
	out := &Object{line: n.Line}
	var merges []*yaml.Node
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, &DecodeError{n.Content[i].Line, "a key must be a plain text, not a list or mapping"}
		}
		if first, twice := lines[key.Value]; twice {
			return nil, &DecodeError{n.Content[i].Line, fmt.Sprintf(
				"the key %q is already there on line %d; remove one", key.Value, first)}
		}
		lines[key.Value] = n.Content[i].Line
		v, err := d.decode(value, depth+1)
		if err != nil {
			return nil, err
		}
		out.Set(key.Value, v)
	}
	for _, m := range merges {
		if err := d.merge(out, m, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merge adds the keys of a << value that are not there yet.
func (d *yamlDecoder) merge(out *Object, n *yaml.Node, depth int) error {
	v, err := d.decode(n, depth+1)
	if err != nil {
		return err
	}
	sources, ok := v.([]any)
	if !ok {
		sources = []any{v}
	}
	for _, source := range sources {
		o, ok := source.(*Object)
		if !ok {
			return &DecodeError{n.Line, "<< wants a mapping or a list of mappings"}
		}
		for _, e := range o.entries {
			if out.find(e.key) < 0 {
				out.Set(e.key, e.value)
			}
		}
	}
	return nil
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, &DecodeError{n.Line, fmt.Sprintf("%q is neither true nor false", n.Value)}
		}
		return b, nil
	case "!!int", "!!float":
		return yamlNumber(n)
	case "!!str", "!!timestamp", "!!merge":
		return n.Value, nil
	}
	return nil, &DecodeError{n.Line, fmt.Sprintf("the tag %s is not supported here; remove it", n.Tag)}
}

// yamlNumber reads a number; what YAML 1.1 alone calls octal (a leading 0) is decimal.
func yamlNumber(n *yaml.Node) (any, error) {
	s := strings.ReplaceAll(n.Value, "_", "")
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case ".inf":
		return math.Inf(1 - 2*strings.Count(s[:1], "-")), nil
	case ".nan":
		return math.NaN(), nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return f, nil
	}
	digits, negative := strings.CutPrefix(strings.TrimPrefix(s, "+"), "-")
	if f := parseNumber(digits); !math.IsNaN(f) {
		if negative {
			f = -f
		}
		return f, nil
	}
	return nil, &DecodeError{n.Line, fmt.Sprintf("%q is no number", n.Value)}
}
