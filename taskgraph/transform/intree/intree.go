// Package intree makes transforms of the functions in the tree's own Starlark files.
package intree

import (
	"context"
	"errors"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform that a name such as "taskcluster/x.star:function" stands for;
// ok is false for a name of another form. at, where the kind lists it, is told when the file or the function
// is not there.
func Transform(files *star.Files, name string, at graph.Error) (t transform.Transform, ok bool) {
	file, function, ok := star.SplitName(name)
	if !ok {
		return transform.Transform{}, false
	}
	f := function
	call := func(ctx context.Context, c *transform.Config, items []*transform.Item) ([]*transform.Item, error) {
		module, err := files.Module(ctx, file)
		if err != nil {
			return nil, located(err, at)
		}
		made, err := run(ctx, c, module, file, f, items)
		return made, located(err, at)
	}
	return transform.Transform{Name: name, Steps: []transform.Step{{All: call}}}, true
}

// located makes the package's common error of one of Starlark; one that is on no line of the file is
// told of the place that names it.
func located(err error, at graph.Error) error {
	var e *star.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Line == 0 {
		return &graph.Error{File: at.File, Line: at.Line, Label: e.Label, Message: "Starlark", Err: err}
	}
	return &graph.Error{File: e.File, Line: e.Line, Label: e.Label, Message: "Starlark", Err: err}
}

func run(ctx context.Context, c *transform.Config, module *star.Module, file, function string, items []*transform.Item) ([]*transform.Item, error) {
	in := make([]map[string]any, len(items))
	for i, it := range items {
		in[i] = it.Values()
	}
	sc := starConfig(c)
	sc.Edits = true
	made, err := module.Transform(ctx, function, sc, in)
	if err != nil {
		return nil, err
	}
	out := make([]*transform.Item, len(made))
	parts := make([]int, len(items)) // how many each became
	for _, m := range made {
		if m.From >= 0 {
			parts[m.From]++
		}
	}
	for i, m := range made {
		if m.From < 0 {
			out[i] = transform.NewItem(m.Values, &transform.Origin{Provenance: explain.Provenance{Kind: c.Kind, File: file, Entry: value.String(m.Values, "name"), Loader: function}})
			continue
		}
		it := items[m.From]
		if parts[m.From] > 1 {
			it = it.Split()
		}
		apply(it, in[m.From], m)
		out[i] = it
	}
	return out, nil
}

// apply makes of the item, which had the values was, what the transform made of it.
func apply(it *transform.Item, was map[string]any, m star.Item) {
	if m.Values != nil {
		if keys := changed(was, m.Values); len(keys) > 0 {
			it.Become(m.Values, keys...)
		}
		return
	}
	for _, e := range m.Edits {
		switch {
		case e.Gone:
			it.Delete(e.Key)
		case !value.Equal(was[e.Key], e.Value) || was[e.Key] == nil:
			it.Set(e.Key, e.Value)
		}
	}
}

// changed are the top-level keys that differ, sorted.
func changed(before, after map[string]any) []string {
	if value.Same(before, after) {
		return nil
	}
	var keys []string
	for key, v := range before {
		if w, ok := after[key]; !ok || !identical(v, w) && !value.Equal(v, w) {
			keys = append(keys, key)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// identical reports whether two values are plainly one, without following them.
func identical(v, w any) bool {
	switch v := v.(type) {
	case map[string]any:
		m, ok := w.(map[string]any)
		return ok && value.Same(v, m)
	case []any:
		l, ok := w.([]any)
		return ok && len(v) == len(l) && (len(v) == 0 || &v[0] == &l[0])
	}
	return false
}
