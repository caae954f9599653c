package why

import (
	"context"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/glob"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// With is the input of a generation in which the premise holds. Of several patterns of files changed
// the first is taken.
func With(in taskgraph.Input, p explain.Premise) (taskgraph.Input, error) {
	params := in.Parameters
	set := map[string]any{}
	for name, v := range p.Parameters {
		set[name] = v
	}
	files := params.Strings("files_changed")
	if len(p.FilesChanged) > 0 {
		files = append(slices.Clone(files), Example(p.FilesChanged[0]))
	}
	if len(p.FilesUnchanged) > 0 {
		files = slices.DeleteFunc(slices.Clone(files), func(f string) bool {
			return slices.ContainsFunc(p.FilesUnchanged, func(pattern string) bool { return glob.Match(pattern, f) })
		})
	}
	if len(p.FilesChanged)+len(p.FilesUnchanged) > 0 {
		list := make([]any, len(files))
		for i, f := range files {
			list[i] = f
		}
		set["files_changed"] = list
	}
	var err error
	if in.Parameters, err = params.Merge(set); err != nil {
		return in, err
	}
	if len(p.IndexEmpty) > 0 && in.Index != nil {
		in.Index = without(in.Index, p.IndexEmpty)
	}
	if p.PushNumber != 0 && in.History != nil {
		in.History = onPush(in.History, p.PushNumber)
	}
	return in, nil
}

// onPush is the history as a later push sees it that comes at the same moment: the push at hand is one
// of those before it, and was decided.
func onPush(ask history.Source, number int64) history.Source {
	return func() (*history.Table, error) {
		t, err := ask()
		if err != nil || t == nil {
			return t, err
		}
		later := &history.Table{Version: t.Version, Project: t.Project, Push: t.Push, Regressions: t.Regressions, Labels: t.Labels}
		if number > t.Push.Number {
			later.Pushes = append(slices.Clone(t.Pushes), t.Push)
			later.Push.Number = number
		}
		return later, nil
	}
}

// without is an index that has nothing at paths.
func without(ask optimize.IndexFinder, paths []string) optimize.IndexFinder {
	return func(ctx context.Context, asked []string) (map[string]optimize.Found, error) {
		found, err := ask(ctx, asked)
		out := make(map[string]optimize.Found, len(found))
		for path, f := range found {
			if !slices.Contains(paths, path) {
				out[path] = f
			}
		}
		return out, err
	}
}

// Example is a path that the pattern matches.
func Example(pattern string) string {
	const name = "some-file"
	path := strings.ReplaceAll(strings.ReplaceAll(pattern, "**", name), "*", name)
	if path == "" || strings.HasSuffix(path, "/") {
		path += name
	}
	return path
}
