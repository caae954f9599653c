package bounded

import (
	"errors"
	"fmt"

	"go.starlark.net/syntax"
)

// The interpreter counts steps, but one step can make a value of a gigabyte or run for minutes.
// So each file is rewritten between parsing and compiling: every operator, method and form that
// can do much work in one step becomes a call of a guard (guards.go) that looks first. The names
// of guards cannot be written in Starlark, so a program can neither call nor replace them.

// Names of the guards that are not operators.
const (
	guardMethod = "method of" // (x, name) gives x.name, guarded
	guardTuple  = "tuple of"  // (t) gives t
	guardSlice  = "slice of"  // (x) gives x
	guardSpread = "spread of" // (x) gives x, for f(*x) and f(**x)
	guardRight  = "right of " // + operator: (left, right) gives right, for left += right
)

// guardedOps are the binary operators whose cost depends on the size of what they get.
var guardedOps = map[syntax.Token]bool{
	syntax.PLUS: true, syntax.MINUS: true, syntax.STAR: true, syntax.PERCENT: true, syntax.PIPE: true, syntax.LTLT: true,
	syntax.AMP: true, syntax.CIRCUMFLEX: true,
	syntax.EQL: true, syntax.NEQ: true, syntax.LT: true, syntax.GT: true, syntax.LE: true, syntax.GE: true,
	syntax.IN: true, syntax.NOT_IN: true,
}

// augmentedOps are the operators of augmented assignments that are guarded.
var augmentedOps = map[syntax.Token]syntax.Token{
	syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR, syntax.PERCENT_EQ: syntax.PERCENT,
	syntax.PIPE_EQ: syntax.PIPE, syntax.LTLT_EQ: syntax.LTLT,
}

// guarder rewrites one file. err is the first thing that cannot be guarded.
type guarder struct{ err error }

func (g *guarder) refuse(pos syntax.Position, format string, args ...any) {
	if g.err == nil {
		g.err = syntax.Error{Pos: pos, Msg: fmt.Sprintf(format, args...)}
	}
}

func (g *guarder) stmts(list []syntax.Stmt) {
	for _, s := range list {
		g.stmt(s)
	}
}

func (g *guarder) stmt(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.AssignStmt:
		g.assign(s)
	case *syntax.DefStmt:
		g.params(s.Params)
		g.stmts(s.Body)
		s.Body = append(g.varargs(s.Params), s.Body...)
	case *syntax.ExprStmt:
		s.X = g.expr(s.X)
	case *syntax.ForStmt:
		g.target(s.Vars)
		s.X = g.expr(s.X)
		g.stmts(s.Body)
	case *syntax.IfStmt:
		s.Cond = g.expr(s.Cond)
		g.stmts(s.True)
		g.stmts(s.False)
	case *syntax.ReturnStmt:
		if s.Result != nil {
			s.Result = g.expr(s.Result)
		}
	case *syntax.WhileStmt:
		g.refuse(s.While, "while is not part of this Starlark: use for with range")
	}
}

// assign guards both sides of an assignment.
func (g *guarder) assign(s *syntax.AssignStmt) {
	s.RHS = g.expr(s.RHS)
	op, guarded := augmentedOps[s.Op]
	if guarded && !isNumber(s.RHS) {
		if !plainPlace(s.LHS) {
			g.refuse(s.OpPos, "the left side of %s must be made of names, constants, indexes and attributes; use a variable", s.Op)
			return
		}
		s.RHS = call(s.OpPos, guardRight+op.String(), g.expr(copyPlace(s.LHS)), s.RHS)
	}
	g.target(s.LHS)
}

// target guards what is evaluated inside the left side of an assignment.
func (g *guarder) target(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		g.target(e.X)
	case *syntax.TupleExpr:
		for _, x := range e.List {
			g.target(x)
		}
	case *syntax.ListExpr:
		for _, x := range e.List {
			g.target(x)
		}
	case *syntax.IndexExpr:
		e.X, e.Y = g.expr(e.X), g.expr(e.Y)
	case *syntax.DotExpr:
		e.X = g.expr(e.X)
	}
}

func (g *guarder) params(params []syntax.Expr) {
	for _, p := range params {
		if b, ok := p.(*syntax.BinaryExpr); ok { // name = default
			b.Y = g.expr(b.Y)
		}
	}
}

// varargs is a statement that checks the tuple of def f(*args); none without it.
func (g *guarder) varargs(params []syntax.Expr) []syntax.Stmt {
	for _, p := range params {
		u, ok := p.(*syntax.UnaryExpr)
		if !ok || u.Op != syntax.STAR || u.X == nil {
			continue
		}
		if id, ok := u.X.(*syntax.Ident); ok {
			return []syntax.Stmt{&syntax.ExprStmt{X: call(u.OpPos, guardTuple, &syntax.Ident{NamePos: id.NamePos, Name: id.Name})}}
		}
	}
	return nil
}

func (g *guarder) list(list []syntax.Expr) {
	for i, e := range list {
		list[i] = g.expr(e)
	}
}

// expr guards e and gives what stands in its place.
func (g *guarder) expr(e syntax.Expr) syntax.Expr {
	switch e := e.(type) {
	case *syntax.BinaryExpr:
		return g.binary(e)
	case *syntax.CallExpr:
		return g.call(e)
	case *syntax.Comprehension:
		g.comprehension(e)
	case *syntax.CondExpr:
		e.Cond, e.True, e.False = g.expr(e.Cond), g.expr(e.True), g.expr(e.False)
	case *syntax.DictEntry:
		e.Key, e.Value = g.expr(e.Key), g.expr(e.Value)
	case *syntax.DictExpr:
		g.list(e.List)
	case *syntax.DotExpr:
		e.X = g.expr(e.X)
		if guardedMethods[e.Name.Name] {
			name := &syntax.Literal{Token: syntax.STRING, TokenPos: e.NamePos, Value: e.Name.Name}
			return call(e.Dot, guardMethod, e.X, name)
		}
	case *syntax.IndexExpr:
		e.X, e.Y = g.expr(e.X), g.expr(e.Y)
	case *syntax.LambdaExpr:
		g.params(e.Params)
		if g.varargs(e.Params) != nil {
			g.refuse(e.Lambda, "lambda takes no *args here: use def")
		}
		e.Body = g.expr(e.Body)
	case *syntax.ListExpr:
		g.list(e.List)
	case *syntax.ParenExpr:
		e.X = g.expr(e.X)
	case *syntax.SliceExpr:
		return g.slice(e)
	case *syntax.TupleExpr:
		g.list(e.List)
		if !allLiterals(e.List) {
			return call(syntax.Start(e), guardTuple, e)
		}
	case *syntax.UnaryExpr:
		if e.X != nil {
			e.X = g.expr(e.X)
		}
	}
	return e
}

func (g *guarder) slice(e *syntax.SliceExpr) syntax.Expr {
	e.X = g.expr(e.X)
	for _, part := range []*syntax.Expr{&e.Lo, &e.Hi, &e.Step} {
		if *part != nil {
			*part = g.expr(*part)
		}
	}
	return call(e.Lbrack, guardSlice, e)
}

func (g *guarder) binary(e *syntax.BinaryExpr) syntax.Expr {
	e.X, e.Y = g.expr(e.X), g.expr(e.Y)
	if !guardedOps[e.Op] {
		return e
	}
	// A comparison with a constant costs no more than the constant is long; a sum with a
	// number is a number or an error.
	switch e.Op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
		if isLiteral(e.X) || isLiteral(e.Y) {
			return e
		}
	case syntax.PLUS, syntax.MINUS:
		if isNumber(e.X) || isNumber(e.Y) {
			return e
		}
	}
	return call(e.OpPos, e.Op.String(), e.X, e.Y)
}

func (g *guarder) call(e *syntax.CallExpr) syntax.Expr {
	e.Fn = g.expr(e.Fn)
	for i, a := range e.Args {
		switch a := a.(type) {
		case *syntax.BinaryExpr:
			if a.Op == syntax.EQ { // name = value
				a.Y = g.expr(a.Y)
				continue
			}
			e.Args[i] = g.expr(a)
		case *syntax.UnaryExpr:
			if (a.Op == syntax.STAR || a.Op == syntax.STARSTAR) && a.X != nil {
				a.X = call(a.OpPos, guardSpread, g.expr(a.X))
				continue
			}
			e.Args[i] = g.expr(a)
		default:
			e.Args[i] = g.expr(a)
		}
	}
	return e
}

func (g *guarder) comprehension(e *syntax.Comprehension) {
	e.Body = g.expr(e.Body)
	for _, c := range e.Clauses {
		switch c := c.(type) {
		case *syntax.ForClause:
			g.target(c.Vars)
			c.X = g.expr(c.X)
		case *syntax.IfClause:
			c.Cond = g.expr(c.Cond)
		}
	}
}

// call is the expression name(args…) at pos.
func call(pos syntax.Position, name string, args ...syntax.Expr) *syntax.CallExpr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: args, Rparen: pos}
}

func isLiteral(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.Literal:
		return true
	case *syntax.ParenExpr:
		return isLiteral(e.X)
	case *syntax.Ident:
		return e.Name == "None" || e.Name == "True" || e.Name == "False"
	}
	return false
}

func isNumber(e syntax.Expr) bool {
	l, ok := e.(*syntax.Literal)
	return ok && (l.Token == syntax.INT || l.Token == syntax.FLOAT) && len(l.Raw) < 20
}

func allLiterals(list []syntax.Expr) bool {
	for _, e := range list {
		if !isLiteral(e) {
			return false
		}
	}
	return true
}

// plainPlace reports whether evaluating e twice does nothing twice.
func plainPlace(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.Ident, *syntax.Literal:
		return true
	case *syntax.ParenExpr:
		return plainPlace(e.X)
	case *syntax.IndexExpr:
		return plainPlace(e.X) && plainPlace(e.Y)
	case *syntax.DotExpr:
		return plainPlace(e.X)
	}
	return false
}

// copyPlace copies a plain place: the resolver writes into nodes, so none may stand twice.
func copyPlace(e syntax.Expr) syntax.Expr {
	switch e := e.(type) {
	case *syntax.Ident:
		return &syntax.Ident{NamePos: e.NamePos, Name: e.Name}
	case *syntax.Literal:
		c := *e
		return &c
	case *syntax.ParenExpr:
		return &syntax.ParenExpr{Lparen: e.Lparen, X: copyPlace(e.X), Rparen: e.Rparen}
	case *syntax.IndexExpr:
		return &syntax.IndexExpr{X: copyPlace(e.X), Lbrack: e.Lbrack, Y: copyPlace(e.Y), Rbrack: e.Rbrack}
	case *syntax.DotExpr:
		return &syntax.DotExpr{X: copyPlace(e.X), Dot: e.Dot, NamePos: e.NamePos, Name: &syntax.Ident{NamePos: e.Name.NamePos, Name: e.Name.Name}}
	}
	return e
}

// fileOptions are the parts of Starlark that are optional.
func fileOptions() *syntax.FileOptions { return &syntax.FileOptions{Set: true, TopLevelControl: true} }

// Parse reads and guards one file. Brackets nested deeper than any person writes are refused
// before the parser, which recurses, sees them.
func Parse(name string, src []byte, l Limits) (*syntax.File, error) {
	if len(src) > l.Source {
		return nil, Limitf("%s: %d bytes, the limit of a Starlark file is %d", name, len(src), l.Source)
	}
	if line := DeepLine(src); line > 0 {
		return nil, errors.Join(syntax.Error{Pos: syntax.MakePosition(&name, int32(line), 1), Msg: fmt.Sprintf("brackets nested more than %d deep", BracketDepth)}, ErrLimit)
	}
	f, err := fileOptions().Parse(name, src, 0)
	if err != nil {
		return nil, err
	}
	var g guarder
	g.stmts(f.Stmts)
	return f, g.err
}

// BracketDepth is more than any file needs and little for the parser's stack. Prefix chains such as
// "not not …" need no limit of their own: the size of a file bounds them.
const BracketDepth = 1000

// DeepLine is the first line on which brackets stand deeper than BracketDepth; 0 when there is
// none. Brackets in texts and comments count too: only absurd files are near the limit.
func DeepLine(src []byte) int {
	line, depth := 1, 0
	for _, c := range src {
		switch c {
		case '\n':
			line++
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > BracketDepth {
			return line
		}
	}
	return 0
}
