package params

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"
)

// Limits of a parameters file.
const (
	maxFile  = 64 << 20  // bytes, after decompression
	maxNodes = 4_000_000 // YAML nodes, aliases counted each time they are used
	maxDepth = 100
)

// Load reads parameters in YAML or JSON, gzipped or not; name stands in errors. See FromMap for
// strict.
func Load(name string, src []byte, strict bool) (*Parameters, error) {
	values, err := Decode(name, src)
	if err != nil {
		return nil, err
	}
	p, err := FromMap(values, strict)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Decode reads the object in a parameters file without checking it.
func Decode(name string, src []byte) (map[string]any, error) {
	src, err := plain(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if doc.Kind == 0 {
		return map[string]any{}, nil
	}
	d := decoder{name: name, left: maxNodes}
	v, err := d.value(&doc, 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: parameters must be an object of name: value", name)
	}
	return m, nil
}

// plain undoes gzip, recognised by its first bytes.
func plain(src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, []byte{0x1f, 0x8b}) {
		if len(src) > maxFile {
			return nil, fmt.Errorf("larger than %d MB", maxFile>>20)
		}
		return src, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if len(out) > maxFile {
		return nil, fmt.Errorf("larger than %d MB unpacked", maxFile>>20)
	}
	return out, nil
}

// decoder turns YAML nodes into plain values within limits.
type decoder struct {
	name string
	left int
}

var errTooLarge = errors.New("too large or too deep")

func (d *decoder) value(n *yaml.Node, depth int) (any, error) {
	if d.left--; d.left < 0 || depth > maxDepth {
		return nil, d.at(n, errTooLarge)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return d.value(n.Content[0], depth)
	case yaml.AliasNode:
		return d.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return d.mapping(n, depth)
	}
	return d.scalar(n)
}

func (d *decoder) mapping(n *yaml.Node, depth int) (any, error) {
	out := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return nil, d.at(key, errors.New("keys must be plain strings"))
		}
		if _, twice := out[key.Value]; twice {
			return nil, d.at(key, fmt.Errorf("key %q stands twice", key.Value))
		}
		v, err := d.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		out[key.Value] = v
	}
	return out, nil
}

func (d *decoder) scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, d.at(n, err)
	case "!!int":
		var i int64
		err := n.Decode(&i)
		return i, d.at(n, err)
	case "!!float":
		var f float64
		err := n.Decode(&f)
		return f, d.at(n, err)
	}
	return n.Value, nil
}

// at adds file and line to err; nil stays nil.
func (d *decoder) at(n *yaml.Node, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:%d: %w", d.name, n.Line, err)
}

// YAML writes p as a block-style document with sorted keys, as the artifact parameters.yml.
func (p *Parameters) YAML() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(p.values); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	return b.Bytes(), nil
}
