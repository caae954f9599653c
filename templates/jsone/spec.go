package jsone

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"gopkg.in/yaml.v3"
)

// SpecTime is the current time as the cases of a specification file see it.
var SpecTime = time.Date(2017, time.January, 19, 16, 27, 20, 974_000_000, time.UTC)

// SpecFailure is a case that did not come out as its file says.
type SpecFailure struct {
	Section, Title string
	Line           int // where the case starts
	Want, Got      string
}

func (f SpecFailure) String() string {
	title := f.Title
	if f.Section != "" {
		title = f.Section + ": " + title
	}
	return fmt.Sprintf("line %d: %s\n    want %s\n    got  %s", f.Line, title, f.Want, f.Got)
}

// RunSpec runs a file of cases: YAML documents that are either `section: name` or a case with title, context,
// template and result or error, where an error is the exact text or true for any. It returns how many cases passed
// and the ones that failed; the error is about the file itself.
func RunSpec(file io.Reader) (passed int, failed []SpecFailure, err error) {
	d := yaml.NewDecoder(file)
	section := ""
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil {
			if errors.Is(err, io.EOF) {
				return passed, failed, nil
			}
			return passed, failed, fmt.Errorf("jsone: %w", err)
		}
		v, err := DecodeYAML(&doc)
		if err != nil {
			return passed, failed, fmt.Errorf("jsone: %w", err)
		}
		o, ok := v.(*Object)
		if !ok {
			if v == nil {
				continue
			}
			return passed, failed, fmt.Errorf("jsone: line %d: a case must be a mapping", doc.Line)
		}
		if name, ok := o.Get("section"); ok {
			section, _ = toText(name, 0)
			continue
		}
		title, _ := o.Get("title")
		f := SpecFailure{Section: section, Line: doc.Line}
		f.Title, _ = toText(title, 0)
		var good bool
		if f.Want, f.Got, good = runCase(o); good {
			passed++
		} else {
			failed = append(failed, f)
		}
	}
}

// runCase renders one case and compares.
func runCase(o *Object) (want, got string, ok bool) {
	template, _ := o.Get("template")
	context, _ := o.Get("context")
	result, err := Render(template, context, Options{Now: SpecTime})
	if err != nil {
		got = err.Error()
	} else {
		got = string(AppendJSON(nil, result))
	}
	if fault, wanted := o.Get("error"); wanted && truthy(fault) {
		text, exact := fault.(string)
		if !exact {
			return "any error", got, err != nil
		}
		return text, got, err != nil && text == got
	}
	expected, _ := o.Get("result")
	return string(AppendJSON(nil, expected)), got, err == nil && same(expected, result)
}

// same compares results deeply; the order of keys does not matter.
func same(a, b any) bool {
	switch a := a.(type) {
	case *Object:
		b, ok := b.(*Object)
		if !ok || a.Len() != b.Len() {
			return false
		}
		for _, e := range a.entries {
			if other, ok := b.Get(e.key); !ok || !same(e.value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	}
	switch b.(type) {
	case []any, *Object:
		return false
	}
	return a == b
}
