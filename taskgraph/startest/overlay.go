package startest

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// overlay is a tree with some files put in or replaced.
type overlay struct {
	fs.FS
	files map[string][]byte
}

// Open implements fs.FS.
func (o overlay) Open(name string) (fs.File, error) {
	if content, ok := o.files[name]; ok {
		return &textFile{entry: entry{name: path.Base(name), size: int64(len(content))}, Reader: bytes.NewReader(content)}, nil
	}
	f, err := o.FS.Open(name)
	if err != nil && o.below(name) {
		return &textFile{entry: entry{name: path.Base(name), dir: true}, Reader: bytes.NewReader(nil)}, nil
	}
	return f, err
}

// below reports whether files were put in below a directory.
func (o overlay) below(dir string) bool {
	for name := range o.files {
		if dir == "." || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// ReadDir implements fs.ReadDirFS.
func (o overlay) ReadDir(dir string) ([]fs.DirEntry, error) {
	all := map[string]fs.DirEntry{}
	list, err := fs.ReadDir(o.FS, dir)
	if err != nil && !o.below(dir) {
		return nil, err
	}
	for _, e := range list {
		all[e.Name()] = e
	}
	for name, content := range o.files {
		rest, ok := name, true
		if dir != "." {
			rest, ok = strings.CutPrefix(name, dir+"/")
		}
		if !ok {
			continue
		}
		if first, _, deeper := strings.Cut(rest, "/"); deeper {
			if all[first] == nil {
				all[first] = entry{name: first, dir: true}
			}
		} else {
			all[rest] = entry{name: rest, size: int64(len(content))}
		}
	}
	out := slices.Collect(maps.Values(all))
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// entry is a file of the overlay, as a directory lists it and as Stat tells it.
type entry struct {
	name string
	size int64
	dir  bool
}

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) IsDir() bool                { return e.dir }
func (e entry) ModTime() time.Time         { return time.Time{} }
func (e entry) Sys() any                   { return nil }
func (e entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }

// Mode is that of what can be read only.
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

type textFile struct {
	entry
	*bytes.Reader
}

// Stat implements fs.File.
func (f *textFile) Stat() (fs.FileInfo, error) { return f.entry, nil }

// Close implements fs.File.
func (f *textFile) Close() error { return nil }

// Size is the length in bytes.
func (f *textFile) Size() int64 { return f.entry.size }
