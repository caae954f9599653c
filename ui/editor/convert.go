package editor

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// placed is a fault at a node.
type placed struct {
	node *yaml.Node
	text string
}

func (p *placed) Error() string { return p.text }

func at(n *yaml.Node, format string, args ...any) error {
	return &placed{n, fmt.Sprintf(format, args...)}
}

// converter turns YAML into what JSON knows. It counts, so that aliases cannot make much of little.
type converter struct{ nodes int }

func (c *converter) value(n *yaml.Node, depth int) (any, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, at(n, "The document is too large: its aliases repeat more than %d values.", maxNodes)
	}
	if depth > maxDepth {
		return nil, at(n, "This is nested more than %d levels deep.", maxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return c.value(n.Content[0], depth)
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := c.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return scalar(n)
}

func (c *converter) mapping(n *yaml.Node, depth int) (any, error) {
	out, merged := make(map[string]any, len(n.Content)/2), map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, node := n.Content[i], n.Content[i+1]
		v, err := c.value(node, depth+1)
		if err != nil {
			return nil, err
		}
		if key.ShortTag() == "!!merge" {
			sources, isList := v.([]any)
			if !isList {
				sources = []any{v}
			}
			for _, s := range sources {
				m, ok := s.(map[string]any)
				if !ok {
					return nil, at(key, "Only mappings can be merged with <<.")
				}
				for k, v := range m {
					if _, there := merged[k]; !there {
						merged[k] = v
					}
				}
			}
			continue
		}
		if resolve(key).Kind != yaml.ScalarNode {
			return nil, at(key, "A key must be a text.")
		}
		name := resolve(key).Value
		if _, twice := out[name]; twice {
			return nil, at(key, "The key %q stands here twice.", name)
		}
		out[name] = v
	}
	for k, v := range merged {
		if _, there := out[k]; !there {
			out[k] = v
		}
	}
	return out, nil
}

// scalar reads a value. Dates stay the texts that they are.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int":
		var i int64
		if err := n.Decode(&i); err == nil {
			return json.Number(strconv.FormatInt(i, 10)), nil
		}
		return json.Number(n.Value), nil
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, at(n, "%s is no number that JSON knows.", n.Value)
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
	case "!!str", "!!timestamp":
		return n.Value, nil
	}
	return nil, at(n, "The tag %s is not known here.", n.ShortTag())
}
