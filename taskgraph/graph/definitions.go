package graph

import (
	"encoding/json"
	"fmt"

	"github.com/treeline-ci/treeline/task"
)

// OfDefinitions makes a graph without edges of tasks that no kind made: each has its name for label. Two of one name are
// an error.
func OfDefinitions(kind string, definitions []task.Definition) (*Graph, error) {
	nodes := map[string]*Task{}
	for _, d := range definitions {
		label := d.Metadata.Name
		if nodes[label] != nil {
			return nil, fmt.Errorf("two tasks are named %s", label)
		}
		text, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", label, err)
		}
		definition := map[string]any{}
		if err := json.Unmarshal(text, &definition); err != nil {
			return nil, fmt.Errorf("task %s: %w", label, err)
		}
		nodes[label] = &Task{Kind: kind, Label: label, Definition: definition, Attributes: map[string]any{"kind": kind}}
	}
	return New(nodes, nil)
}
