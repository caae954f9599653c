// Package schemas holds the JSON schemas of the service worker-manager: those of its bodies, and those that
// the configs of worker pools must fit, one for each type of provider (taskcluster-map 12.2).
package schemas

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/internal/fault"
)

//go:embed *.json
var files embed.FS

// Files returns the schema files.
func Files() fs.FS { return files }

const base = "treeline:///worker-manager/"

// Configs holds configs of worker pools against the schemas. It is safe for concurrent use.
type Configs struct{ byType map[string]*jsonschema.Schema }

// Compile makes the schemas of configs ready.
func Compile() (*Configs, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft6)
	compiler.AssertFormat()
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		doc, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is no object", name)
		}
		bare := maps.Clone(doc)
		delete(bare, "$id")
		delete(bare, "$schema")
		if err := compiler.AddResource(base+name, bare); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	out := map[string]*jsonschema.Schema{}
	for _, name := range names {
		kind, ok := strings.CutPrefix(strings.TrimSuffix(name, ".json"), "config-")
		if !ok {
			continue
		}
		if out[kind], err = compiler.Compile(base + name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &Configs{out}, nil
}

// Check holds a worker pool's config against the schema of a type of provider. What does not fit is a
// fault.BadInput that names each member at fault.
func (c *Configs) Check(providerType string, config json.RawMessage) error {
	schema := c.byType[providerType]
	if schema == nil {
		return fault.New(fault.Invalid, "There is no schema for the configs of providers of type %s.", providerType)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return fault.New(fault.BadInput, "The config is no JSON: %v.", err)
	}
	err = schema.Validate(value)
	if v, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		lines := problems(v, nil)
		slices.Sort(lines)
		lines = slices.Compact(lines)
		return fault.New(fault.BadInput, "The config does not fit the schema config-%s.json:\n%s", providerType, strings.Join(lines[:min(len(lines), maxProblems)], "\n"))
	}
	return err
}

// maxProblems is how many problems of a config are told.
const maxProblems = 20

// problems lists what is wrong, each with where it stands.
func problems(v *jsonschema.ValidationError, out []string) []string {
	if len(v.Causes) == 0 {
		where := "config"
		for _, step := range v.InstanceLocation {
			where += "." + step
		}
		_, what, _ := strings.Cut(v.Error(), "': ")
		return append(out, "* "+where+": "+what)
	}
	for _, cause := range v.Causes {
		out = problems(cause, out)
	}
	return out
}
