// Package imports writes what a server has as a directory of package tree, such that a comparison of the
// two finds nothing: the first step of a deployment that was set up by hand.
package imports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/admin/resource"
)

// Files are files by their names.
type Files map[string][]byte

// Write writes resources as files. managed goes into the first of them. notes are what could not be
// written, for the person to know.
func Write(set resource.Set, managed resource.Patterns) (files Files, notes []string, err error) {
	sections := map[string]*yaml.Node{}
	section := func(name string, kind yaml.Kind) *yaml.Node {
		if sections[name] == nil {
			sections[name] = &yaml.Node{Kind: kind}
		}
		return sections[name]
	}
	for _, r := range set.Sorted() {
		if !managed.Match(r.Key) {
			continue
		}
		if r.Kind == resource.Denylist {
			channel, to, _ := strings.Cut(r.ID, "/")
			if !slices.Contains([]string{"email", "matrix-room", "slack-channel", "pulse"}, channel) {
				notes = append(notes, fmt.Sprintf("%s is left out: its kind of address is not known", r.Key))
				continue
			}
			list := section("denylist", yaml.SequenceNode)
			list.Content = append(list.Content, mapping(entry{channel, to}))
			continue
		}
		name, value, err := written(r)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		m := section(name, yaml.MappingNode)
		m.Content = append(m.Content, text(r.ID), value)
	}
	files = Files{}
	var patterns yaml.Node
	patterns.Kind = yaml.SequenceNode
	for _, p := range managed {
		patterns.Content = append(patterns.Content, text(p.String()))
	}
	sections["managed"] = &patterns
	for name, node := range sections {
		file := name + ".yml"
		if name == "managed" {
			file = "admin.yml"
		}
		out, err := encode(name, node)
		if err != nil {
			return nil, nil, err
		}
		files[file] = out
	}
	return files, notes, nil
}

func encode(name string, node *yaml.Node) ([]byte, error) {
	top := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text(name), node}}
	var b bytes.Buffer
	if name == "managed" {
		b.WriteString("# What \"treeline admin apply\" changes and deletes on the server; all else it leaves alone.\n")
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(top); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// entry is a member of a mapping; nil values are left out.
type entry struct {
	key   string
	value any
}

func mapping(entries ...entry) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range entries {
		if e.value != nil {
			m.Content = append(m.Content, text(e.key), node(e.value))
		}
	}
	return m
}

func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// node writes a JSON value, with the members of objects in order.
func node(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		m := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			m.Content = append(m.Content, text(k), node(v[k]))
		}
		return m
	case []any:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, e := range v {
			list.Content = append(list.Content, node(e))
		}
		return list
	case []string:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, e := range v {
			list.Content = append(list.Content, text(e))
		}
		return list
	case string:
		return text(v)
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

func unless[T comparable](v, usual T) any {
	if v == usual {
		return nil
	}
	return any(v)
}

// forever is what a client has that says nothing of its expiry.
const forever = "3000-01-01T00:00:00.000Z"

// written is a resource in the directory's spelling, and the section it belongs to.
func written(r resource.Resource) (section string, value *yaml.Node, err error) {
	switch r.Kind {
	case resource.Role:
		var b resource.RoleBody
		err = json.Unmarshal(r.Body, &b)
		return "roles", mapping(entry{"description", unless(b.Description, "")}, entry{"scopes", b.Scopes}), err
	case resource.Client:
		var b resource.ClientBody
		err = json.Unmarshal(r.Body, &b)
		return "clients", mapping(entry{"description", unless(b.Description, "")}, entry{"expires", unless(b.Expires, forever)}, entry{"disabled", unless(b.Disabled, false)},
			entry{"delete-on-expiration", unless(b.DeleteOnExpiration, false)}, entry{"scopes", b.Scopes}), err
	case resource.Secret:
		return "secrets", mapping(), nil
	}
	var b map[string]any
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.UseNumber()
	if err := dec.Decode(&b); err != nil {
		return "", nil, err
	}
	if r.Kind == resource.Pool {
		return "worker-pools", mapping(entry{"provider", b["providerId"]}, entry{"description", unless(b["description"], any(""))}, entry{"owner", b["owner"]},
			entry{"email-on-error", unless(b["emailOnError"], any(false))}, entry{"config", b["config"]}), nil
	}
	return "hooks", hook(r.ID, b), nil
}

func hook(id string, b map[string]any) *yaml.Node {
	meta, _ := b["metadata"].(map[string]any)
	var bindings any
	if list, _ := b["bindings"].([]any); len(list) > 0 {
		all := []any{}
		for _, e := range list {
			m, _ := e.(map[string]any)
			all = append(all, map[string]any{"exchange": m["exchange"], "routing-key-pattern": m["routingKeyPattern"]})
		}
		bindings = all
	}
	var schedule any
	if list, _ := b["schedule"].([]any); len(list) > 0 {
		schedule = list
	}
	schema := b["triggerSchema"]
	if text, err := resource.Canonical(schema); err == nil && string(text) == `{"additionalProperties":false,"type":"object"}` {
		schema = nil
	}
	return mapping(entry{"name", unless(meta["name"], any(id))}, entry{"description", unless(meta["description"], any(""))}, entry{"owner", meta["owner"]},
		entry{"email-on-error", unless(meta["emailOnError"], any(false))}, entry{"schedule", schedule}, entry{"bindings", bindings}, entry{"task", b["task"]}, entry{"trigger-schema", schema})
}
