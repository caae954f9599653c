package apicall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/treeline-ci/treeline/client"
)

// Usage is how a method is called on the command line, in one line.
func Usage(r client.Reference, e client.Endpoint) string {
	words := []string{"treeline api", r.ServiceName, e.Name}
	for _, name := range e.Args {
		words = append(words, "<"+name+">")
	}
	if e.Input != "" && e.Input != blob {
		words = append(words, "--body <json>")
	}
	for _, name := range slices.Sorted(slices.Values(e.Query)) {
		words = append(words, "[--query "+name+"=…]")
	}
	if slices.Contains(e.Query, token) {
		words = append(words, "[--paginate]")
	}
	return strings.Join(words, " ")
}

// sampleArgs are values that could stand for well-known parameters.
var sampleArgs = map[string]string{
	"taskId": "fN1SbArXTPSVFNUvaOlinQ", "taskGroupId": "fN1SbArXTPSVFNUvaOlinQ", "runId": "0", "taskQueueId": "proj/linux",
	"provisionerId": "proj", "workerType": "linux", "workerGroup": "rack1", "workerId": "host1", "name": "public/build.log",
	"indexPath": "project.main.latest.build", "namespace": "project.main", "clientId": "project/someone", "roleId": "repo:local/app:*",
	"entityType": "client", "entityId": "project/someone", "level": "read-only",
}

// Examples are calls of a method on the command line, as a person would type them. members describes
// its body.
func Examples(r client.Reference, e client.Endpoint, members []Member) []string {
	words := []string{"treeline api", r.ServiceName, e.Name}
	for _, name := range e.Args {
		value, ok := sampleArgs[name]
		if !ok {
			value = strings.ToUpper(name)
		}
		if strings.ContainsAny(value, "*<> ") {
			value = "'" + value + "'"
		}
		words = append(words, value)
	}
	call := strings.Join(words, " ")
	switch {
	case e.Input != "" && e.Input != blob:
		list := []string{call + " --body @body.json"}
		if body := sampleBody(members); len(body) <= 100 {
			list = append(list, call+" --body '"+body+"'")
		}
		if slices.Contains(e.Query, token) {
			list = append(list, list[0]+" --paginate")
		}
		return list
	case slices.Contains(e.Query, token):
		return []string{call + " --query limit=10", call + " --paginate"}
	}
	return []string{call}
}

// Member is a member of a body.
type Member struct {
	Name, Type, Description string
	Required                bool
	sample                  any
}

// sampleBody is a body with the members that it must have.
func sampleBody(members []Member) string {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for _, m := range members {
		if !m.Required {
			continue
		}
		if buf.Len() > 1 {
			buf.WriteString(", ")
		}
		value, err := json.Marshal(m.sample)
		if err != nil {
			value = []byte("null")
		}
		fmt.Fprintf(&buf, "%q: %s", m.Name, value)
	}
	buf.WriteByte('}')
	return buf.String()
}

// Describe says in words how a method is called, with what body, and who may.
func (c *Caller) Describe(ctx context.Context, service, method string) (string, error) {
	r, e, err := c.Endpoint(ctx, service, method)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n\n%s\n\nUsage:\n  %s\n", e.Title, e.Stability, strings.TrimSpace(e.Description), Usage(r, e))
	fmt.Fprintf(&b, "\nRequest:\n  %s /api/%s/%s%s\n", strings.ToUpper(e.Method), r.ServiceName, r.APIVersion, e.Route)
	fmt.Fprintf(&b, "\nScopes:\n  %s\n", Scopes(e, "\n  "))
	var members []Member
	if e.Input != "" && e.Input != blob {
		if members, err = c.members(ctx, r, e.Input); err != nil {
			return "", err
		}
		b.WriteString("\nBody:\n")
		writeMembers(&b, members)
	}
	if e.Output != "" {
		fmt.Fprintf(&b, "\nAnswer:\n  %s\n", Schema(c.Client.RootURL(), r, e.Output))
	}
	fmt.Fprintf(&b, "\nExamples:\n  %s\n", strings.Join(Examples(r, e, members), "\n  "))
	return b.String(), nil
}

// Schema is the address of a schema that a reference names, or that there are bytes.
func Schema(root string, r client.Reference, name string) string {
	if name == blob {
		return "bytes"
	}
	return root + "/schemas/" + r.ServiceName + "/" + strings.TrimSuffix(name, "#")
}

// Scopes says what a caller must hold, lines joined by the given separator.
func Scopes(e client.Endpoint, newline string) string {
	if len(e.Scopes) == 0 || string(e.Scopes) == "null" {
		return "none: everybody may call it"
	}
	var one string
	if json.Unmarshal(e.Scopes, &one) == nil {
		return one
	}
	var buf bytes.Buffer
	if json.Indent(&buf, e.Scopes, "", "  ") != nil {
		return string(e.Scopes)
	}
	return strings.ReplaceAll(buf.String(), "\n", newline)
}

func writeMembers(b *strings.Builder, members []Member) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, m := range members {
		need := ""
		if m.Required {
			need = "required"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", m.Name, m.Type, need, m.Description)
	}
	_ = w.Flush() // a strings.Builder takes everything
}

// members reads the members of a body from its schema.
func (c *Caller) members(ctx context.Context, r client.Reference, name string) ([]Member, error) {
	files := &files{load: func(address string) (map[string]any, error) {
		return cached(c, "schema "+address, func() (map[string]any, error) {
			reply, err := c.Client.CallRaw(ctx, http.MethodGet, address, nil)
			if err != nil {
				return nil, err
			}
			var doc map[string]any
			return doc, json.Unmarshal(reply.Body, &doc)
		})
	}, root: c.Client.RootURL()}
	return files.members(Schema(c.Client.RootURL(), r, name))
}

// Members reads the members of a body from schemas at hand, by address without fragment.
func Members(root string, schemas map[string]map[string]any, address string) ([]Member, error) {
	return (&files{root: root, load: func(a string) (map[string]any, error) { return schemas[a], nil }}).members(address)
}

// files follows references from schema to schema, on one server.
type files struct {
	root string
	load func(address string) (map[string]any, error)
}

func (f *files) members(address string) ([]Member, error) {
	doc, err := f.load(address)
	if err != nil {
		return nil, err
	}
	required, _ := doc["required"].([]any)
	properties, _ := doc["properties"].(map[string]any)
	var out []Member
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		m, _ := properties[name].(map[string]any)
		if m, err = f.follow(address, m); err != nil {
			return nil, err
		}
		out = append(out, Member{
			Name: name, Type: typeOf(m), Required: slices.Contains(required, any(name)), Description: sentence(m), sample: sample(m),
		})
	}
	slices.SortStableFunc(out, func(a, b Member) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return out, nil
}

// follow resolves a $ref of a schema; one that leads to another server is left alone.
func (f *files) follow(address string, m map[string]any) (map[string]any, error) {
	for range 10 {
		ref, ok := m["$ref"].(string)
		if !ok {
			break
		}
		base, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		target, err := base.Parse(ref)
		if err != nil {
			return nil, err
		}
		fragment := target.Fragment
		target.Fragment = ""
		address = target.String()
		if !strings.HasPrefix(address, f.root+"/") {
			return m, nil
		}
		doc, err := f.load(address)
		if err != nil {
			return nil, err
		}
		m = doc
		for _, step := range strings.Split(fragment, "/")[1:] {
			m, _ = m[step].(map[string]any)
		}
	}
	return m, nil
}

// typeOf names the type of a schema, or the values of an enumeration.
func typeOf(m map[string]any) string {
	if list, ok := m["enum"].([]any); ok && len(list) <= 6 {
		words := make([]string, len(list))
		for i, v := range list {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, "|")
	}
	switch v := m["type"].(type) {
	case string:
		if format, ok := m["format"].(string); ok {
			return format
		}
		if items, ok := m["items"].(map[string]any); ok && v == "array" {
			return "list of " + typeOf(items)
		}
		return v
	case []any:
		return strings.ReplaceAll(strings.Trim(fmt.Sprint(v), "[]"), " ", "|")
	}
	return "any"
}

// sentence is the first sentence of a schema's description.
func sentence(m map[string]any) string {
	text, _ := m["description"].(string)
	text = strings.Join(strings.Fields(text), " ")
	if before, _, ok := strings.Cut(text, ". "); ok {
		return before + "."
	}
	return text
}

// sample is a value of a schema's type.
func sample(m map[string]any) any {
	if list, ok := m["enum"].([]any); ok && len(list) > 0 {
		return list[0]
	}
	kind, _ := m["type"].(string)
	switch kind {
	case "integer", "number":
		if least, ok := m["minimum"]; ok {
			return least
		}
		return 1
	case "boolean":
		return true
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	}
	if m["format"] == "date-time" {
		return "2030-01-01T00:00:00Z"
	}
	return "…"
}
