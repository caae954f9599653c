package jsone

import (
	"errors"
	"slices"
	"strings"
)

// The nodes of an expression. A nil node is a hole that the grammar let pass, as in `(true || )`; it is a fault only
// when it is evaluated.
type (
	node any

	literal struct{ value any }
	name    struct{ name string }
	unary   struct {
		op      string
		operand node
	}
	// binary is an operator of two operands, first and second in the order in which they are evaluated: the exponent
	// of ** comes before its base.
	binary struct {
		op            string
		first, second node
	}
	property struct {
		of   node
		name string
	}
	// access is of[from] or, with slice, of[from:to].
	access struct {
		of       node
		slice    bool
		from, to node
	}
	call struct {
		function node
		args     []node
	}
	listLiteral   struct{ items []node }
	objectLiteral struct{ items *Object } // key → node
)

// program is a parsed expression or the error it has.
type program struct {
	node node
	err  *Error
	// end is where the terminator stands, when one was asked for.
	end int
}

// What may start an expression, and what may follow one, as the errors list it.
const (
	starters  = "!, (, +, -, [, false, identifier, null, number, string, true, {"
	followers = "!=, &&, (, *, **, +, -, ., /, <, <=, ==, >, >=, [, in, ||"
)

// levels are the binary operators from the weakest to the strongest.
var levels = [][]string{{"||"}, {"&&"}, {"in"}, {"==", "!="}, {"<", ">", "<=", ">="}, {"+", "-"}, {"*", "/"}, {"**"}}

// maxNesting bounds the nesting of one expression.
const maxNesting = 400

// parser reads an expression by recursive descent with one token of lookahead, read as late as possible: which error
// comes first depends on it.
type parser struct {
	source string
	tok    token
	depth  int
}

// parseWhole parses an expression that fills the source.
func parseWhole(source string) *program {
	p := &parser{source: source}
	n, err := p.start()
	if err == nil && p.tok.kind != "" {
		err = unexpected(p.tok, followers)
	}
	return finish(n, err, 0)
}

// parseUntil parses an expression up to the } that ends an interpolation.
func parseUntil(source string) *program {
	p := &parser{source: source}
	n, err := p.start()
	switch {
	case err != nil:
	case p.tok.kind == "":
		err = newError(SyntaxError, "unterminated ${..} expression")
	case p.tok.kind != "}":
		err = unexpected(p.tok, followers)
	}
	return finish(n, err, p.tok.start)
}

func finish(n node, err error, end int) *program {
	if err == nil {
		return &program{node: n, end: end}
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = newError(SyntaxError, "%s", err)
	}
	return &program{err: e}
}

func (p *parser) start() (node, error) {
	tok, err := next(p.source, 0)
	if err != nil {
		return nil, err
	}
	p.tok = tok
	return p.binary(0)
}

func unexpected(t token, expected string) error {
	return newError(SyntaxError, "Found: %s token, expected one of: %s", t.text, expected)
}

func atEnd() error { return newError(SyntaxError, "Unexpected end of input") }

// take goes past the current token, which must be of one of the kinds.
func (p *parser) take(kinds ...string) error {
	if p.tok.kind == "" {
		return atEnd()
	}
	if len(kinds) > 0 && !slices.Contains(kinds, p.tok.kind) {
		slices.Sort(kinds)
		return unexpected(p.tok, strings.Join(kinds, ", "))
	}
	tok, err := next(p.source, p.tok.end)
	p.tok = tok
	return err
}

// binary parses the operators of a level and of all stronger ones.
func (p *parser) binary(level int) (node, error) {
	strongest := level == len(levels)-1
	operand := func() (node, error) { return p.binary(level + 1) }
	if strongest {
		operand = p.postfix
	}
	n, err := operand()
	for err == nil && p.tok.kind != "" && slices.Contains(levels[level], p.tok.kind) {
		op := p.tok.kind
		if err = p.take(); err != nil {
			break
		}
		var right node
		if !strongest {
			right, err = operand()
			n = &binary{op: op, first: n, second: right}
			continue
		}
		if right, err = p.nested(func() (node, error) { return p.binary(level) }); err == nil {
			n = &binary{op: op, first: right, second: n}
		}
	}
	return n, err
}

// nested guards a recursion against sources made to exhaust the stack.
func (p *parser) nested(parse func() (node, error)) (node, error) {
	if p.depth >= maxNesting {
		return nil, newError(LimitError, "the expression is nested more than %d levels deep; split it with $let", maxNesting)
	}
	p.depth++
	defer func() { p.depth-- }()
	return parse()
}

func (p *parser) expression() (node, error) {
	return p.nested(func() (node, error) { return p.binary(0) })
}

// postfix parses a unit and the accesses and calls behind it. A sign or ! belongs to the unit, so `!f(x)` calls `!f`:
// that is how the language is.
func (p *parser) postfix() (node, error) {
	n, err := p.nested(p.unit)
	for err == nil {
		switch p.tok.kind {
		case "[":
			n, err = p.access(n)
		case ".":
			if err = p.take(); err == nil {
				n = &property{of: n, name: p.tok.text}
				err = p.take("identifier")
			}
		case "(":
			n, err = p.call(n)
		default:
			return n, nil
		}
	}
	return n, err
}

func (p *parser) unit() (node, error) {
	t := p.tok
	switch t.kind {
	case "":
		return nil, atEnd()
	case "-", "+", "!":
		if err := p.take(); err != nil {
			return nil, err
		}
		operand, err := p.nested(p.unit)
		return &unary{op: t.kind, operand: operand}, err
	case "number":
		return &literal{parseDecimal(t.text)}, p.take()
	case "string":
		return &literal{t.text[1 : len(t.text)-1]}, p.take()
	case "true", "false":
		return &literal{t.kind == "true"}, p.take()
	case "null":
		return &literal{nil}, p.take()
	case "identifier":
		return &name{t.text}, p.take()
	case "(":
		if err := p.take(); err != nil {
			return nil, err
		}
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		if n == nil {
			return nil, unexpected(p.tok, starters)
		}
		return n, p.take(")")
	case "[":
		return p.list()
	case "{":
		return p.object()
	}
	return nil, nil
}

// sequence parses expressions between commas up to, not including, the closing token.
func (p *parser) sequence(closing string) ([]node, error) {
	if p.tok.kind == "" {
		return nil, atEnd()
	}
	if p.tok.kind == closing {
		return nil, nil
	}
	var items []node
	for {
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, n)
		if p.tok.kind != "," {
			return items, nil
		}
		if n == nil {
			return nil, unexpected(p.tok, starters)
		}
		if err := p.take(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) call(function node) (node, error) {
	if err := p.take("("); err != nil {
		return nil, err
	}
	args, err := p.sequence(")")
	if err != nil {
		return nil, err
	}
	return &call{function: function, args: args}, p.take(")")
}

func (p *parser) list() (node, error) {
	if err := p.take("["); err != nil {
		return nil, err
	}
	items, err := p.sequence("]")
	if err != nil {
		return nil, err
	}
	return &listLiteral{items}, p.take("]")
}

// access parses what follows a value in brackets. The language lets `a[1 2]` pass and means a[1].
func (p *parser) access(of node) (node, error) {
	if err := p.take("["); err != nil {
		return nil, err
	}
	if p.tok.kind == "]" {
		return nil, unexpected(p.tok, starters)
	}
	n := &access{of: of}
	var err error
	if p.tok.kind == "" {
		return nil, atEnd()
	}
	if p.tok.kind != ":" {
		if n.from, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.tok.kind == ":" {
		n.slice = true
		if err = p.take(); err != nil {
			return nil, err
		}
	}
	if p.tok.kind == "" {
		return nil, atEnd()
	}
	if p.tok.kind != "]" {
		if n.to, err = p.expression(); err != nil {
			return nil, err
		}
		if n.slice && n.to == nil && p.tok.kind != "]" {
			return nil, unexpected(p.tok, starters)
		}
	}
	return n, p.take("]")
}

func (p *parser) object() (node, error) {
	if err := p.take("{"); err != nil {
		return nil, err
	}
	items := &Object{}
	for p.tok.kind == "string" || p.tok.kind == "identifier" {
		key := p.tok.text
		if p.tok.kind == "string" {
			key = key[1 : len(key)-1]
		}
		if err := p.take(); err != nil {
			return nil, err
		}
		if err := p.take(":"); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		if value == nil {
			return nil, unexpected(p.tok, starters)
		}
		items.Set(key, value)
		if p.tok.kind == "}" {
			break
		}
		if err := p.take(","); err != nil {
			return nil, err
		}
	}
	return &objectLiteral{items}, p.take("}")
}
