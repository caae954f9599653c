package indexpages

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// node is a value of JSON as a page shows it: without script, by details that open.
type node struct {
	Key      string
	Text     string // of a plain value
	Kind     string // object, array, text, number, truth, null
	Children []*node
	Cut      int // members that are not shown
	Open     bool
}

// treeOf reads JSON into at most most nodes, in the order in which it is written; nil for what is no JSON.
func treeOf(text []byte, most int) *node {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	left := most
	n, err := nodeOf(d, &left, 0)
	if err != nil || d.More() {
		return nil
	}
	n.Open = true
	return n
}

const maxNesting = 60

func nodeOf(d *json.Decoder, left *int, deep int) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		return composite(d, token, left, deep)
	case string:
		return &node{Kind: "text", Text: token}, nil
	case json.Number:
		return &node{Kind: "number", Text: token.String()}, nil
	case bool:
		return &node{Kind: "truth", Text: fmt.Sprint(token)}, nil
	}
	return &node{Kind: "null", Text: "null"}, nil
}

func composite(d *json.Decoder, open json.Delim, left *int, deep int) (*node, error) {
	n := &node{Kind: "array", Open: deep < 2}
	if open == '{' {
		n.Kind = "object"
	}
	if deep > maxNesting {
		return nil, fmt.Errorf("nested deeper than %d", maxNesting)
	}
	for i := 0; d.More(); i++ {
		key := fmt.Sprint(i)
		if n.Kind == "object" {
			token, err := d.Token()
			if err != nil {
				return nil, err
			}
			key = fmt.Sprint(token)
		}
		child, err := nodeOf(d, left, deep+1)
		if err != nil {
			return nil, err
		}
		if *left--; *left < 0 {
			n.Cut++
			continue
		}
		child.Key = key
		n.Children = append(n.Children, child)
	}
	_, err := d.Token() // the end
	return n, err
}

// Size tells how many members a value has.
func (n *node) Size() int { return len(n.Children) + n.Cut }
