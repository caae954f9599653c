// Package taskcontext fills fields of tasks from parameters, files and values given in place:
// the transform taskgraph.transforms.task_context (taskgraph-map 11.4).
package taskcontext

import (
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/split"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform.
func Transform() transform.Transform {
	t := transform.New("taskgraph.transforms.task_context:transforms", transform.Check(Shape()), render)
	t.Narrow = true
	return t
}

// Shape is what the transform reads of an entry.
func Shape() *schema.Object {
	text, texts := schema.String(), schema.List(schema.String())
	settings := schema.Strict(
		schema.Req("substitution-fields", texts),
		schema.Opt("from-parameters", schema.Map(schema.OneOf(text, texts))),
		schema.Opt("from-file", text),
		schema.Opt("from-object", schema.Map(schema.Any())),
		schema.Opt("from-custom", texts),
		schema.Opt("resolve-keyed-by-options", schema.Strict(schema.Opt("defer", texts), schema.Opt("enforce-single-match", schema.Bool()))),
	)
	return schema.Open(schema.Opt("name", text), schema.Opt("task-context", settings))
}

// names are the values for the fields, in order of precedence.
type names struct {
	it                 *transform.Item
	parameters, object map[string]any
	file               *source.File // nil without one
	values             map[string]any
}

// Lookup implements value.Names for format strings: mappings keep the order of their files.
func (n names) Lookup(name string) (any, bool) {
	v, ok := n.find(name)
	if _, ok := n.parameters[name]; ok {
		return v, true
	}
	if _, ok := n.object[name]; ok {
		return n.it.Ordered(v, "task-context", "from-object", name), true
	}
	if _, ok := n.values[name]; ok {
		return transform.Ordered(v, n.file.Root().Child(name)), true
	}
	return v, ok
}

func (n names) find(name string) (any, bool) {
	for _, m := range []map[string]any{n.parameters, n.object, n.values} {
		if v, ok := m[name]; ok {
			return v, true
		}
	}
	if name == "name" {
		v, ok := n.it.Values()["name"]
		return v, ok
	}
	return nil, false
}

// attributes are the values for choices: the task's own keys under the context.
func (n names) attributes(name string) (any, bool) {
	if v, ok := n.find(name); ok {
		return v, true
	}
	v, ok := n.it.Values()[name]
	return v, ok
}

func render(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	settings := it.Map("task-context")
	it.Delete("task-context")
	if settings == nil {
		emit(it)
		return nil
	}
	n := names{it: it, object: value.Map(settings, "from-object"), parameters: fromParameters(c, value.Map(settings, "from-parameters"))}
	if custom := value.List(settings, "from-custom"); len(custom) > 0 {
		return it.Errorf("task-context.from-custom", "there is no provider %q; compute the value in a Starlark transform before this one", custom[0])
	}
	if name := value.String(settings, "from-file"); name != "" {
		var err error
		if n.file, err = fromFile(c, name); err == nil {
			n.values, err = n.file.Map()
		}
		if err != nil {
			return it.Errorf("task-context.from-file", "%v", err)
		}
	}
	options := keyedby.Options{}
	options.Defer, _ = value.Strings(value.Map(settings, "resolve-keyed-by-options")["defer"])
	fields, _ := value.Strings(settings["substitution-fields"])
	for _, field := range fields {
		if err := resolve(c, it, field, n, options); err != nil {
			return err
		}
	}
	for _, field := range fields {
		if err := split.Substitute(it, field, n); err != nil {
			return err
		}
	}
	emit(it)
	return nil
}

func fromParameters(c *transform.Config, wanted map[string]any) map[string]any {
	out := make(map[string]any, len(wanted))
	for name, path := range wanted {
		if path, ok := path.(string); ok {
			out[name], _ = value.Get(c.Names, path)
			continue
		}
		choices, _ := value.Strings(path)
		for _, choice := range choices {
			if v, _ := value.Get(c.Names, choice); v != nil {
				out[name] = v
				break
			}
		}
	}
	return out
}

type fileOwner struct{}

func fromFile(c *transform.Config, name string) (*source.File, error) {
	v, err := c.Memo(fileOwner{}, name, func() (any, error) { return source.Read(c.Tree, name) })
	if err != nil {
		return nil, err
	}
	return v.(*source.File), nil
}

// resolve resolves the choice that may stand in a field. A field that is not there is left for
// the substitution to complain about.
func resolve(c *transform.Config, it *transform.Item, field string, n names, o keyedby.Options) error {
	if strings.Contains(field, "[]") {
		return it.Errorf("task-context.substitution-fields", "%q: elements of lists cannot be named here; name the list", field)
	}
	v, ok := it.Lookup(field)
	if !ok {
		return nil
	}
	if _, _, choice := value.IsKeyedBy(v); !choice {
		return nil
	}
	o.Missing = c.WarnOfMissing(it, field)
	r, err := c.Graph.Resolver().Evaluate(v, "`"+field+"`", value.NameFunc(n.attributes), o)
	if err != nil {
		return it.Errorf("", "%v", err)
	}
	it.SetPath(field, r)
	return nil
}
