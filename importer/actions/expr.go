package actions

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The bounds of an expression.
const (
	maxExpr      = 8 << 10
	maxExprDepth = 40
)

// expr is a parsed expression: a literal, a path such as github.event_name, a call, or an operator.
type expr struct {
	op    string // "lit", "path", "call", "index", "!", "&&", "||", "==", "!=", "<", "<=", ">", ">="
	value any    // of lit
	name  string // of path (dotted, lower case but for the last parts) and call
	args  []*expr
}

// String is the expression as it could be written.
func (e *expr) String() string {
	switch e.op {
	case "lit":
		if s, ok := e.value.(string); ok {
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		return text(e.value)
	case "path":
		return e.name
	case "call":
		var args []string
		for _, a := range e.args {
			args = append(args, a.String())
		}
		return e.name + "(" + strings.Join(args, ", ") + ")"
	case "index":
		return e.args[0].String() + "[" + e.args[1].String() + "]"
	case "!":
		return "!" + e.args[0].String()
	}
	return "(" + e.args[0].String() + " " + e.op + " " + e.args[1].String() + ")"
}

type lexer struct {
	s    string
	kind string // of the token: "name", "string", "number", an operator, or "" at the end
	tok  string
	num  float64
}

var errExpr = errors.New("is no expression")

func (l *lexer) next() error {
	l.s = strings.TrimLeftFunc(l.s, unicode.IsSpace)
	if l.s == "" {
		l.kind, l.tok = "", ""
		return nil
	}
	for _, op := range []string{"&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "*"} {
		if strings.HasPrefix(l.s, op) {
			l.kind, l.tok, l.s = op, op, l.s[len(op):]
			return nil
		}
	}
	switch c := l.s[0]; {
	case c == '\'':
		return l.quoted()
	case c >= '0' && c <= '9' || c == '-' || c == '+':
		end := 1
		for end < len(l.s) && strings.IndexByte("0123456789abcdefABCDEFxXeE.+-", l.s[end]) >= 0 {
			end++
		}
		f, err := strconv.ParseFloat(l.s[:end], 64)
		if i, err2 := strconv.ParseInt(l.s[:end], 0, 64); err != nil && err2 == nil {
			f, err = float64(i), nil
		}
		if err != nil {
			return fmt.Errorf("%w: %q is no number", errExpr, l.s[:end])
		}
		l.kind, l.num, l.s = "number", f, l.s[end:]
		return nil
	}
	end := 0
	for end < len(l.s) && nameByte(l.s[end], end) {
		end++
	}
	if end == 0 {
		return fmt.Errorf("%w: %q", errExpr, l.s[:1])
	}
	l.kind, l.tok, l.s = "name", l.s[:end], l.s[end:]
	return nil
}

func nameByte(c byte, at int) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || at > 0 && (c == '-' || c >= '0' && c <= '9')
}

func (l *lexer) quoted() error {
	var b strings.Builder
	for i := 1; i < len(l.s); i++ {
		if l.s[i] != '\'' {
			b.WriteByte(l.s[i])
			continue
		}
		if i+1 < len(l.s) && l.s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		l.kind, l.tok, l.s = "string", b.String(), l.s[i+1:]
		return nil
	}
	return fmt.Errorf("%w: a quote is not closed", errExpr)
}

// parseExpr reads an expression, without its ${{ }}.
func parseExpr(s string) (*expr, error) {
	if len(s) > maxExpr {
		return nil, fmt.Errorf("%w: it has more than %d bytes", errExpr, maxExpr)
	}
	l := &lexer{s: s}
	if err := l.next(); err != nil {
		return nil, err
	}
	e, err := l.binary(0, 0)
	if err == nil && l.kind != "" {
		err = fmt.Errorf("%w: %q is too much", errExpr, l.kind)
	}
	return e, err
}

// precedence of the operators, from the weakest.
var precedence = [][]string{{"||"}, {"&&"}, {"==", "!="}, {"<", "<=", ">", ">="}}

func (l *lexer) binary(level, depth int) (*expr, error) {
	if depth > maxExprDepth {
		return nil, fmt.Errorf("%w: it is nested deeper than %d levels", errExpr, maxExprDepth)
	}
	if level == len(precedence) {
		return l.unary(depth + 1)
	}
	left, err := l.binary(level+1, depth)
	for n := 0; err == nil && has(precedence[level], l.kind); n++ {
		if n > 200 {
			return nil, fmt.Errorf("%w: it has too many operators", errExpr)
		}
		op := l.kind
		if err = l.next(); err != nil {
			break
		}
		var right *expr
		if right, err = l.binary(level+1, depth); err == nil {
			left = &expr{op: op, args: []*expr{left, right}}
		}
	}
	return left, err
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (l *lexer) unary(depth int) (*expr, error) {
	if depth > maxExprDepth {
		return nil, fmt.Errorf("%w: it is nested deeper than %d levels", errExpr, maxExprDepth)
	}
	var e *expr
	kind, tok, num := l.kind, l.tok, l.num
	if err := l.next(); err != nil {
		return nil, err
	}
	switch kind {
	case "!":
		inner, err := l.unary(depth + 1)
		return &expr{op: "!", args: []*expr{inner}}, err
	case "(":
		inner, err := l.binary(0, depth+1)
		if err != nil {
			return nil, err
		}
		if e = inner; l.kind != ")" {
			return nil, fmt.Errorf("%w: a bracket is not closed", errExpr)
		}
		if err := l.next(); err != nil {
			return nil, err
		}
	case "string":
		e = &expr{op: "lit", value: tok}
	case "number":
		e = &expr{op: "lit", value: num}
	case "name":
		var err error
		if e, err = l.named(tok, depth); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: %q is not expected", errExpr, kind)
	}
	return l.suffixes(e, depth)
}

func (l *lexer) named(name string, depth int) (*expr, error) {
	switch strings.ToLower(name) {
	case "true", "false":
		return &expr{op: "lit", value: strings.EqualFold(name, "true")}, nil
	case "null":
		return &expr{op: "lit"}, nil
	}
	if l.kind != "(" {
		return &expr{op: "path", name: strings.ToLower(name)}, nil
	}
	e := &expr{op: "call", name: strings.ToLower(name)}
	if err := l.next(); err != nil {
		return nil, err
	}
	for l.kind != ")" {
		a, err := l.binary(0, depth+1)
		if err != nil {
			return nil, err
		}
		if e.args = append(e.args, a); l.kind == "," {
			if err := l.next(); err != nil {
				return nil, err
			}
		} else if l.kind != ")" {
			return nil, fmt.Errorf("%w: the arguments of %s do not end", errExpr, name)
		}
	}
	return e, l.next()
}

// suffixes reads .name, .* and [index] behind a value.
func (l *lexer) suffixes(e *expr, depth int) (*expr, error) {
	for n := 0; ; n++ {
		if n > maxExprDepth {
			return nil, fmt.Errorf("%w: it is nested deeper than %d levels", errExpr, maxExprDepth)
		}
		switch l.kind {
		case ".":
			if err := l.next(); err != nil {
				return nil, err
			}
			if l.kind != "name" && l.kind != "*" {
				return nil, fmt.Errorf("%w: a name is missing behind a dot", errExpr)
			}
			e = member(e, l.tok)
		case "[":
			if err := l.next(); err != nil {
				return nil, err
			}
			if l.kind == "*" {
				e = member(e, "*")
				if err := l.next(); err != nil {
					return nil, err
				}
			} else {
				i, err := l.binary(0, depth+1)
				if err != nil {
					return nil, err
				}
				if s, ok := i.value.(string); ok && i.op == "lit" {
					e = member(e, s)
				} else {
					e = &expr{op: "index", args: []*expr{e, i}}
				}
			}
			if l.kind != "]" {
				return nil, fmt.Errorf("%w: a bracket is not closed", errExpr)
			}
		default:
			return e, nil
		}
		if err := l.next(); err != nil {
			return nil, err
		}
	}
}

func member(e *expr, name string) *expr {
	if e.op == "path" {
		return &expr{op: "path", name: e.name + "." + name}
	}
	return &expr{op: "index", args: []*expr{e, {op: "lit", value: name}}}
}
