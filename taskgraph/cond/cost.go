package cond

import (
	"errors"

	"github.com/expr-lang/expr/ast"
)

// The interpreter bounds what a condition makes, not how long it takes: any(a, all(b, …)) takes the
// product of two lengths, and each round may search a list again. So every predicate is rewritten
// to pay before each round: one for a plain one, and the size of all that conditions look at for one
// that searches, splits or calls.

// maxCost is what one evaluation may cost, in rounds: well under a second. searched is how many values are
// looked at in the time of a round.
const (
	maxCost  = 1_000_000
	searched = 16
)

// counter is the rewriting visitor.
type counter struct{ weighty bool }

// Visit implements ast.Visitor.
func (c *counter) Visit(node *ast.Node) {
	p, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
	}
	weight := 0
	w := weigher{}
	ast.Walk(&p.Node, &w)
	if w.heavy {
		weight, c.weighty = 1, true
	}
	pay := &ast.CallNode{Callee: &ast.IdentifierNode{Value: "cost of"}, Arguments: []ast.Node{&ast.IntegerNode{Value: weight}}}
	pay.SetLocation(p.Location())
	body := &ast.SequenceNode{Nodes: []ast.Node{pay, p.Node}}
	body.SetLocation(p.Node.Location())
	p.Node = body
}

// weigher looks for what takes longer than a step.
type weigher struct{ heavy bool }

// Visit implements ast.Visitor.
func (w *weigher) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "in", "contains", "matches", "==", "!=", "+", "..":
			w.heavy = w.heavy || !isConstant(n.Right) && !isConstant(n.Left)
		}
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); !ok || id.Value != "cost of" {
			w.heavy = true
		}
	case *ast.BuiltinNode:
		w.heavy = true
	}
}

func isConstant(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode, *ast.ConstantNode:
		return true
	case *ast.ArrayNode:
		return len(n.Nodes) <= 100
	}
	return false
}

var errCost = errors.New("takes too long: it searches long lists for each element of a long list")

// meter counts what one evaluation costs.
func (c *Condition) meter(env *environment) func(int) (bool, error) {
	left, heavy := maxCost, 1
	if c.weighty {
		heavy += (size(env.Task) + size(env.Params)) / searched // files_changed is a parameter
	}
	return func(weight int) (bool, error) {
		cost := 1
		if weight > 0 {
			cost = heavy
		}
		if left -= cost; left < 0 {
			return false, errCost
		}
		return true, nil
	}
}

// size is how many values v holds, with a share for the length of texts.
func size(v any) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v) / 8
	case map[string]any:
		for key, e := range v {
			n += 1 + len(key)/8 + size(e)
		}
	case []any:
		for _, e := range v {
			n += size(e)
		}
	case []string:
		for _, s := range v {
			n += 1 + len(s)/8
		}
	}
	return n
}
