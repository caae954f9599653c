package star

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/glob"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// Limits of the module tree.
const (
	maxWalked = 200_000  // entries of directories that one pattern may meet
	maxHashed = 64 << 20 // bytes of a file that tree.sha256 reads
)

// trees is the module tree: the files of the repository at the revision of the graph. They are
// part of what the graph is made from, as kind files are, so that the same revision still gives
// the same graph.
func trees() *bounded.Record {
	return bounded.Module("tree",
		fileBuiltin("tree.read", func(b *bounded.Budget, t *starlark.Thread, name string) (starlark.Value, error) {
			src, err := file(b, t, name, b.Limits.Text)
			return starlark.String(src), err
		}),
		fileBuiltin("tree.yaml", func(b *bounded.Budget, t *starlark.Thread, name string) (starlark.Value, error) {
			src, err := file(b, t, name, b.Limits.Text)
			if err != nil {
				return nil, err
			}
			if err := b.Work(t, len(src)/2); err != nil {
				return nil, err
			}
			f, err := source.Parse(name, src)
			if err != nil {
				return nil, err
			}
			return b.Given(t, f.Value)
		}),
		fileBuiltin("tree.json", func(b *bounded.Budget, t *starlark.Thread, name string) (starlark.Value, error) {
			src, err := file(b, t, name, b.Limits.Text)
			if err != nil {
				return nil, err
			}
			if bounded.DeepLine(src) > 0 {
				return nil, bounded.Limitf("%s: JSON with brackets nested more than %d deep", name, bounded.BracketDepth)
			}
			if err := b.Work(t, len(src)/2); err != nil {
				return nil, err
			}
			if !json.Valid(src) {
				return nil, fmt.Errorf("%s is not valid JSON", name)
			}
			f, err := source.Parse(name, src) // JSON is YAML, and this keeps integers whole
			if err != nil {
				return nil, err
			}
			return b.Given(t, f.Value)
		}),
		fileBuiltin("tree.sha256", func(b *bounded.Budget, t *starlark.Thread, name string) (starlark.Value, error) {
			src, err := file(b, t, name, maxHashed)
			sum := sha256.Sum256(src)
			return starlark.String(hex.EncodeToString(sum[:])), err
		}),
		fileBuiltin("tree.exists", func(b *bounded.Budget, t *starlark.Thread, name string) (starlark.Value, error) {
			t.Steps += 1000
			_, err := fs.Stat(around(b).tree, name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			return starlark.Bool(err == nil), nil
		}),
		starlark.NewBuiltin("tree.glob", globFiles))
}

// fileBuiltin is a function of one path from the root of the repository, with or without "//".
func fileBuiltin(name string, read func(b *bounded.Budget, t *starlark.Thread, name string) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var file string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "path", &file); err != nil {
			return nil, err
		}
		clean := path.Clean(strings.TrimPrefix(file, "//"))
		if !fs.ValidPath(clean) {
			return nil, fmt.Errorf("%s: %q is not a path in the repository", b.Name(), cut(file))
		}
		v, err := read(bounded.BudgetOf(t), t, clean)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		return v, nil
	})
}

// file reads a file of at most most bytes.
func file(b *bounded.Budget, t *starlark.Thread, name string, most int) ([]byte, error) {
	info, err := fs.Stat(around(b).tree, name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory", name)
	case info.Size() > int64(most):
		return nil, bounded.Limitf("%s has %d bytes, the limit is %d", name, info.Size(), most)
	}
	if err := b.Work(t, 1000+int(info.Size()/16)); err != nil {
		return nil, err
	}
	if err := b.Charge(int(info.Size())); err != nil {
		return nil, err
	}
	return fs.ReadFile(around(b).tree, name)
}

// globFiles is tree.glob(pattern, …): the files that a pattern matches, sorted, each once.
func globFiles(t *starlark.Thread, bi *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 || len(args) == 0 {
		return nil, fmt.Errorf("%s: wants one or more patterns", bi.Name())
	}
	b := bounded.BudgetOf(t)
	var out []string
	for _, a := range args {
		pattern, ok := starlark.AsString(a)
		if !ok {
			return nil, fmt.Errorf("%s: got %s, want string", bi.Name(), a.Type())
		}
		if len(pattern) > maxPattern {
			return nil, bounded.Limitf("matches with a pattern of more than %d bytes", maxPattern)
		}
		found, err := walked(b, t, strings.TrimPrefix(pattern, "//"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", bi.Name(), err)
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return texts(out), b.Elements(t, len(out))
}

// walked are the files that pattern matches. Only the directory that its part without wildcards
// names is walked.
func walked(b *bounded.Budget, t *starlark.Thread, pattern string) ([]string, error) {
	literal, _, wild := strings.Cut(pattern, "*")
	dir := path.Dir(literal + "x")
	if !wild {
		dir = path.Clean(pattern)
	}
	if !fs.ValidPath(dir) {
		return nil, fmt.Errorf("%q is not a path in the repository", pattern)
	}
	var files []string
	n := 0
	err := fs.WalkDir(around(b).tree, dir, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == dir {
			return nil
		}
		if err != nil {
			return err
		}
		if n++; n > maxWalked {
			return bounded.Limitf("the pattern %q meets more than %d files", pattern, maxWalked)
		}
		if err := b.Work(t, 10); err != nil {
			return err
		}
		if e.IsDir() {
			if name == ".git" || name == ".hg" {
				return fs.SkipDir
			}
			return nil
		}
		files = append(files, name)
		return b.Charge(len(name) + bounded.ElementBytes)
	})
	return glob.All(pattern, files), err
}

// digest is sha256(text), in hex.
func digest(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	if err := bounded.BudgetOf(t).Work(t, len(text)/16); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(text))
	return starlark.String(hex.EncodeToString(sum[:])), nil
}
