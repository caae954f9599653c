package schema

import (
	"maps"
	"slices"
	"strings"
)

// Describe says in a few words what t takes, such as "list of strings".
func Describe(t Type) string {
	switch t := t.(type) {
	case simple:
		if t.name() == Reference().name() {
			return "string or reference"
		}
		return strings.TrimPrefix(strings.TrimPrefix(t.what, "a "), "an ")
	case list:
		return "list of " + plural(t.of)
	case mapping:
		if Describe(t.of) == "anything" {
			return "mapping"
		}
		return "mapping to " + plural(t.of)
	case enum:
		words := make([]string, len(t.words))
		for i, w := range t.words {
			words[i] = "`" + w + "`"
		}
		return alternatives(words)
	case oneOf:
		var parts []string
		for _, of := range t.types {
			if d := Describe(of); d != "null" {
				parts = append(parts, d)
			}
		}
		return alternatives(parts)
	case keyedBy:
		return Describe(t.of) + ", or by-" + strings.Join(t.fields, ", by-")
	case nonEmpty:
		return Describe(t.of)
	}
	return "mapping"
}

func alternatives(parts []string) string {
	if last := len(parts) - 1; last > 0 {
		return strings.Join(parts[:last], ", ") + " or " + parts[last]
	}
	return strings.Join(parts, "")
}

// plural is Describe for several.
func plural(t Type) string {
	switch d := Describe(t); d {
	case "string", "integer", "mapping":
		return d + "s"
	case "anything":
		return d
	default:
		return "(" + d + ")"
	}
}

// Row is a key with what may stand under it.
type Row struct {
	// Path leads to the key: "caches[].name" for each element of a list, "aliases.*.os" for each
	// entry of a mapping.
	Path string
	// Type is Describe of what may stand there.
	Type     string
	Required bool
}

// Rows lists the keys of the mappings that t takes, those of nested mappings behind them, down to
// depth keys inside each other.
func Rows(t Type, depth int) []Row { return rows(t, "", depth) }

func rows(t Type, at string, depth int) []Row {
	if depth == 0 {
		return nil
	}
	var out []Row
	switch t := t.(type) {
	case *Object:
		for _, f := range t.fields {
			path := strings.TrimPrefix(at+"."+f.Name, ".")
			out = append(out, Row{path, Describe(f.Type), f.Required})
			out = append(out, rows(f.Type, path, depth-1)...)
		}
	case list:
		return rows(t.of, at+"[]", depth)
	case mapping:
		return rows(t.of, at+".*", depth)
	case keyedBy:
		return rows(t.of, at, depth)
	case nonEmpty:
		return rows(t.of, at, depth)
	case oneOf:
		for _, of := range t.types {
			out = append(out, rows(of, at, depth)...)
		}
	case tagged:
		for _, word := range slices.Sorted(maps.Keys(t.types)) {
			for _, r := range rows(t.types[word], at, depth) {
				r.Required = r.Required && r.Path == at+"."+t.tag
				if !slices.ContainsFunc(out, func(o Row) bool { return o.Path == r.Path }) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}
