package why

import (
	"maps"
	"slices"
	"strconv"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// Conditions are premises with which a condition of package cond may hold: those that its comparisons
// ask for, one by one, and all of them together. What it asks in other ways is not found.
func Conditions(source string) []explain.Premise {
	tree, err := parser.Parse(source)
	if err != nil {
		return nil
	}
	v := &comparisons{}
	ast.Walk(&tree.Node, v)
	out := v.found
	if len(out) > 1 {
		all := explain.Premise{Parameters: map[string]any{}}
		for _, p := range slices.Backward(out) { // the first that says something of a parameter counts
			maps.Copy(all.Parameters, p.Parameters)
			all.FilesChanged = append(slices.Clone(p.FilesChanged), all.FilesChanged...)
		}
		out = append(out[:len(out):len(out)], all)
	}
	return out
}

type comparisons struct{ found []explain.Premise }

// Visit implements ast.Visitor.
func (c *comparisons) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		c.binary(n)
	case *ast.IdentifierNode:
		if n.Value == "is_pull_request" {
			c.add("tasks_for", "github-pull-request")
		}
	case *ast.CallNode:
		if f, ok := n.Callee.(*ast.IdentifierNode); ok && f.Value == "changed" {
			var p explain.Premise
			for _, a := range n.Arguments {
				if s, ok := a.(*ast.StringNode); ok {
					p.FilesChanged = append(p.FilesChanged, s.Value)
				}
			}
			if p.FilesChanged != nil {
				c.found = append(c.found, p)
			}
		}
	}
}

// binary reads "name == value" and the like.
func (c *comparisons) binary(n *ast.BinaryNode) {
	name := parameter(n.Left)
	if name == "" {
		return
	}
	step := map[string]int{">=": 0, "<=": 0, "==": 0, ">": 1, "<": -1}
	by, known := step[n.Operator]
	switch right := n.Right.(type) {
	case *ast.StringNode:
		if n.Operator == "==" || n.Operator == "startsWith" || n.Operator == "endsWith" || n.Operator == "contains" {
			c.add(name, right.Value)
		}
	case *ast.IntegerNode:
		if known {
			c.add(name, right.Value+by)
		}
	case *ast.ArrayNode:
		for _, e := range right.Nodes {
			if s, ok := e.(*ast.StringNode); ok && n.Operator == "in" {
				c.add(name, s.Value)
			} else if i, ok := e.(*ast.IntegerNode); ok && n.Operator == "in" {
				c.add(name, i.Value)
			}
		}
	}
}

// parameter is the parameter that a node stands for, "" for none.
func parameter(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		of, ok := n.Node.(*ast.IdentifierNode)
		key, isText := n.Property.(*ast.StringNode)
		if ok && isText && of.Value == "params" {
			return key.Value
		}
	}
	return ""
}

func (c *comparisons) add(name string, v any) {
	if n, ok := v.(int); ok {
		if name == "level" {
			v = strconv.Itoa(n)
		} else {
			v = int64(n)
		}
	}
	switch name {
	case "kind", "name", "task", "files_changed":
		return
	case "branch":
		if s, ok := v.(string); ok {
			name, v = "head_ref", "refs/heads/"+s
		}
	}
	c.found = append(c.found, explain.Premise{Parameters: map[string]any{name: v}})
}
