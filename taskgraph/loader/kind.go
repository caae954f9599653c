// Package loader finds the kinds of a tree, reads their files and makes the items that the
// kinds' transforms work on (taskgraph-map 3). What it returns is immutable.
package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Kind is one directory of kinds with its kind.yml.
type Kind struct {
	Name string
	// Dir is the directory in the tree, such as "taskcluster/kinds/build".
	Dir  string
	File *source.File
	// Values is the parsed kind.yml, unknown keys included.
	Values map[string]any
	// Dependencies are the kinds whose tasks this kind's transforms see.
	Dependencies []string
	// Loader is the full name of the loader.
	Loader string
	// Warnings are oddities of kind.yml.
	Warnings []*graph.Error

	tree fs.FS
}

// The loaders, by their well-known names.
const (
	DefaultLoader   = "taskgraph.loader.default:loader"
	TransformLoader = "taskgraph.loader.transform:loader"
)

// The transforms that the default loader puts behind those of the kind.
const (
	runTransforms  = "taskgraph.transforms.run:transforms"
	taskTransforms = "taskgraph.transforms.task:transforms"
)

// Shape is the shape of kind.yml; other keys belong to the kind's transforms.
func Shape() *schema.Object {
	text := schema.String()
	return schema.Open(
		schema.Opt("loader", text),
		schema.Opt("transforms", schema.List(text)),
		schema.Opt("kind-dependencies", schema.List(text)),
		schema.Field{Name: "tasks", Type: schema.Map(schema.Any())},
		schema.Opt("tasks-from", schema.List(text)),
		schema.Opt("task-defaults", schema.Map(schema.Any())),
	)
}

// Kinds reads the kinds of root. With targets only those and the kinds they depend on, near and
// far, and the kind "docker-image" if there is one, on which kinds depend without saying so.
// The kinds come sorted by name. The errors of all kinds are told together.
func Kinds(tree fs.FS, root string, targets []string) ([]*Kind, error) {
	dir := path.Join(root, "kinds")
	names, err := list(tree, dir)
	if err != nil {
		return nil, err
	}
	all := map[string]*Kind{}
	var errs []error
	read := func(name string) {
		if all[name] != nil {
			return
		}
		k, err := readKind(tree, dir, name)
		if err != nil {
			errs = append(errs, err)
			k = &Kind{Name: name}
		}
		all[name] = k
	}
	wanted := names
	if len(targets) > 0 {
		wanted = slices.Clone(targets)
		if slices.Contains(names, "docker-image") {
			wanted = append(wanted, "docker-image")
		}
	}
	for i := 0; i < len(wanted); i++ {
		name := wanted[i]
		if !slices.Contains(names, name) {
			if len(targets) > i {
				errs = append(errs, &graph.Error{File: dir, Message: noKind(name, names)})
			}
			continue // told by Order, with the place that names it
		}
		read(name)
		for _, d := range all[name].Dependencies {
			if !slices.Contains(wanted, d) {
				wanted = append(wanted, d)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	kinds := make([]*Kind, 0, len(all))
	for _, name := range names {
		if k := all[name]; k != nil {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

func noKind(name string, names []string) string {
	msg := fmt.Sprintf("there is no kind %q", name)
	if near := graph.Nearest(name, names); near != "" {
		return msg + fmt.Sprintf("; is %q meant?", near)
	}
	return msg + "; there are " + strings.Join(names, ", ")
}

// list returns the names of the directories in dir that hold a kind.yml, sorted.
func list(tree fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &graph.Error{File: dir, Message: "does not exist; a graph needs at least one kind, " + path.Join(dir, "NAME", "kind.yml")}
		}
		return nil, &graph.Error{File: dir, Message: "cannot be read", Err: err}
	}
	var names []string
	for _, e := range entries {
		if _, err := fs.Stat(tree, path.Join(dir, e.Name(), "kind.yml")); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func readKind(tree fs.FS, dir, name string) (*Kind, error) {
	k := &Kind{Name: name, Dir: path.Join(dir, name), tree: tree}
	var err error
	if k.File, err = source.Read(tree, path.Join(k.Dir, "kind.yml")); err != nil {
		return nil, err
	}
	if k.Values, err = k.File.Map(); err != nil {
		return nil, err
	}
	if k.Values == nil {
		k.Values = map[string]any{}
	}
	shape := Shape()
	problems := schema.Errors(schema.Check(shape, k.Values), "", k.place)
	if len(problems) > 0 {
		all := make([]error, len(problems))
		for i, p := range problems {
			all[i] = p
		}
		return nil, errors.Join(all...)
	}
	k.Dependencies, _ = value.Strings(k.Values["kind-dependencies"])
	k.Loader = DefaultLoader
	if l := value.String(k.Values, "loader"); l != "" {
		k.Loader = l
	}
	k.Warnings = append(k.File.Warnings, k.slips(shape)...)
	return k, nil
}

// slips warns of keys that look like misspelt ones: other keys belong to the kind's transforms.
func (k *Kind) slips(shape *schema.Object) []*graph.Error {
	var out []*graph.Error
	for _, key := range k.File.Root().Keys() {
		if slices.Contains(shape.Names(), key) {
			continue
		}
		if near := graph.Nearest(key, shape.Names()); near != "" {
			out = append(out, k.File.Root().Key(key).Errorf("the key %q has no meaning of its own here; is %q meant?", key, near))
		}
	}
	return out
}

func (k *Kind) place(at []string, onKey bool) (string, int) {
	n := k.File.Root()
	line := n.Line()
	for i, key := range at {
		if onKey && i == len(at)-1 {
			n = n.Key(key)
		} else {
			n = n.Child(key)
		}
		if !n.OK() {
			break
		}
		line = n.Line()
	}
	return k.File.Path, line
}

func (k *Kind) errorf(at []string, format string, args ...any) error {
	file, line := k.place(at, false)
	return &graph.Error{File: file, Line: line, Message: fmt.Sprintf(format, args...)}
}

// Order returns the names of kinds so that each comes after those it depends on. A dependency
// on a kind that does not exist and kinds that depend on each other in a circle are errors.
func Order(kinds []*Kind) ([]string, error) {
	byName := map[string]*graph.Task{}
	var names []string
	for _, k := range kinds {
		t := &graph.Task{Label: k.Name}
		t.Provenance.File, t.Provenance.Line = k.File.Path, k.File.Root().Key("kind-dependencies").Line()
		byName[k.Name] = t
		names = append(names, k.Name)
	}
	var edges []graph.Edge
	var errs []error
	for _, k := range kinds {
		for i, d := range k.Dependencies {
			if byName[d] == nil {
				errs = append(errs, k.errorf([]string{"kind-dependencies", fmt.Sprint(i)}, "the kind %q depends on %q, but %s", k.Name, d, noKind(d, names)))
				continue
			}
			edges = append(edges, graph.Edge{From: k.Name, To: d, Name: d})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	g, err := graph.New(byName, edges)
	if err != nil {
		return nil, err
	}
	order, err := g.Postorder()
	var e *graph.Error
	if errors.As(err, &e) {
		path := strings.Join(g.Cycle(), " -> ")
		return nil, &graph.Error{File: e.File, Line: e.Line, Message: "kinds depend on each other in a circle: " + path}
	}
	return order, err
}

// TransformRef is one entry of a kind's list of transforms.
type TransformRef struct {
	// Name is the full name, "module:object".
	Name string
	// File and Line are where it is listed; of those that the loader adds, the kind's file.
	File string
	Line int
}

// Transforms returns the kind's transforms, those that its loader adds included.
func (k *Kind) Transforms() ([]TransformRef, error) {
	listed, _ := value.Strings(k.Values["transforms"])
	refs := make([]TransformRef, 0, len(listed)+2)
	for i, name := range listed {
		if !strings.Contains(name, ":") {
			name += ":transforms"
		}
		file, line := k.place([]string{"transforms", fmt.Sprint(i)}, false)
		refs = append(refs, TransformRef{Name: name, File: file, Line: line})
	}
	switch k.Loader {
	case TransformLoader:
		if k.Values["transforms"] == nil {
			return nil, k.errorf(nil, "the kind %q lists no transforms, which the loader %s needs", k.Name, k.Loader)
		}
	case DefaultLoader:
		for i, name := range listed {
			if name == runTransforms || name == taskTransforms || name+":transforms" == runTransforms || name+":transforms" == taskTransforms {
				return nil, k.errorf([]string{"transforms", fmt.Sprint(i)}, "the default loader adds %s by itself; take it out of the list, or name the loader %s", name, TransformLoader)
			}
		}
		for _, name := range []string{runTransforms, taskTransforms} {
			refs = append(refs, TransformRef{Name: name, File: k.File.Path, Line: 1})
		}
	default:
		if _, _, ok := star.SplitName(k.Loader); ok { // the tree's own gives items only
			break
		}
		return nil, k.errorf([]string{"loader"}, "the loader %q is not known; there are %s and %s, and functions of the tree, as path/file.star:function", k.Loader, DefaultLoader, TransformLoader)
	}
	return refs, nil
}
