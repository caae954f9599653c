package tree

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

// ServerFile is the repositories as the file that TREELINE_REPOSITORIES names: what no API may change,
// since it says how far pushes are trusted.
func (t *Tree) ServerFile() ([]byte, error) {
	file := yaml.Node{Kind: yaml.MappingNode}
	var list yaml.Node
	list.Kind = yaml.SequenceNode
	for _, p := range t.Repositories {
		entry := yaml.Node{Kind: yaml.MappingNode}
		for _, key := range repositoryKeys {
			v, ok := p.entry[key]
			if !ok {
				continue
			}
			var value yaml.Node
			if err := value.Encode(v); err != nil {
				return nil, fmt.Errorf("%s: repository %s: %s: %w", p.Place, p.Name, key, err)
			}
			entry.Content = append(entry.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &value)
		}
		list.Content = append(list.Content, &entry)
	}
	file.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Value: "repositories"}, &list}
	var b bytes.Buffer
	b.WriteString("# Written by \"treeline admin generate --server-config\"; change the directory instead.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&file); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}
