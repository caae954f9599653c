package web

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
)

// publish makes the documents below /references and /schemas by their paths (taskcluster-map 2.2).
func (s *site) publish(services []Service, lib *library) (map[string][]byte, error) {
	type file struct {
		Filename string `json:"filename"`
		Content  any    `json:"content"`
	}
	var bundle []file
	documents := map[string][]byte{}
	put := func(public string, content map[string]any) error {
		bundle = append(bundle, file{strings.TrimPrefix(public, "/"), content})
		text, err := pretty(s.absolute(content))
		documents[public] = text
		return err
	}
	var references []any
	for i := range services {
		public := path.Join("/references", services[i].Name, services[i].Version, "api.json")
		references = append(references, public)
		content, err := reference(&services[i])
		if err != nil {
			return nil, err
		}
		if err := put(public, content); err != nil {
			return nil, err
		}
	}
	for _, r := range s.References {
		public := path.Join("/references", r.Service, r.Version, r.Name)
		references = append(references, public)
		content, err := plain(r.Content)
		if err != nil {
			return nil, err
		}
		if err := put(public, content); err != nil {
			return nil, err
		}
	}
	for _, public := range slices.Sorted(maps.Keys(lib.files)) {
		content := maps.Clone(lib.files[public])
		content["$id"] = public + "#"
		if _, ok := content["$schema"]; !ok {
			content["$schema"] = "/schemas/common/metaschema.json#"
		}
		if err := put(public, content); err != nil {
			return nil, err
		}
	}
	manifest := map[string]any{"$schema": "/schemas/common/manifest-v3.json#", "references": references}
	if err := put("/references/manifest.json", manifest); err != nil {
		return nil, err
	}
	text, err := pretty(bundle) // the bundle stays relative, as generators of clients want it
	documents["/references/references.json"] = text
	documents["/references"], documents["/references/"] = documents["/references/manifest.json"], documents["/references/manifest.json"]
	return documents, err
}

// absolute returns a copy of a document whose $id, $schema, $ref and references lead to this
// deployment.
func (s *site) absolute(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			text, isText := member.(string)
			switch {
			case isText && strings.HasPrefix(text, "/") && (name == "$id" || name == "$schema" || name == "$ref"):
				out[name] = s.RootURL + text
			default:
				out[name] = s.absolute(member)
			}
		}
		if list, ok := v["references"].([]any); ok {
			full := make([]any, len(list))
			for i, r := range list {
				full[i] = r
				if text, ok := r.(string); ok {
					full[i] = s.RootURL + text
				}
			}
			out["references"] = full
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, member := range v {
			out[i] = s.absolute(member)
		}
		return out
	}
	return v
}

// reference is the machine-readable description of a service.
func reference(s *Service) (map[string]any, error) {
	entries := make([]any, 0, len(s.Endpoints))
	for _, e := range s.Endpoints {
		if e.Unpublished {
			continue
		}
		ready := &endpoint{Endpoint: e}
		if err := (&node{}).add("", ready); err != nil {
			return nil, err
		}
		args := ready.route.params
		if args == nil {
			args = []string{}
		}
		entry := map[string]any{
			"type": "function", "name": e.Name, "method": strings.ToLower(e.Method), "route": ready.public(),
			"args": args, "query": append([]string{}, slices.Sorted(maps.Keys(e.Query))...),
			"title": e.Title, "description": e.Description, "category": e.Category, "stability": e.Stability,
		}
		for member, name := range map[string]string{"input": e.Input, "output": e.Output} {
			switch name {
			case "":
			case Blob:
				entry[member] = Blob
			default:
				entry[member] = s.Version + "/" + name + "#"
			}
		}
		if e.Scopes != nil {
			entry["scopes"] = e.Scopes
		}
		entries = append(entries, entry)
	}
	content := map[string]any{
		"$schema": "/schemas/common/api-reference-v0.json#", "apiVersion": s.Version, "serviceName": s.Name,
		"title": s.Title, "description": s.Description, "entries": entries,
	}
	return plain(content)
}

// plain is a document through JSON, so that it is made of plain values only.
func plain(content any) (map[string]any, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	err = json.Unmarshal(text, &out)
	return out, err
}
