package params

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// YAML writes p as a block-style document with sorted keys, as the artifact parameters.yml. Load
// reads the same values back, and so does any reader of YAML 1.1 or 1.2: texts that either takes
// for something else stand in quotes.
func (p *Parameters) YAML() ([]byte, error) {
	doc, err := node(p.values)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	return b.Bytes(), nil
}

func node(v any) (*yaml.Node, error) {
	switch v := v.(type) {
	case string:
		return textNode(v), nil
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: text}, nil
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, x := range v {
			e, err := node(x)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, e)
		}
		return n, nil
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			e, err := node(v[key])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			n.Content = append(n.Content, textNode(key), e)
		}
		return n, nil
	}
	n := &yaml.Node{}
	err := n.Encode(v)
	return n, err
}

// plainText is what no YAML takes for anything but text, words such as yes left out.
var plainText = regexp.MustCompile(`\A[A-Za-z/](?:[A-Za-z0-9_/.@+-]|:[A-Za-z0-9_/])*\z`)

func textNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ToValidUTF8(s, "\uFFFD")}
	words := []string{"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
	if !plainText.MatchString(s) || slices.Contains(words, strings.ToLower(s)) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
