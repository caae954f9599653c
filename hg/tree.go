package hg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Tree is the files of one revision as a file system. Directories and contents are read when they are
// asked for, once each. It implements fs.FS, fs.ReadFileFS, fs.ReadDirFS and fs.StatFS, is safe for
// concurrent use, and lives as long as the context it was made with.
type Tree struct {
	ctx  context.Context // reads outlast Tree's call but not the decision it belongs to
	repo *Repo
	node string

	mu    sync.Mutex
	dirs  map[string][]entry // by path; nil for one that is not there
	blobs map[string][]byte  // what Prefetch has read
}

// entry is a file or directory; it is its own description.
type entry struct {
	name string
	mode fs.FileMode
	size int64
}

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) Mode() fs.FileMode          { return e.mode }
func (e entry) Type() fs.FileMode          { return e.mode.Type() }
func (e entry) ModTime() time.Time         { return time.Time{} }
func (e entry) IsDir() bool                { return e.mode.IsDir() }
func (e entry) Sys() any                   { return nil }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }

func directory(name string) entry { return entry{name: name, mode: fs.ModeDir | 0o755} }

// file describes a file with Mercurial's flags.
func file(name, flags string, size int64) entry {
	mode := fs.FileMode(0o644)
	switch flags {
	case "x":
		mode = 0o755
	case "l":
		mode = fs.ModeSymlink | 0o777
	}
	return entry{name: name, mode: mode, size: size}
}

// Tree opens the files of a revision. One that the repository does not have is a fault.NotFound.
func (r *Repo) Tree(ctx context.Context, revision string) (*Tree, error) {
	if err := checkNode(revision); err != nil {
		return nil, err
	}
	t := &Tree{ctx: ctx, repo: r, node: revision, dirs: map[string][]entry{}, blobs: map[string][]byte{}}
	top, err := t.dir(".")
	if err != nil {
		return nil, fmt.Errorf("hg: tree of %s: %w", revision, err)
	}
	if top == nil {
		return nil, fault.New(fault.NotFound, "%s has no revision %s", r.url, revision)
	}
	return t, nil
}

// escaped is a path as part of an address.
func escaped(name string) string {
	if name == "." {
		return ""
	}
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/" + strings.Join(parts, "/")
}

// dir lists a directory by name; nil without one.
func (t *Tree) dir(name string) ([]entry, error) {
	t.mu.Lock()
	list, known := t.dirs[name]
	t.mu.Unlock()
	if known {
		return list, nil
	}
	var page struct {
		Directories []struct{ Basename string }
		Files       []struct {
			Basename, Flags string
			Size            int64
		}
	}
	err := t.repo.json(t.ctx, "/json-manifest/"+t.node+escaped(name), &page)
	if err != nil && !missing(err) {
		return nil, err
	}
	if err == nil {
		list = []entry{}
		for _, d := range page.Directories {
			list = append(list, directory(d.Basename))
		}
		for _, f := range page.Files {
			list = append(list, file(f.Basename, f.Flags, f.Size))
		}
		list = slices.DeleteFunc(list, func(e entry) bool { return !fs.ValidPath(e.name) || strings.Contains(e.name, "/") })
	}
	t.keepDir(name, list)
	return list, nil
}

func (t *Tree) keepDir(name string, list []entry) {
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirs[name] = list
}

// stat finds a file or directory.
func (t *Tree) stat(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return directory("."), nil
	}
	list, err := t.dir(path.Dir(name))
	if err != nil {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	base := path.Base(name)
	if i, ok := slices.BinarySearchFunc(list, base, func(e entry, base string) int { return strings.Compare(e.name, base) }); ok {
		return list[i], nil
	}
	return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Stat describes a file or directory.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name) }

// ReadFile returns a file's content; for a symbolic link, the path it holds.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.stat("read", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	if e.size > maxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.TooLarge, "%d bytes: more than the %d that a file of a decision may have", e.size, maxFile)}
	}
	t.mu.Lock()
	blob, ok := t.blobs[name]
	t.mu.Unlock()
	if ok {
		return bytes.Clone(blob), nil
	}
	content, err := t.repo.bytes(t.ctx, "/raw-file/"+t.node+escaped(name), maxFile)
	if missing(err) { // it is listed: hg serve has no answer for names that are not ASCII
		err = fmt.Errorf("the server lists the file and does not give it: %w", err)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

// ReadDir lists a directory by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	list, err := t.dir(name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	if list == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	out := make([]fs.DirEntry, len(list))
	for i, e := range list {
		out[i] = e
	}
	return out, nil
}

// Prefetch reads what stands at or below the given paths, a directory in one archive where the server
// makes archives, else file by file, several at once.
func (t *Tree) Prefetch(under ...string) error {
	left := &budget{bytes: maxPrefetch}
	g, ctx := errgroup.WithContext(t.ctx)
	g.SetLimit(maxPerHost)
	for _, name := range under {
		e, err := t.stat("prefetch", name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if e.IsDir() && name != "." {
			done, err := t.unpack(ctx, name, left)
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		if err := t.walk(g, name, e, left); err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	return g.Wait()
}

// budget is what Prefetch may still keep.
type budget struct {
	mu    sync.Mutex
	bytes int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= n
	return b.bytes >= 0
}

// walk reads a file, or all below a directory, as far as the budget goes.
func (t *Tree) walk(g *errgroup.Group, name string, e entry, left *budget) error {
	if !e.IsDir() {
		if e.size > maxFile || !left.take(e.size) {
			return nil // read when it is asked for
		}
		g.Go(func() error {
			content, err := t.ReadFile(name)
			if err != nil {
				return nil //nolint:nilerr // whoever asks for the file gets the error
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.blobs[name] = content
			return nil
		})
		return nil
	}
	list, err := t.dir(name)
	if err != nil {
		return err
	}
	for _, below := range list {
		if err := t.walk(g, path.Join(name, below.name), below, left); err != nil {
			return err
		}
	}
	return nil
}

// Open opens a file or directory for reading.
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.stat("open", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		list, err := t.ReadDir(name)
		return &openDir{entry: e, rest: list}, err
	}
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{entry: e, Reader: bytes.NewReader(data)}, nil
}

type openFile struct {
	entry
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *openFile) Size() int64                { return f.entry.size }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	entry
	rest []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
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
