// Package treefs is what the trees of all forges have in common: descriptions of files and directories,
// lists of all paths of a revision, and open files and directories. How contents are read is the forge's.
package treefs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// The modes of files; git and Mercurial know no others.
const (
	Plain      fs.FileMode = 0o644
	Executable fs.FileMode = 0o755
	Symlink                = fs.ModeSymlink | 0o777
)

// GitMode is the mode of a file that git calls 100644, 100755 or 120000.
func GitMode(mode string) fs.FileMode {
	switch mode {
	case "100755":
		return Executable
	case "120000":
		return Symlink
	}
	return Plain
}

// Entry is a file or directory. It is its own description, and its entry in a directory.
type Entry struct {
	name, object string
	mode         fs.FileMode
	size         int64
}

// File describes a file of that base name and size in bytes; object is where a forge finds its content,
// if it has ids for that.
func File(name, object string, mode fs.FileMode, size int64) Entry {
	return Entry{name: name, object: object, mode: mode, size: size}
}

// Directory describes a directory of that base name.
func Directory(name string) Entry { return Entry{name: name, mode: fs.ModeDir | 0o755} }

// Object is the id of a file's content.
func (e Entry) Object() string { return e.object }

// Name implements fs.FileInfo and fs.DirEntry, as do the methods after it.
func (e Entry) Name() string { return e.name }

// Size is in bytes.
func (e Entry) Size() int64 { return e.size }

// Mode has the kind and the permissions.
func (e Entry) Mode() fs.FileMode { return e.mode }

// Type is the kind.
func (e Entry) Type() fs.FileMode { return e.mode.Type() }

// ModTime is zero: a revision tells of none.
func (e Entry) ModTime() time.Time { return time.Time{} }

// IsDir reports whether it is a directory.
func (e Entry) IsDir() bool { return e.mode.IsDir() }

// Sys is nil.
func (e Entry) Sys() any { return nil }

// Info is the entry.
func (e Entry) Info() (fs.FileInfo, error) { return e, nil }

// List is all paths of a revision. Once it is sorted nobody changes it, so that it is safe for
// concurrent use. The zero value is not ready.
type List struct {
	Files map[string]Entry // by path
	Paths []string         // of Files, sorted
	dirs  map[string][]fs.DirEntry
}

// NewList returns a list with an empty directory at the top.
func NewList() *List {
	return &List{Files: map[string]Entry{}, dirs: map[string][]fs.DirEntry{".": nil}}
}

// Add enters a file into its directory, and new directories into theirs. A path is added once.
func (l *List) Add(name string, e Entry) {
	l.Files[name] = e
	l.Paths = append(l.Paths, name)
	for {
		dir := path.Dir(name)
		_, known := l.dirs[dir]
		l.dirs[dir] = append(l.dirs[dir], e)
		if known {
			return
		}
		name, e = dir, Directory(path.Base(dir))
	}
}

// Sort sorts the paths and directories when all are added.
func (l *List) Sort() {
	slices.Sort(l.Paths)
	for _, entries := range l.dirs {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
}

// Stat describes a file or directory.
func (l *List) Stat(name string) (fs.FileInfo, error) {
	if e, ok := l.Files[name]; ok {
		return e, nil
	}
	if _, ok := l.dirs[name]; ok {
		return Directory(path.Base(name)), nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists a directory by name.
func (l *List) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, ok := l.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(entries), nil
}

// Open opens a file, whose content read returns, or a directory.
func (l *List) Open(name string, read func(name string) ([]byte, error)) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if entries, ok := l.dirs[name]; ok {
		return OpenDir(Directory(path.Base(name)), slices.Clone(entries)), nil
	}
	e, ok := l.Files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	content, err := read(name)
	if err != nil {
		return nil, err
	}
	return OpenFile(e, content), nil
}

// Under returns the files at or below any of the given paths, as they stand in Paths.
func (l *List) Under(paths ...string) []string {
	var out []string
	for _, name := range l.Paths {
		if slices.ContainsFunc(paths, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") }) {
			out = append(out, name)
		}
	}
	return out
}

// OpenFile returns an open file with that content.
func OpenFile(e Entry, content []byte) fs.File { return &openFile{e, bytes.NewReader(content)} }

type openFile struct {
	entry Entry
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *openFile) Close() error               { return nil }

// OpenDir returns an open directory with these entries, which it keeps.
func OpenDir(e Entry, entries []fs.DirEntry) fs.ReadDirFile { return &openDir{e, entries} }

type openDir struct {
	entry Entry
	rest  []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.entry.name, Err: errors.New("is a directory")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		list := d.rest
		d.rest = nil
		return list, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n]
	d.rest = d.rest[n:]
	return list, nil
}
