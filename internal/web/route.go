package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// route is an Endpoint's route made ready: where it leads, and the names of its parameters in order.
type route struct {
	params []string
	tail   bool // the last parameter takes the rest of the path
}

// node is one place in the tree of routes; segments are the edges. Literal segments win over
// parameters, and one segment wins over the rest of the path.
type node struct {
	literal map[string]*node
	param   *node
	ends    map[string]*endpoint // by method: routes that end here
	tails   map[string]*endpoint // by method: routes whose last parameter begins here
}

var paramPattern = regexp.MustCompile(`^<([a-zA-Z][a-zA-Z0-9_]*)(\*?)>$`)

// add enters an endpoint below the segments of prefix.
func (n *node) add(prefix string, e *endpoint) error {
	if !strings.HasPrefix(e.Route, "/") {
		return fmt.Errorf("route %q does not begin with a slash", e.Route)
	}
	segments := strings.Split(strings.TrimPrefix(prefix+e.Route, "/"), "/")
	for i, s := range segments {
		m := paramPattern.FindStringSubmatch(s)
		switch {
		case m == nil && strings.ContainsAny(s, "<>*"):
			return fmt.Errorf("route %q: a parameter is a whole segment, <name> or, at the end, <name*>", e.Route)
		case m == nil:
			n = n.child(s)
			continue
		case slices.Contains(e.route.params, m[1]):
			return fmt.Errorf("route %q names the parameter %s twice", e.Route, m[1])
		}
		e.route.params = append(e.route.params, m[1])
		if m[2] == "*" {
			if i != len(segments)-1 {
				return fmt.Errorf("route %q: only the last parameter can take the rest of the path", e.Route)
			}
			e.route.tail = true
			return enter(&n.tails, e)
		}
		if n.param == nil {
			n.param = &node{}
		}
		n = n.param
	}
	return enter(&n.ends, e)
}

func (n *node) child(segment string) *node {
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[segment] == nil {
		n.literal[segment] = &node{}
	}
	return n.literal[segment]
}

func enter(byMethod *map[string]*endpoint, e *endpoint) error {
	if *byMethod == nil {
		*byMethod = map[string]*endpoint{}
	}
	if other := (*byMethod)[e.Method]; other != nil {
		return fmt.Errorf("%s %s: the endpoints %s and %s have the same route", e.Method, e.Route, other.Name, e.Name)
	}
	(*byMethod)[e.Method] = e
	return nil
}

// find returns the endpoint for a method and an escaped path, and its parameters, decoded. HEAD finds
// what GET finds, and a slash at the end more or less does not count, as with Taskcluster's services. nil means that
// there is none.
func (n *node) find(method, escaped string) (*endpoint, map[string]string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rest := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	if len(rest) > maxSegments {
		return nil, nil
	}
	values := make([]string, 0, 4)
	e := n.walk(method, rest, &values)
	if e == nil {
		return nil, nil
	}
	params := make(map[string]string, len(values)+len(e.absent))
	for _, name := range e.absent {
		params[name] = ""
	}
	for i, v := range values {
		decoded, err := url.PathUnescape(v)
		if err != nil {
			return nil, nil
		}
		params[e.route.params[i]] = decoded
	}
	return e, params
}

// maxSegments bounds the work on a hostile path; artifact names do not nest so deep.
const maxSegments = 256

// walk tries the ways through the tree in order of preference and leaves the values of the
// parameters on the way found. A parameter's value is never empty.
func (n *node) walk(method string, rest []string, values *[]string) *endpoint {
	if len(rest) == 0 {
		return n.end(method)
	}
	if next := n.literal[rest[0]]; next != nil && (rest[0] != "" || len(rest) == 1) {
		if e := next.walk(method, rest[1:], values); e != nil {
			return e
		}
	}
	if rest[0] == "" {
		if len(rest) > 1 || n.tails[method] != nil { // a tail may not be empty
			return nil
		}
		return n.ends[method]
	}
	mark := len(*values)
	if n.param != nil {
		*values = append((*values)[:mark], rest[0])
		if e := n.param.walk(method, rest[1:], values); e != nil {
			return e
		}
	}
	if e := n.tails[method]; e != nil {
		*values = append((*values)[:mark], strings.Join(rest, "/"))
		return e
	}
	*values = (*values)[:mark]
	return nil
}

// end is the route that ends here, or a slash further.
func (n *node) end(method string) *endpoint {
	if e := n.ends[method]; e != nil || n.literal[""] == nil {
		return e
	}
	return n.literal[""].ends[method]
}

// public returns the route as references show it.
func (e *endpoint) public() string {
	if e.route.tail {
		return strings.TrimSuffix(e.Route, "*>") + ">"
	}
	return e.Route
}
