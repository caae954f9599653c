package whatif

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/treefs"
)

// overlay is a tree some of whose files are written anew.
type overlay struct {
	intake.Tree
	files map[string]string
}

func overlaid(tree intake.Tree, files map[string]string) intake.Tree {
	if len(files) == 0 {
		return tree
	}
	return overlay{tree, files}
}

// ReadFile implements fs.ReadFileFS.
func (o overlay) ReadFile(name string) ([]byte, error) {
	if text, ok := o.files[name]; ok {
		return []byte(text), nil
	}
	return o.Tree.ReadFile(name)
}

func (o overlay) entry(name string) (treefs.Entry, bool) {
	text, ok := o.files[name]
	if ok {
		return treefs.File(path.Base(name), "", treefs.Plain, int64(len(text))), true
	}
	for file := range o.files {
		if strings.HasPrefix(file, name+"/") {
			return treefs.Directory(path.Base(name)), true
		}
	}
	return treefs.Entry{}, false
}

// Stat implements fs.StatFS.
func (o overlay) Stat(name string) (fs.FileInfo, error) {
	if _, ok := o.files[name]; !ok {
		if info, err := o.Tree.Stat(name); err == nil {
			return info, nil
		}
	}
	if e, ok := o.entry(name); ok {
		return e, nil
	}
	return o.Tree.Stat(name)
}

// ReadDir implements fs.ReadDirFS.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := o.Tree.ReadDir(name)
	byName := map[string]fs.DirEntry{}
	for _, e := range list {
		byName[e.Name()] = e
	}
	found := err == nil
	for file := range o.files {
		below := file
		if name != "." {
			var ok bool
			if below, ok = strings.CutPrefix(file, name+"/"); !ok {
				continue
			}
		}
		found = true
		first, _, deeper := strings.Cut(below, "/")
		if _, there := byName[first]; there && deeper {
			continue
		}
		if e, ok := o.entry(path.Join(name, first)); ok {
			byName[first] = e
		}
	}
	if !found {
		return nil, err
	}
	out := make([]fs.DirEntry, 0, len(byName))
	for _, n := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[n])
	}
	return out, nil
}

// Open implements fs.FS.
func (o overlay) Open(name string) (fs.File, error) {
	if text, ok := o.files[name]; ok {
		e, _ := o.entry(name)
		return treefs.OpenFile(e, []byte(text)), nil
	}
	info, err := o.Stat(name)
	if err != nil || !info.IsDir() {
		return o.Tree.Open(name)
	}
	list, err := o.ReadDir(name)
	if err != nil {
		return nil, err
	}
	return treefs.OpenDir(treefs.Directory(path.Base(name)), list), nil
}
