// Package jsone is the JSON-e template language: a template and a context, both JSON data, give JSON data.
//
// It follows the npm package json-e 4.8.4 in results, in the class of errors and in their texts, down to the order of
// object keys, numbers printed as JavaScript prints them, and which lists a template may change behind its own back
// ($reverse turns a list of the context around in place, as there). It differs on purpose in a few things: a function
// that reaches a string ("${min}") is an error instead of its source text; range wants a whole step always; split never
// cuts a character in two; times other than ISO 8601 and mail's are no times; and what falls out of JavaScript's parser
// as a TypeError (an expression that ends too early, say) is a SyntaxError.
//
// The language has no loops without end, but a few lines can ask for a galaxy of work; Limits stops it. The package
// reads no clock: Options.Now is the time a render knows.
//
// Reading order: jsone.go, operators.go, interpolate.go, parse.go, eval.go, builtin.go; value.go has the data.
package jsone

import (
	"regexp"
	"sync"
	"time"
)

// Limits bounds one render; a zero field means the default.
type Limits struct {
	Steps  int // pieces of work: nodes rendered, expressions evaluated, elements made or compared (4,000,000)
	Depth  int // nesting of templates, expressions and data (1000)
	Output int // bytes of all strings made on the way and in the result (32 MiB)
}

// The defaults of Limits.
const (
	DefaultSteps  = 4_000_000
	DefaultDepth  = 1000
	DefaultOutput = 32 << 20
)

func (l Limits) withDefaults() Limits {
	if l.Steps <= 0 {
		l.Steps = DefaultSteps
	}
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.Output <= 0 {
		l.Output = DefaultOutput
	}
	return l
}

// Options says what a render may use.
type Options struct {
	Now    time.Time // what `now` and $fromNow mean; without it a template that asks for the time fails
	Limits Limits
}

// Template is a template ready to be rendered. Its expressions are parsed once, when a render first meets them.
// It is safe for concurrent use.
type Template struct {
	root     any
	programs sync.Map // source text → *program
	texts    sync.Map // source text → []piece
}

// Compile takes template data: nil, bool, numbers, string, []any, map[string]any, *Object or what Decode returns.
// It copies the data, so later changes to it are not seen.
func Compile(template any) (*Template, error) {
	root, err := imported(template, 0)
	if err != nil {
		return nil, err
	}
	return &Template{root: root}, nil
}

// Render renders template data once. See Compile and Template.Render.
func Render(template, context any, opts Options) (any, error) {
	t, err := Compile(template)
	if err != nil {
		return nil, err
	}
	return t.Render(context, opts)
}

// Context keys must be names the expression language can say.
var identifier = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Render renders the template with a context, which must be an object (map[string]any, *Object or nil) and is not
// changed. The result has nil, bool, float64, string, []any and *Object. Errors are *Error.
func (t *Template) Render(context any, opts Options) (any, error) {
	if context == nil {
		context = &Object{}
	}
	in, err := imported(context, 0)
	if err != nil {
		return nil, err
	}
	vars, ok := in.(*Object)
	if !ok {
		return nil, newError(TemplateError, "context must be an object")
	}
	for _, e := range vars.entries {
		if !identifier.MatchString(e.key) {
			return nil, newError(TemplateError, "top level keys of context must follow /[a-zA-Z_][a-zA-Z0-9_]*/")
		}
	}
	r := &renderer{template: t, now: opts.Now, limits: opts.Limits.withDefaults()}
	base := builtinScope()
	if !opts.Now.IsZero() {
		base = &scope{parent: base, name: "now", value: formatTime(float64(opts.Now.UnixMilli()))}
	}
	result, err := r.render(t.root, &scope{parent: base, object: vars})
	if err != nil {
		return nil, err
	}
	if result == any(deleteMarker) {
		return nil, nil
	}
	return r.exported(result)
}

// renderer is the state of one render: what it has spent of its limits, and how deep it is.
type renderer struct {
	template *Template
	now      time.Time
	limits   Limits
	steps    int
	output   int
	depth    int
	initials map[*Object]any // $reduce's initial values, which are used unrendered and may be changed in place
}

// step spends n pieces of work.
func (r *renderer) step(n int) error {
	if r.steps += n; r.steps > r.limits.Steps || r.steps < 0 {
		return newError(LimitError, "the template asks for more than %d steps of work; make its lists or nested loops smaller",
			r.limits.Steps)
	}
	return nil
}

// text spends the bytes of a string that was made.
func (r *renderer) text(n int) error {
	if r.output += n; r.output > r.limits.Output || r.output < 0 {
		return newError(LimitError, "the template makes more than %d bytes of text; make its strings or lists smaller",
			r.limits.Output)
	}
	return nil
}

// enter goes one level deeper; each successful enter needs a leave.
func (r *renderer) enter() error {
	if r.depth >= r.limits.Depth {
		return newError(LimitError, "the template is nested more than %d levels deep; flatten it", r.limits.Depth)
	}
	r.depth++
	return r.step(1)
}

func (r *renderer) leave() { r.depth-- }

// scope is one layer of variables: either a single one or an object's. The innermost layer wins.
type scope struct {
	parent *scope
	object *Object // when nil, name and value
	name   string
	value  any
}

// lookup finds a variable.
func (s *scope) lookup(name string) (any, bool) {
	for ; s != nil; s = s.parent {
		if s.object == nil {
			if s.name == name {
				return s.value, true
			}
		} else if v, ok := s.object.Get(name); ok {
			return v, true
		}
	}
	return nil, false
}

// with adds one variable.
func (s *scope) with(name string, value any) *scope {
	return &scope{parent: s, name: name, value: value}
}
