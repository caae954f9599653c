package actions

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
)

// scope is what expressions can know before anything runs. What is not there is decided when the tasks are made, or
// run.
type scope struct {
	// static are the values of paths such as matrix.os or inputs.name.
	static map[string]any
	// whole are the contexts whose static values are all there are: what is missing there is null.
	whole map[string]bool
	// means are paths that stand for an expression of the caller: inputs of an action, secrets of a workflow.
	means map[string]*expr
	// steps goes before the names of steps: those of an action are not those of the job.
	steps string
}

func newScope() *scope {
	return &scope{static: map[string]any{}, whole: map[string]bool{}, means: map[string]*expr{}}
}

// with is a copy to add to.
func (s *scope) with(context string, values map[string]any, whole bool) *scope {
	out := newScope()
	out.steps = s.steps
	maps.Copy(out.means, s.means)
	for k, v := range s.static {
		if !strings.HasPrefix(k, context+".") || !whole {
			out.static[k] = v
		}
	}
	for k := range s.whole {
		out.whole[k] = true
	}
	for k, v := range values {
		out.static[context+"."+k] = v
	}
	if whole {
		out.whole[context] = true
	}
	return out
}

// lookup finds a path's value; ok is false when it is not known yet.
func (s *scope) lookup(name string) (v any, ok bool) {
	if v, ok := s.static[name]; ok {
		return v, true
	}
	context, rest, _ := strings.Cut(name, ".")
	for at := strings.LastIndexByte(name, '.'); at > 0; at = strings.LastIndexByte(name[:at], '.') {
		if m, ok := s.static[name[:at]]; ok { // a value that is a mapping
			return dig(m, name[at+1:]), true
		}
	}
	if rest != "" && s.whole[context] {
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

// fold replaces what is known by its value. What is left is dynamic.
func (s *scope) fold(e *expr) *expr {
	lit := func(v any) *expr { return &expr{op: "lit", value: v} }
	switch e.op {
	case "lit":
		return e
	case "path":
		return s.path(e)
	}
	args := make([]*expr, len(e.args))
	known := true
	for i, a := range e.args {
		args[i] = s.fold(a)
		known = known && args[i].op == "lit"
	}
	out := &expr{op: e.op, name: e.name, args: args}
	switch {
	case e.op == "&&" || e.op == "||":
		if args[0].op != "lit" {
			return out
		}
		if truth(args[0].value) == (e.op == "&&") {
			return args[1]
		}
		return args[0]
	case !known:
		return out
	case e.op == "call":
		if v, ok := call(e.name, args); ok {
			return lit(v)
		}
		return out
	case e.op == "index":
		return lit(index(args[0].value, args[1].value))
	case e.op == "!":
		return lit(!truth(args[0].value))
	}
	return lit(compare(e.op, args[0].value, args[1].value))
}

func (s *scope) path(e *expr) *expr {
	if rest, ok := strings.CutPrefix(e.name, "steps."); ok && s.steps != "" {
		e = &expr{op: "path", name: "steps." + s.steps + rest}
	}
	if means := s.means[e.name]; means != nil {
		return means
	}
	if v, ok := s.lookup(e.name); ok {
		return &expr{op: "lit", value: v}
	}
	return e
}

func index(v, key any) any {
	switch v := v.(type) {
	case map[string]any:
		return v[text(key)]
	case []any:
		if f, ok := key.(float64); ok && f >= 0 && int(f) < len(v) {
			return v[int(f)]
		}
	}
	return nil
}

func truth(v any) bool {
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

// text is a value as it stands in a text.
func text(v any) string {
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

func asNumber(v any) (float64, bool) {
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
	m, ok1 := asNumber(a)
	n, ok2 := asNumber(b)
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
func call(name string, args []*expr) (v any, ok bool) {
	arg := func(i int) any {
		if i < len(args) {
			return args[i].value
		}
		return nil
	}
	low := func(i int) string { return strings.ToLower(text(arg(i))) }
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
		out := text(arg(0))
		for i := 1; i < len(args); i++ {
			if strings.Count(out, "{")*len(text(arg(i)))+len(out) > maxText {
				return nil, false
			}
			out = strings.ReplaceAll(out, fmt.Sprintf("{%d}", i-1), text(arg(i)))
		}
		return strings.NewReplacer("{{", "{", "}}", "}").Replace(out), true
	case "join":
		sep := ","
		if len(args) > 1 {
			sep = text(arg(1))
		}
		list, isList := arg(0).([]any)
		if !isList {
			return text(arg(0)), true
		}
		var parts []string
		for _, x := range list {
			parts = append(parts, text(x))
		}
		return strings.Join(parts, sep), true
	case "tojson":
		b, err := json.MarshalIndent(arg(0), "", "  ")
		return string(b), err == nil
	case "fromjson":
		var v any
		err := json.Unmarshal([]byte(text(arg(0))), &v)
		return v, err == nil
	}
	return nil, false
}

// glob reports whether a name matches a pattern with * and ?.
func glob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// piece is a part of a text: literal, or an expression.
type piece struct {
	literal string
	e       *expr
	source  string // of the expression
}

// pieces cuts a text at its ${{ }}.
func pieces(s string) ([]piece, error) {
	var out []piece
	for {
		at := strings.Index(s, "${{")
		if at < 0 {
			if s != "" {
				out = append(out, piece{literal: s})
			}
			return out, nil
		}
		if at > 0 {
			out = append(out, piece{literal: s[:at]})
		}
		end := endOf(s[at+3:])
		if end < 0 {
			return nil, fmt.Errorf("%w: ${{ is not closed", errExpr)
		}
		source := s[at+3 : at+3+end]
		e, err := parseExpr(source)
		if err != nil {
			return nil, err
		}
		out = append(out, piece{e: e, source: strings.TrimSpace(source)})
		s = s[at+3+end+2:]
	}
}

// endOf finds the }} that is in no quotes.
func endOf(s string) int {
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

// fill computes a text whose expressions are all known.
func (s *scope) fill(t string) (string, bool) {
	v, ok := s.value(t)
	return text(v), ok
}

// value computes a text; one that is a single expression keeps the expression's type.
func (s *scope) value(t string) (any, bool) {
	list, err := pieces(t)
	if err != nil {
		return nil, false
	}
	if len(list) == 1 && list[0].e != nil {
		e := s.fold(list[0].e)
		return e.value, e.op == "lit"
	}
	var b strings.Builder
	for _, p := range list {
		if p.e == nil {
			b.WriteString(p.literal)
			continue
		}
		e := s.fold(p.e)
		if e.op != "lit" {
			return nil, false
		}
		if b.WriteString(text(e.value)); b.Len() > maxText {
			return nil, false
		}
	}
	return b.String(), true
}

// asExpr is a text as one expression: a literal, the expression it holds, or format() of several. Texts that hold no
// expression that can be read are literals.
func (s *scope) asExpr(t string) *expr {
	list, err := pieces(t)
	if err != nil || len(list) == 0 {
		return &expr{op: "lit", value: t}
	}
	if len(list) == 1 && list[0].e != nil {
		return s.fold(list[0].e)
	}
	var format strings.Builder
	out := &expr{op: "call", name: "format", args: []*expr{nil}}
	for _, p := range list {
		if p.e == nil {
			format.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.literal))
			continue
		}
		fmt.Fprintf(&format, "{%d}", len(out.args)-1)
		out.args = append(out.args, p.e)
	}
	out.args[0] = &expr{op: "lit", value: format.String()}
	return s.fold(out)
}
