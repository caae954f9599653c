package action

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Limits of checking an input: trees write the schemas, and anybody writes inputs.
const (
	maxSchemaParts = 5_000     // that a schema has when its references are followed
	maxChecks      = 5_000_000 // parts of the schema times parts of the input
	maxItems       = 10_000    // of one list of an input
)

// bound refuses a schema that is large beyond reason, as when each definition names the one before it
// twice, or refers to itself, and an input that would take long to check against it.
func bound(schema map[string]any, input any) error {
	m := measure{root: schema, known: map[string]int{}}
	parts, err := m.parts(schema, 0)
	if err != nil {
		return fmt.Errorf("its schema cannot be used: %w", err)
	}
	values, err := inputParts(input)
	if err != nil {
		return err
	}
	if parts*values > maxChecks {
		return fmt.Errorf("the input has %d parts and its schema %d: that is too much to check", values, parts)
	}
	return nil
}

// measure counts the parts of a schema.
type measure struct {
	root  map[string]any
	known map[string]int // by reference; -1 while it is being counted
}

func (m measure) parts(v any, depth int) (n int, err error) {
	if depth > maxSchemaDepth*4 {
		return 0, errors.New("it is nested too deeply")
	}
	n = 1
	add := func(more int, err error) error {
		if n += more; err == nil && n > maxSchemaParts {
			err = fmt.Errorf("it has more than %d parts when its references are followed", maxSchemaParts)
		}
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if err := add(m.reference(ref)); err != nil {
				return n, err
			}
		}
		for _, e := range v {
			if err := add(m.parts(e, depth+1)); err != nil {
				return n, err
			}
		}
	case []any:
		for _, e := range v {
			if err := add(m.parts(e, depth+1)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// reference counts what a reference inside the schema leads to.
func (m measure) reference(ref string) (int, error) {
	switch n, ok := m.known[ref]; {
	case ok && n < 0:
		return 0, fmt.Errorf("it refers to itself at %s", ref)
	case ok:
		return n, nil
	}
	target, ok := m.find(ref)
	if !ok {
		return 0, fmt.Errorf("it refers to %s; only places inside it, such as #/definitions/name, are followed", ref)
	}
	m.known[ref] = -1
	n, err := m.parts(target, 0)
	m.known[ref] = n
	return n, err
}

// find follows a JSON pointer into the schema.
func (m measure) find(ref string) (any, bool) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	if path == "" {
		return m.root, true
	}
	path, err := url.PathUnescape(path)
	if err != nil || path[0] != '/' {
		return nil, false
	}
	var at any = m.root
	for _, key := range strings.Split(path[1:], "/") {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
		switch v := at.(type) {
		case map[string]any:
			if at, ok = v[key]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, true
}

func inputParts(v any) (n int, err error) {
	n = 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			more, err := inputParts(e)
			if n += more; err != nil {
				return n, err
			}
		}
	case []any:
		if len(v) > maxItems {
			return n, fmt.Errorf("a list of the input has %d items; %d are allowed", len(v), maxItems)
		}
		for _, e := range v {
			more, err := inputParts(e)
			if n += more; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}
