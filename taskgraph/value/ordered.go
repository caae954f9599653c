package value

import "strings"

// Ordered is a mapping for format strings that is shown with its keys in the order given, as
// people wrote them, instead of sorted.
type Ordered struct {
	Keys []string
	Map  map[string]any
}

// Lookup implements Names.
func (o Ordered) Lookup(name string) (any, bool) { v, ok := o.Map[name]; return v, ok }

// String is the text that a format string shows.
func (o Ordered) String() string {
	parts := make([]string, len(o.Keys))
	for i, key := range o.Keys {
		parts[i] = quote(key) + ": " + repr(o.Map[key])
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
