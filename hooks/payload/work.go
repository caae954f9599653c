package payload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// pair is a subschema held against the value at a place.
type pair struct {
	node *node
	at   string
}

// work bounds what a check can cost.
type work struct {
	known map[pair]int
	over  bool // there are too many pairs, or they are nested too deep
}

// cost bounds the steps of holding a value against a subschema; MaxWork stands for more.
func (w *work) cost(n *node, v any, at string, depth int) int {
	if w.over {
		return MaxWork
	}
	key := pair{n, at}
	if c, ok := w.known[key]; ok {
		return c
	}
	if len(w.known) >= maxPairs || depth > maxNesting {
		w.over = true
		return MaxWork
	}
	w.known[key] = 1 // while it is being worked out: a reference to itself is an error of the check
	total := n.weight + length(v)*n.pattern/1000
	add := func(c int) { total = min(total+c, MaxWork) }
	for _, sub := range n.same {
		add(w.cost(sub, v, at, depth+1))
	}
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			add(w.costMember(n, name, member, at, depth+1))
		}
	case []any:
		add(len(v)) // uniqueItems
		for i, e := range v {
			place := at + "/" + strconv.Itoa(i)
			if i < len(n.places) {
				add(w.cost(n.places[i], e, place, depth+1))
			}
			for _, sub := range n.items {
				add(w.cost(sub, e, place, depth+1))
			}
			if total >= MaxWork {
				break
			}
		}
	}
	w.known[key] = total
	return total
}

func (w *work) costMember(n *node, name string, member any, at string, depth int) int {
	total := 1 + len(name)*n.patterns/1000
	place := at + "/" + escape(name)
	add := func(c int) { total = min(total+c, MaxWork) }
	if sub := n.members[name]; sub != nil {
		add(w.cost(sub, member, place, depth))
	}
	for _, sub := range n.each {
		add(w.cost(sub, member, place, depth))
	}
	for _, sub := range n.names {
		add(w.cost(sub, name, place+"/~", depth)) // no member has this place
	}
	return total
}

const (
	maxProblems = 10
	maxProblem  = 500 // bytes
)

// Misfit is what of a payload does not fit its schema.
type Misfit struct{ Problems []Problem }

// Problem is what is wrong at one place of a payload.
type Problem struct {
	Path    []string // from the payload's top; keys, and indexes as text
	Message string
}

func misfit(e *jsonschema.ValidationError) *Misfit {
	printer := message.NewPrinter(language.English)
	m := &Misfit{}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			m.Problems = append(m.Problems, Problem{e.InstanceLocation, e.ErrorKind.LocalizedString(printer)})
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(e)
	return m
}

// Error lists the first problems, a line each.
func (m *Misfit) Error() string {
	var list []string
	for _, p := range m.Problems {
		at := strings.Join(append([]string{"payload"}, p.Path...), ".")
		list = append(list, clip(fmt.Sprintf(" * %s: %s", clip(at, 200), p.Message), maxProblem))
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if more := len(list) - maxProblems; more > 0 {
		list = append(list[:maxProblems], fmt.Sprintf(" * and %d more", more))
	}
	return strings.Join(list, "\n")
}
