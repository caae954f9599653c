package expr

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
)

// Scope is what expressions can know before anything runs. What is not there is decided when the tasks are made, or
// run.
type Scope struct {
	// Static are the values of paths such as matrix.os or inputs.name.
	Static map[string]any
	// Whole are the contexts whose static values are all there are: what is missing there is null.
	Whole map[string]bool
	// Means are paths that stand for an expression of the caller: inputs of an action, secrets of a workflow.
	Means map[string]*Expr
	// Steps goes before the names of steps: those of an action are not those of the job.
	Steps string
}

// NewScope is a scope that knows nothing.
func NewScope() *Scope {
	return &Scope{Static: map[string]any{}, Whole: map[string]bool{}, Means: map[string]*Expr{}}
}

// With is a copy to add to.
func (s *Scope) With(context string, values map[string]any, whole bool) *Scope {
	out := NewScope()
	out.Steps = s.Steps
	maps.Copy(out.Means, s.Means)
	for k, v := range s.Static {
		if !strings.HasPrefix(k, context+".") || !whole {
			out.Static[k] = v
		}
	}
	for k := range s.Whole {
		out.Whole[k] = true
	}
	for k, v := range values {
		out.Static[context+"."+k] = v
	}
	if whole {
		out.Whole[context] = true
	}
	return out
}

// lookup finds a path's value; ok is false when it is not known yet.
func (s *Scope) lookup(name string) (v any, ok bool) {
	if v, ok := s.Static[name]; ok {
		return v, true
	}
	context, rest, _ := strings.Cut(name, ".")
	for at := strings.LastIndexByte(name, '.'); at > 0; at = strings.LastIndexByte(name[:at], '.') {
		if m, ok := s.Static[name[:at]]; ok { // a value that is a mapping
			return dig(m, name[at+1:]), true
		}
	}
	if rest != "" && s.Whole[context] {
		return nil, true
	}
	return nil, false
}

func dig(v any, rest string) any {
	for _, key := range strings.Split(rest, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// Fold replaces what is known by its value. What is left is dynamic.
func (s *Scope) Fold(e *Expr) *Expr {
	lit := func(v any) *Expr { return &Expr{Op: "lit", Value: v} }
	switch e.Op {
	case "lit":
		return e
	case "path":
		return s.path(e)
	}
	args := make([]*Expr, len(e.Args))
	known := true
	for i, a := range e.Args {
		args[i] = s.Fold(a)
		known = known && args[i].Op == "lit"
	}
	out := &Expr{Op: e.Op, Name: e.Name, Args: args}
	switch {
	case e.Op == "&&" || e.Op == "||":
		if args[0].Op != "lit" {
			return out
		}
		if Truth(args[0].Value) == (e.Op == "&&") {
			return args[1]
		}
		return args[0]
	case !known:
		return out
	case e.Op == "call":
		if v, ok := call(e.Name, args); ok {
			return lit(v)
		}
		return out
	case e.Op == "index":
		return lit(index(args[0].Value, args[1].Value))
	case e.Op == "!":
		return lit(!Truth(args[0].Value))
	}
	return lit(compare(e.Op, args[0].Value, args[1].Value))
}

func (s *Scope) path(e *Expr) *Expr {
	if rest, ok := strings.CutPrefix(e.Name, "steps."); ok && s.Steps != "" {
		e = &Expr{Op: "path", Name: "steps." + s.Steps + rest}
	}
	if means := s.Means[e.Name]; means != nil {
		return means
	}
	if v, ok := s.lookup(e.Name); ok {
		return &Expr{Op: "lit", Value: v}
	}
	return e
}

func index(v, key any) any {
	switch v := v.(type) {
	case map[string]any:
		return v[Text(key)]
	case []any:
		if f, ok := key.(float64); ok && f >= 0 && int(f) < len(v) {
			return v[int(f)]
		}
	}
	return nil
}

// Truth is what an if makes of a value.
func Truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	}
	return true
}

// Text is a value as it stands in a text.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// Number is a value as a number; ok is false for what is none.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case nil:
		return 0, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case float64:
		return v, true
	case string:
		if strings.TrimSpace(v) == "" {
			return 0, true
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil
	}
	return 0, false
}

// compare compares as GitHub does: texts without regard to case, else as numbers.
func compare(op string, a, b any) bool {
	x, xs := a.(string)
	y, ys := b.(string)
	if xs && ys {
		c := strings.Compare(strings.ToLower(x), strings.ToLower(y))
		return holds(op, c, true)
	}
	m, ok1 := Number(a)
	n, ok2 := Number(b)
	c := 0
	if m < n {
		c = -1
	} else if m > n {
		c = 1
	}
	return holds(op, c, ok1 && ok2)
}

func holds(op string, c int, comparable bool) bool {
	if !comparable {
		return op == "!="
	}
	switch op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// call computes a function whose arguments are known; ok is false for one that asks for what is not.
func call(name string, args []*Expr) (v any, ok bool) {
	arg := func(i int) any {
		if i < len(args) {
			return args[i].Value
		}
		return nil
	}
	low := func(i int) string { return strings.ToLower(Text(arg(i))) }
	switch name {
	case "contains":
		if list, isList := arg(0).([]any); isList {
			for _, x := range list {
				if compare("==", x, arg(1)) {
					return true, true
				}
			}
			return false, true
		}
		return strings.Contains(low(0), low(1)), true
	case "startswith":
		return strings.HasPrefix(low(0), low(1)), true
	case "endswith":
		return strings.HasSuffix(low(0), low(1)), true
	case "format":
		out := Text(arg(0))
		for i := 1; i < len(args); i++ {
			if strings.Count(out, "{")*len(Text(arg(i)))+len(out) > MaxText {
				return nil, false
			}
			out = strings.ReplaceAll(out, fmt.Sprintf("{%d}", i-1), Text(arg(i)))
		}
		return strings.NewReplacer("{{", "{", "}}", "}").Replace(out), true
	case "join":
		sep := ","
		if len(args) > 1 {
			sep = Text(arg(1))
		}
		list, isList := arg(0).([]any)
		if !isList {
			return Text(arg(0)), true
		}
		var parts []string
		for _, x := range list {
			parts = append(parts, Text(x))
		}
		return strings.Join(parts, sep), true
	case "tojson":
		b, err := json.MarshalIndent(arg(0), "", "  ")
		return string(b), err == nil
	case "fromjson":
		var v any
		err := json.Unmarshal([]byte(Text(arg(0))), &v)
		return v, err == nil
	}
	return nil, false
}

// Glob reports whether a name matches a pattern with * and ?.
func Glob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// Piece is a part of a Text: literal, or an expression.
type Piece struct {
	Literal string
	E       *Expr
	Source  string // of the expression
}

// Pieces cuts a text at its ${{ }}.
func Pieces(s string) ([]Piece, error) {
	var out []Piece
	for {
		at := strings.Index(s, "${{")
		if at < 0 {
			if s != "" {
				out = append(out, Piece{Literal: s})
			}
			return out, nil
		}
		if at > 0 {
			out = append(out, Piece{Literal: s[:at]})
		}
		end := End(s[at+3:])
		if end < 0 {
			return nil, fmt.Errorf("%w: ${{ is not closed", errExpr)
		}
		source := s[at+3 : at+3+end]
		e, err := Parse(source)
		if err != nil {
			return nil, err
		}
		out = append(out, Piece{E: e, Source: strings.TrimSpace(source)})
		s = s[at+3+end+2:]
	}
}

// End finds the }} that is in no quotes.
func End(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case !quoted && strings.HasPrefix(s[i:], "}}"):
			return i
		}
	}
	return -1
}

// Fill computes a text whose expressions are all known.
func (s *Scope) Fill(t string) (string, bool) {
	v, ok := s.Value(t)
	return Text(v), ok
}

// Value computes a text; one that is a single expression keeps the expression's type.
func (s *Scope) Value(t string) (any, bool) {
	list, err := Pieces(t)
	if err != nil {
		return nil, false
	}
	if len(list) == 1 && list[0].E != nil {
		e := s.Fold(list[0].E)
		return e.Value, e.Op == "lit"
	}
	var b strings.Builder
	for _, p := range list {
		if p.E == nil {
			b.WriteString(p.Literal)
			continue
		}
		e := s.Fold(p.E)
		if e.Op != "lit" {
			return nil, false
		}
		if b.WriteString(Text(e.Value)); b.Len() > MaxText {
			return nil, false
		}
	}
	return b.String(), true
}

// AsExpr is a text as one expression: a literal, the expression it holds, or format() of several. Texts that hold no
// expression that can be read are literals.
func (s *Scope) AsExpr(t string) *Expr {
	list, err := Pieces(t)
	if err != nil || len(list) == 0 {
		return &Expr{Op: "lit", Value: t}
	}
	if len(list) == 1 && list[0].E != nil {
		return s.Fold(list[0].E)
	}
	var format strings.Builder
	out := &Expr{Op: "call", Name: "format", Args: []*Expr{nil}}
	for _, p := range list {
		if p.E == nil {
			format.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.Literal))
			continue
		}
		fmt.Fprintf(&format, "{%d}", len(out.Args)-1)
		out.Args = append(out.Args, p.E)
	}
	out.Args[0] = &Expr{Op: "lit", Value: format.String()}
	return s.Fold(out)
}
