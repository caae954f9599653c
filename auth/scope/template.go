package scope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Template is what an endpoint's table says about scopes: an expression with holes for the request's
// parameters (taskcluster-map 3.2). Its kinds are Text, All, Any, For and If; a nil Template means
// that the endpoint is public.
type Template interface {
	// Render fills the holes. A parameter that is absent or of the wrong type is a fault of kind
	// Internal: the table and the handler disagree.
	Render(params map[string]any) (Expr, error)
	// Params returns the names of the parameters used, sorted, each once.
	Params() []string
	json.Marshaler
}

// Text is a scope with parameters in angle brackets, such as "queue:get-task:<taskId>".
type Text string

// All asks for each of its members.
type All []Template

// Any asks for one of its members.
type Any []Template

// For asks for Body once for every element of the array parameter In, which Body knows as Each.
type For struct {
	Each, In string
	Body     Template
}

// If asks for Then when the boolean parameter Cond is true and otherwise for Else; a branch that is
// nil asks for nothing.
type If struct {
	Cond       string
	Then, Else Template
}

// hole matches one parameter in a Text. A role's "<..>" is not one.
var hole = regexp.MustCompile(`<([a-zA-Z][a-zA-Z0-9_]*)>`)

// Render implements Template.
func (t Text) Render(params map[string]any) (Expr, error) {
	var failed error
	s := hole.ReplaceAllStringFunc(string(t), func(m string) string {
		name := m[1 : len(m)-1]
		switch v := params[name].(type) {
		case string:
			return v
		case int:
			return strconv.Itoa(v)
		case int64:
			return strconv.FormatInt(v, 10)
		default:
			failed = fault.New(fault.Internal, "scope %q: parameter %q is %T, not a string or an integer", string(t), name, v)
			return ""
		}
	})
	return String(s), failed
}

// Render implements Template.
func (t All) Render(params map[string]any) (Expr, error) {
	list, err := renderAll(t, params)
	return AllOf(list...), err
}

// Render implements Template.
func (t Any) Render(params map[string]any) (Expr, error) {
	list, err := renderAll(t, params)
	return AnyOf(list...), err
}

func renderAll(list []Template, params map[string]any) ([]Expr, error) {
	out := make([]Expr, 0, len(list))
	for _, t := range list {
		e, err := t.Render(params)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Render implements Template. The members join the surrounding list of a well-known reference only
// in meaning: For renders to an AllOf of its own.
func (t For) Render(params map[string]any) (Expr, error) {
	values, err := elements(params[t.In])
	if err != nil {
		return Expr{}, fault.New(fault.Internal, "scope loop over parameter %q: %v", t.In, err)
	}
	inner := make(map[string]any, len(params)+1)
	for k, v := range params {
		inner[k] = v
	}
	list := make([]Expr, 0, len(values))
	for _, v := range values {
		inner[t.Each] = v
		e, err := t.Body.Render(inner)
		if err != nil {
			return Expr{}, err
		}
		list = append(list, e)
	}
	return AllOf(list...), nil
}

func elements(v any) ([]any, error) {
	switch v := v.(type) {
	case []any:
		return v, nil
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out, nil
	default:
		return nil, fmt.Errorf("%T is not an array", v)
	}
}

// Render implements Template.
func (t If) Render(params map[string]any) (Expr, error) {
	cond, ok := params[t.Cond].(bool)
	if !ok {
		return Expr{}, fault.New(fault.Internal, "scope condition: parameter %q is %T, not a boolean", t.Cond, params[t.Cond])
	}
	branch := t.Else
	if cond {
		branch = t.Then
	}
	if branch == nil {
		return AllOf(), nil
	}
	return branch.Render(params)
}

// Params implements Template.
func (t Text) Params() []string {
	var names []string
	for _, m := range hole.FindAllStringSubmatch(string(t), -1) {
		names = append(names, m[1])
	}
	return sorted(names)
}

// Params implements Template.
func (t All) Params() []string { return paramsOf(t) }

// Params implements Template.
func (t Any) Params() []string { return paramsOf(t) }

// Params implements Template.
func (t For) Params() []string {
	names := slices.DeleteFunc(t.Body.Params(), func(n string) bool { return n == t.Each })
	return sorted(append(names, t.In))
}

// Params implements Template.
func (t If) Params() []string {
	names := []string{t.Cond}
	for _, branch := range []Template{t.Then, t.Else} {
		if branch != nil {
			names = append(names, branch.Params()...)
		}
	}
	return sorted(names)
}

func paramsOf(list []Template) []string {
	var names []string
	for _, t := range list {
		names = append(names, t.Params()...)
	}
	return sorted(names)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// MarshalJSON implements Template.
func (t Text) MarshalJSON() ([]byte, error) { return encode(string(t)) }

// MarshalJSON implements Template.
func (t All) MarshalJSON() ([]byte, error) { return encode(map[string][]Template{"AllOf": nonNil(t)}) }

// MarshalJSON implements Template.
func (t Any) MarshalJSON() ([]byte, error) { return encode(map[string][]Template{"AnyOf": nonNil(t)}) }

// MarshalJSON implements Template.
func (t For) MarshalJSON() ([]byte, error) {
	return encode(struct {
		For  string   `json:"for"`
		In   string   `json:"in"`
		Each Template `json:"each"`
	}{t.Each, t.In, t.Body})
}

// MarshalJSON implements Template.
func (t If) MarshalJSON() ([]byte, error) {
	return encode(struct {
		If   string   `json:"if"`
		Then Template `json:"then"`
		Else Template `json:"else,omitempty"`
	}{t.Cond, t.Then, t.Else})
}

func nonNil(list []Template) []Template {
	if list == nil {
		return []Template{}
	}
	return list
}

// maxDepth bounds how deep templates nest; no table of the field comes near it.
const maxDepth = 64

// ParseTemplate reads the JSON form of a template; null is the nil Template. Errors are faults of
// kind Invalid.
func ParseTemplate(data []byte) (Template, error) { return parse(data, 0) }

func parse(data []byte, depth int) (Template, error) {
	data = bytes.TrimSpace(data)
	switch {
	case depth > maxDepth:
		return nil, fault.New(fault.Invalid, "scope template is nested deeper than %d", maxDepth)
	case len(data) == 0:
		return nil, fault.New(fault.Invalid, "scope template is empty")
	case string(data) == "null":
		return nil, nil
	case data[0] == '"':
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "scope template is not JSON")
		}
		return Text(s), nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "scope template is neither a string nor an object")
	}
	return parseObject(keys, depth)
}

func parseObject(keys map[string]json.RawMessage, depth int) (Template, error) {
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	switch strings.Join(names, " ") {
	case "AllOf":
		list, err := parseList(keys["AllOf"], depth)
		return All(list), err
	case "AnyOf":
		list, err := parseList(keys["AnyOf"], depth)
		return Any(list), err
	case "each for in":
		body, err := parse(keys["each"], depth+1)
		if err != nil {
			return nil, err
		}
		if body == nil {
			return nil, fault.New(fault.Invalid, "scope template: each must not be null")
		}
		return parseFor(keys, body)
	default:
		return parseIf(keys, names, depth)
	}
}

func parseFor(keys map[string]json.RawMessage, body Template) (Template, error) {
	each, err := parseName(keys, "for")
	if err != nil {
		return nil, err
	}
	in, err := parseName(keys, "in")
	if err != nil {
		return nil, err
	}
	return For{Each: each, In: in, Body: body}, nil
}

func parseIf(keys map[string]json.RawMessage, names []string, depth int) (Template, error) {
	if !slices.Contains(names, "if") || slices.ContainsFunc(names, func(n string) bool {
		return n != "if" && n != "then" && n != "else"
	}) {
		return nil, fault.New(fault.Invalid, "scope template has the keys %s; use AllOf, AnyOf, for/in/each or if/then/else",
			strings.Join(names, ", "))
	}
	cond, err := parseName(keys, "if")
	if err != nil {
		return nil, err
	}
	t := If{Cond: cond}
	if raw, ok := keys["then"]; ok {
		if t.Then, err = parse(raw, depth+1); err != nil {
			return nil, err
		}
	}
	if raw, ok := keys["else"]; ok {
		if t.Else, err = parse(raw, depth+1); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func parseName(keys map[string]json.RawMessage, key string) (string, error) {
	var name string
	if err := json.Unmarshal(keys[key], &name); err != nil {
		return "", fault.Wrap(fault.Invalid, err, "scope template: %q must be the name of a parameter", key)
	}
	return name, nil
}

func parseList(data json.RawMessage, depth int) ([]Template, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "scope template: AllOf and AnyOf hold a list")
	}
	list := make([]Template, 0, len(raw))
	for _, r := range raw {
		t, err := parse(r, depth+1)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return nil, fault.New(fault.Invalid, "scope template: null inside a list")
		}
		list = append(list, t)
	}
	return list, nil
}
