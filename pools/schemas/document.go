package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Complaint is one thing that is wrong with a config.
type Complaint struct {
	Path    []string // of the member, or of the one that is missing
	Message string
}

// Complaints holds a config against the schema of a type of provider and says of each member what is wrong with it; none
// when it fits. A type without a schema has no complaints: Check refuses it.
func (c *Configs) Complaints(providerType string, config json.RawMessage) []Complaint {
	schema := c.byType[providerType]
	if schema == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return []Complaint{{Message: "is no JSON: " + err.Error()}}
	}
	v, ok := errors.AsType[*jsonschema.ValidationError](schema.Validate(value))
	if !ok {
		return nil
	}
	list := leaves(v, message.NewPrinter(language.English), nil)
	return list[:min(len(list), maxProblems)]
}

// leaves are the innermost complaints: those say what is wrong.
func leaves(v *jsonschema.ValidationError, p *message.Printer, out []Complaint) []Complaint {
	for _, cause := range v.Causes {
		out = leaves(cause, p, out)
	}
	if len(v.Causes) > 0 {
		return out
	}
	if missing, ok := v.ErrorKind.(*kind.Required); ok {
		for _, name := range missing.Missing {
			out = append(out, Complaint{append(slices.Clone(v.InstanceLocation), name), "is missing"})
		}
		return out
	}
	return append(out, Complaint{v.InstanceLocation, v.ErrorKind.LocalizedString(p)})
}

// maxNested is how deep references are followed.
const maxNested = 30

// ForForm returns the schema of a type of provider for a form of its fields, whole in itself: references are resolved;
// defaults stand in the descriptions, so that leaving a field empty leaves it out; objects that take any further members
// name none, so that a form asks for them as text and loses none. It is nil for a type without a schema. Configs are
// judged by Check, not by this.
func (c *Configs) ForForm(providerType string) (map[string]any, error) {
	if c.byType[providerType] == nil {
		return nil, nil
	}
	name := "config-" + providerType + ".json"
	doc, err := readDoc(name)
	if err != nil {
		return nil, err
	}
	made, err := inlined(doc, doc, 0)
	if err != nil {
		return nil, err
	}
	out, _ := made.(map[string]any)
	delete(out, "$id")
	delete(out, "$schema")
	return out, nil
}

func readDoc(name string) (doc map[string]any, err error) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	return doc, json.Unmarshal(text, &doc)
}

// inlined is a value of a schema's document with what it refers to in place.
func inlined(v any, doc map[string]any, depth int) (any, error) {
	if depth > maxNested {
		return nil, errors.New("schemas refer to themselves")
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = inlined(e, doc, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			return referred(ref, doc, depth)
		}
		out := make(map[string]any, len(v))
		for key, e := range v {
			var err error
			if out[key], err = inlined(e, doc, depth+1); err != nil {
				return nil, err
			}
		}
		return forFields(out), nil
	}
	return v, nil
}

// referred follows FILE#/path or #/path.
func referred(ref string, doc map[string]any, depth int) (any, error) {
	file, path, _ := strings.Cut(ref, "#")
	if file != "" {
		var err error
		if doc, err = readDoc(file); err != nil {
			return nil, err
		}
	}
	var at any = doc
	for step := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if m, ok := at.(map[string]any); ok && step != "" {
			at = m[step]
		}
	}
	return inlined(at, doc, depth+1)
}

func forFields(s map[string]any) map[string]any {
	s = maps.Clone(s)
	if value, ok := s["default"]; ok && s["type"] != nil {
		text, err := json.Marshal(value)
		about, _ := s["description"].(string)
		if err == nil {
			s["description"] = strings.TrimSpace(about + " Left out, it is " + string(text) + ".")
		}
		delete(s, "default")
	}
	if s["additionalProperties"] == true && s["type"] == "object" {
		delete(s, "properties")
	}
	return s
}
