package payload

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// node is a subschema, as far as the bound of its work needs it.
type node struct {
	weight   int              // of the node itself: what its enum has to compare
	pattern  int              // instructions of its regular expression
	same     []*node          // held against the same value
	members  map[string]*node // against the member of a name
	each     []*node          // against every member
	names    []*node          // against the names of members
	patterns int              // instructions of the regular expressions that names are held against
	items    []*node          // against every element
	places   []*node          // against the element of the place
	ref      string           // until it is resolved
}

// reader makes nodes of a schema.
type reader struct {
	doc   any
	nodes map[string]*node // by JSON pointer
	refs  []*node
}

// unknown are keywords that would lead elsewhere than the reader thinks.
var unknown = []string{"$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$anchor", "$vocabulary"}

// read makes the node of the schema at a JSON pointer.
func (r *reader) read(v any, at string, depth int) (*node, error) {
	if n := r.nodes[at]; n != nil {
		return n, nil
	}
	if len(r.nodes) >= MaxSubschemas {
		return nil, fmt.Errorf("it has more than %d subschemas", MaxSubschemas)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	}
	n := &node{weight: 1, members: map[string]*node{}}
	r.nodes[at] = n
	obj, ok := v.(map[string]any)
	if !ok {
		return n, nil // true or false; the compiler refuses the rest
	}
	if err := r.readOwn(n, obj, at); err != nil {
		return nil, err
	}
	for _, k := range sortedKeys(obj) {
		if err := r.readKeyword(n, k, obj[k], at+"/"+escape(k), depth+1); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// readOwn reads what has no subschemas.
func (r *reader) readOwn(n *node, obj map[string]any, at string) error {
	for _, k := range unknown {
		if _, ok := obj[k]; ok {
			return fmt.Errorf("%s has %s, which trigger schemas must not have", at, k)
		}
	}
	if at != "#" {
		for _, k := range []string{"$id", "id", "$schema"} {
			if _, ok := obj[k].(string); ok {
				return fmt.Errorf("%s has %s; only the whole schema may", at, k)
			}
		}
	}
	if list, ok := obj["enum"].([]any); ok {
		n.weight += len(list)
	}
	if p, ok := obj["pattern"].(string); ok {
		size, err := checkPattern(p)
		if err != nil {
			return fmt.Errorf("%s/pattern: %w", at, err)
		}
		n.pattern = size
	}
	if ref, ok := obj["$ref"].(string); ok {
		if ref != "#" && !strings.HasPrefix(ref, "#/") {
			return fmt.Errorf("%s refers to %.200q; only references inside it (#/…) are followed", at, ref)
		}
		n.ref = ref
		r.refs = append(r.refs, n)
	}
	return nil
}

// readKeyword reads a keyword that has subschemas.
func (r *reader) readKeyword(n *node, keyword string, v any, at string, depth int) error {
	one := func(into *[]*node) error {
		sub, err := r.read(v, at, depth)
		*into = append(*into, sub)
		return err
	}
	switch keyword {
	case "not", "if", "then", "else":
		return one(&n.same)
	case "additionalProperties", "unevaluatedProperties":
		return one(&n.each)
	case "propertyNames":
		return one(&n.names)
	case "additionalItems", "contains", "unevaluatedItems":
		return one(&n.items)
	case "allOf", "anyOf", "oneOf":
		return r.readList(&n.same, v, at, depth)
	case "prefixItems":
		return r.readList(&n.places, v, at, depth)
	case "items":
		if _, ok := v.([]any); ok {
			return r.readList(&n.places, v, at, depth)
		}
		return one(&n.items)
	case "properties", "patternProperties", "dependencies", "dependentSchemas", "definitions", "$defs":
		members, _ := v.(map[string]any)
		for _, name := range sortedKeys(members) {
			if err := r.readMember(n, keyword, name, members[name], at+"/"+escape(name), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) readMember(n *node, keyword, name string, v any, at string, depth int) error {
	if _, list := v.([]any); list { // a dependency on members
		return nil
	}
	sub, err := r.read(v, at, depth)
	if err != nil {
		return err
	}
	switch keyword {
	case "properties":
		n.members[name] = sub
	case "patternProperties":
		size, err := checkPattern(name)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		n.patterns += size
		n.each = append(n.each, sub)
	case "dependencies", "dependentSchemas":
		n.same = append(n.same, sub)
	}
	return nil
}

func (r *reader) readList(into *[]*node, v any, at string, depth int) error {
	list, _ := v.([]any)
	for i, e := range list {
		sub, err := r.read(e, at+"/"+strconv.Itoa(i), depth)
		if err != nil {
			return err
		}
		*into = append(*into, sub)
	}
	return nil
}

// resolve makes nodes of what references lead to, and further ones of those that are found on the way.
func (r *reader) resolve() error {
	for i := 0; i < len(r.refs); i++ {
		n := r.refs[i]
		v, at, err := r.follow(n.ref)
		if err != nil {
			return err
		}
		target, err := r.read(v, at, 0)
		if err != nil {
			return err
		}
		n.same = append(n.same, target)
	}
	return nil
}

// follow finds what a JSON pointer points at, and its pointer in the reader's own spelling.
func (r *reader) follow(ref string) (v any, at string, err error) {
	v, at = r.doc, "#"
	for _, word := range strings.Split(ref, "/")[1:] {
		if word, err = url.PathUnescape(word); err != nil {
			return nil, "", fmt.Errorf("the reference %.200q has a bad escape", ref)
		}
		word = strings.NewReplacer("~1", "/", "~0", "~").Replace(word)
		at += "/" + escape(word)
		var ok bool
		switch from := v.(type) {
		case map[string]any:
			v, ok = from[word]
		case []any:
			var i int
			if i, err = strconv.Atoi(word); err == nil && i >= 0 && i < len(from) {
				v, ok = from[i], true
			}
		}
		if !ok {
			return nil, "", fmt.Errorf("the reference %.200q leads nowhere", ref)
		}
	}
	return v, at, nil
}

func escape(word string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(word) }

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
