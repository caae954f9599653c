// Package split makes several tasks of one: the transforms taskgraph.transforms.matrix and
// taskgraph.transforms.chunking (taskgraph-map 11.2, 11.3).
package split

import (
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxParts is how many tasks one entry may be split into.
const MaxParts = 200_000

const matrixName = "taskgraph.transforms.matrix:transforms"

// Matrix returns the transform that makes one task of each cell of a matrix.
func Matrix() transform.Transform {
	t := transform.New(matrixName, transform.Check(MatrixShape()), matrix)
	t.Narrow = true
	return t
}

// MatrixShape is what the transform reads of an entry.
func MatrixShape() *schema.Object {
	settings := schema.Open(
		schema.Opt("exclude", schema.List(schema.Map(schema.String()))),
		schema.Opt("set-name", schema.String()),
		schema.Opt("substitution-fields", schema.List(schema.String())),
	)
	return schema.Open(schema.Req("name", schema.String()), schema.Opt("matrix", settings))
}

// dimension is one axis of a matrix.
type dimension struct {
	name   string
	values []any
}

// grid is a matrix with its settings.
type grid struct {
	dimensions []dimension
	order      []string // of the cell's names in texts
	exclude    []map[string]any
	setName    string
	fields     []string
	all        bool // substitute in every key of the task
	worker     bool // a field is in the worker
	size       int  // cells, exclusions not counted
	config     *transform.Config
}

func matrix(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	if it.Get("matrix") == nil {
		it.Delete("matrix")
		emit(it)
		return nil
	}
	g, err := readGrid(it)
	if err != nil {
		return err
	}
	if err := c.Reserve(it, g.size); err != nil {
		return err
	}
	it.Delete("matrix")
	g.config = c
	return g.cells(it, 0, before(it), it.String("name"), emit)
}

func readGrid(it *transform.Item) (*grid, error) {
	m := it.Map("matrix")
	g := &grid{setName: value.String(m, "set-name")}
	if m["exclude"] != nil {
		it.RuleAt("matrix", "exclude")
	}
	for _, rule := range value.List(m, "exclude") {
		g.exclude = append(g.exclude, rule.(map[string]any))
	}
	fields, ok := value.Strings(m["substitution-fields"])
	g.fields, g.all = fields, !ok
	g.worker = slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "worker.") })
	if g.setName != "" && ok && !slices.Contains(fields, "name") {
		g.fields = append(slices.Clone(fields), "name")
	}
	g.size = 1
	for _, name := range it.Keys("matrix") {
		if name == "exclude" || name == "set-name" || name == "substitution-fields" {
			continue
		}
		values, ok := m[name].([]any)
		if !ok {
			return nil, it.Errorf("matrix."+name, "must be a list of values, not %s", value.Kind(m[name]))
		}
		g.dimensions = append(g.dimensions, dimension{name, values})
		if g.size *= max(len(values), 1); g.size > MaxParts {
			return nil, it.Errorf("matrix", "has more than %d cells", MaxParts)
		}
	}
	g.order = slices.Sorted(maps.Keys(before(it)))
	for _, d := range g.dimensions {
		if !slices.Contains(g.order, d.name) {
			g.order = append(g.order, d.name)
		}
	}
	if len(g.dimensions) == 0 {
		return nil, it.Errorf("matrix", "has no dimension; give it a list of values under a name")
	}
	return g, nil
}

// cells walks the matrix from the dimension at on, and emits the tasks of the cells.
func (g *grid) cells(it *transform.Item, at int, cell map[string]any, name string, emit func(*transform.Item)) error {
	if at == len(g.dimensions) {
		return g.task(it, g.shared(cell), name, emit)
	}
	d := g.dimensions[at]
	old, had := cell[d.name]
	for _, v := range d.values {
		cell[d.name] = v
		made := name + "-" + value.Text(v)
		if rule := g.excluded(cell); rule != nil {
			g.config.Dropped(it, g.config.Kind+"-"+made, matrixName, "excluded by "+explain.Short(rule))
			continue
		}
		if err := g.cells(it, at+1, cell, made, emit); err != nil {
			return err
		}
	}
	if delete(cell, d.name); had {
		cell[d.name] = old
	}
	return nil
}

// shared is a copy of the cell that nobody writes to. Entries with the same matrix share the cells that consist of strings.
func (g *grid) shared(cell map[string]any) map[string]any {
	var buf [256]byte
	key := transform.Field(buf[:0], "matrix cell")
	for _, name := range g.order {
		text, ok := cell[name].(string)
		if !ok {
			return maps.Clone(cell)
		}
		key = transform.Field(transform.Field(key, name), text)
	}
	if v, ok := g.config.Share(key); ok {
		return v.(map[string]any)
	}
	return g.config.Keep(key, maps.Clone(cell)).(map[string]any)
}

// excluded is the rule that fits what is set of the cell so far, nil without one.
func (g *grid) excluded(cell map[string]any) map[string]any {
	for _, rule := range g.exclude {
		fits := true
		for key, v := range rule {
			if w, ok := cell[key]; !ok || !value.Equal(v, w) {
				fits = false
				break
			}
		}
		if fits {
			return rule
		}
	}
	return nil
}

// task makes the task of one cell.
func (g *grid) task(from *transform.Item, cell map[string]any, name string, emit func(*transform.Item)) error {
	it := from.Split()
	it.Room("attributes", 8)["matrix"] = cell // room for what the last transforms add
	if g.worker && it.Map("worker") != nil {
		it.Room("worker", 8)
	}
	it.Set("name", name)
	if g.setName != "" {
		it.Set("name", g.setName)
	}
	fields := g.fields
	if g.all {
		fields = slices.Sorted(maps.Keys(from.Values()))
	}
	names := &value.Name{Name: "matrix", Value: value.Ordered{Keys: g.order, Map: cell}}
	for _, field := range fields {
		if err := Substitute(it, field, names); err != nil {
			return err
		}
	}
	it.Cell(g.describe(cell))
	emit(it)
	return nil
}

// before is the matrix attribute that the task has already, such as one copied from the task it
// was made from: the new cells are laid over it.
func before(it *transform.Item) map[string]any {
	cell := maps.Clone(value.Map(it.Map("attributes"), "matrix"))
	if cell == nil {
		cell = map[string]any{}
	}
	return cell
}

func (g *grid) describe(cell map[string]any) []explain.Dimension {
	out := make([]explain.Dimension, len(g.dimensions))
	for i, d := range g.dimensions {
		out[i] = explain.Dimension{Name: d.name, Value: value.Text(cell[d.name])}
	}
	return out
}

// Substitute formats the strings of the task's field, a dotted path that must lead somewhere.
func Substitute(it *transform.Item, field string, names value.Names) error {
	found, err := it.Substitute(field, names)
	if !found {
		return it.Errorf(field, "is to be formatted, but the task has no such field")
	}
	if err != nil {
		return it.Errorf(field, "%v", err)
	}
	return it.Err()
}
