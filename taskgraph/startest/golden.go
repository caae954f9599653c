package startest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// golden is test.golden(name, value): value must be what the file testdata/NAME beside the test
// holds: a text as it is, anything else as JSON.
func (h *harness) golden(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var given starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "value", &given); err != nil {
		return nil, err
	}
	if !fs.ValidPath(name) || name == "." {
		return nil, fmt.Errorf("%s: %q is not the name of a file below testdata", b.Name(), name)
	}
	file := path.Join(path.Dir(t.CallFrame(1).Pos.Filename()), "testdata", name)
	got, err := goldenText(t, given)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if h.o.Update != nil {
		if err := h.o.Update(file, []byte(got)); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		return starlark.None, nil
	}
	want, err := fs.ReadFile(h.o.Tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s; --update writes it", file)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	case string(want) == got:
		return starlark.None, nil
	}
	lines := func(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }
	return nil, fmt.Errorf("%s is not what it should be; --update writes it anew (-want +got)\n%s", file, strings.Join(compare(lines(string(want)), lines(got)), "\n"))
}

func goldenText(t *starlark.Thread, v starlark.Value) (string, error) {
	if s, ok := starlark.AsString(v); ok {
		return s, nil
	}
	x, err := toGo(t, v)
	if err != nil {
		return "", err
	}
	text, err := graph.AppendJSON(nil, x)
	return string(text) + "\n", err
}
