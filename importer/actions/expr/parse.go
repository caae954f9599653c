// Package expr reads the expressions of GitHub Actions, computes what is known of them before anything runs, and says the
// rest in the language of Treeline's conditions (docs/reference/conditions.md).
package expr

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
	// MaxText bounds texts that expressions make, in bytes.
	MaxText = 4 << 20
)

// Expr is a parsed expression: a literal, a path such as github.event_name, a call, or an operator.
type Expr struct {
	Op    string // "lit", "path", "call", "index", "!", "&&", "||", "==", "!=", "<", "<=", ">", ">="
	Value any    // of lit
	Name  string // of path (dotted, lower case but for the last parts) and call
	Args  []*Expr
}

// String is the expression as it could be written.
func (e *Expr) String() string {
	switch e.Op {
	case "lit":
		if s, ok := e.Value.(string); ok {
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		return Text(e.Value)
	case "path":
		return e.Name
	case "call":
		var args []string
		for _, a := range e.Args {
			args = append(args, a.String())
		}
		return e.Name + "(" + strings.Join(args, ", ") + ")"
	case "index":
		return e.Args[0].String() + "[" + e.Args[1].String() + "]"
	case "!":
		return "!" + e.Args[0].String()
	}
	return "(" + e.Args[0].String() + " " + e.Op + " " + e.Args[1].String() + ")"
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

// Parse reads an expression, without its ${{ }}.
func Parse(s string) (*Expr, error) {
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

func (l *lexer) binary(level, depth int) (*Expr, error) {
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
		var right *Expr
		if right, err = l.binary(level+1, depth); err == nil {
			left = &Expr{Op: op, Args: []*Expr{left, right}}
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

func (l *lexer) unary(depth int) (*Expr, error) {
	if depth > maxExprDepth {
		return nil, fmt.Errorf("%w: it is nested deeper than %d levels", errExpr, maxExprDepth)
	}
	var e *Expr
	kind, tok, num := l.kind, l.tok, l.num
	if err := l.next(); err != nil {
		return nil, err
	}
	switch kind {
	case "!":
		inner, err := l.unary(depth + 1)
		return &Expr{Op: "!", Args: []*Expr{inner}}, err
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
		e = &Expr{Op: "lit", Value: tok}
	case "number":
		e = &Expr{Op: "lit", Value: num}
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

func (l *lexer) named(name string, depth int) (*Expr, error) {
	switch strings.ToLower(name) {
	case "true", "false":
		return &Expr{Op: "lit", Value: strings.EqualFold(name, "true")}, nil
	case "null":
		return &Expr{Op: "lit"}, nil
	}
	if l.kind != "(" {
		return &Expr{Op: "path", Name: strings.ToLower(name)}, nil
	}
	e := &Expr{Op: "call", Name: strings.ToLower(name)}
	if err := l.next(); err != nil {
		return nil, err
	}
	for l.kind != ")" {
		a, err := l.binary(0, depth+1)
		if err != nil {
			return nil, err
		}
		if e.Args = append(e.Args, a); l.kind == "," {
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
func (l *lexer) suffixes(e *Expr, depth int) (*Expr, error) {
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
				if s, ok := i.Value.(string); ok && i.Op == "lit" {
					e = member(e, s)
				} else {
					e = &Expr{Op: "index", Args: []*Expr{e, i}}
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

func member(e *Expr, name string) *Expr {
	if e.Op == "path" {
		return &Expr{Op: "path", Name: e.Name + "." + name}
	}
	return &Expr{Op: "index", Args: []*Expr{e, {Op: "lit", Value: name}}}
}
