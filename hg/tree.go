package hg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/treefs"
)

// Tree is the files of one revision as a file system. Directories and contents are read when they are
// asked for, once each, unless an earlier tree of the revision has read them. It implements fs.FS, fs.ReadFileFS, fs.ReadDirFS and fs.StatFS, is safe for
// concurrent use, and lives as long as the context it was made with.
type Tree struct {
	ctx   context.Context // reads outlast Tree's call but not the decision it belongs to
	repo  *Repo
	node  string
	known *content
}

// modeOf is the mode of a file with Mercurial's flags.
func modeOf(flags string) fs.FileMode {
	switch flags {
	case "x":
		return treefs.Executable
	case "l":
		return treefs.Symlink
	}
	return treefs.Plain
}

// Tree opens the files of a revision. One that the repository does not have is a fault.NotFound.
func (r *Repo) Tree(ctx context.Context, revision string) (*Tree, error) {
	if err := checkNode(revision); err != nil {
		return nil, err
	}
	t := &Tree{ctx: ctx, repo: r, node: revision, known: r.servers.content(r.url + " " + revision)}
	top, err := t.dir(".")
	if err != nil {
		return nil, fmt.Errorf("hg: tree of %s: %w", revision, err)
	}
	if top == nil { // perhaps not yet
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
func (t *Tree) dir(name string) ([]treefs.Entry, error) {
	t.known.mu.Lock()
	list, known := t.known.dirs[name]
	t.known.mu.Unlock()
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
	if missing(err) && name == "." {
		return nil, nil // not kept: the server may get it yet
	}
	if err != nil && !missing(err) {
		return nil, err
	}
	if err == nil {
		list = []treefs.Entry{}
		for _, d := range page.Directories {
			list = append(list, treefs.Directory(d.Basename))
		}
		for _, f := range page.Files {
			list = append(list, treefs.File(f.Basename, "", modeOf(f.Flags), f.Size))
		}
		list = slices.DeleteFunc(list, func(e treefs.Entry) bool { return !fs.ValidPath(e.Name()) || strings.Contains(e.Name(), "/") })
	}
	t.keepDir(name, list)
	return list, nil
}

func (t *Tree) keepDir(name string, list []treefs.Entry) {
	slices.SortFunc(list, func(a, b treefs.Entry) int { return strings.Compare(a.Name(), b.Name()) })
	t.known.mu.Lock()
	_, had := t.known.dirs[name]
	t.known.dirs[name] = list
	t.known.mu.Unlock()
	if !had {
		t.repo.servers.grew(t.known, int64(len(name)+overhead*(1+len(list))))
	}
}

// stat finds a file or directory.
func (t *Tree) stat(op, name string) (treefs.Entry, error) {
	if !fs.ValidPath(name) {
		return treefs.Entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return treefs.Directory("."), nil
	}
	list, err := t.dir(path.Dir(name))
	if err != nil {
		return treefs.Entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	base := path.Base(name)
	if i, ok := slices.BinarySearchFunc(list, base, func(e treefs.Entry, base string) int { return strings.Compare(e.Name(), base) }); ok {
		return list[i], nil
	}
	return treefs.Entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
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
	if e.Size() > maxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.TooLarge, "%d bytes: more than the %d that a file of a decision may have", e.Size(), maxFile)}
	}
	t.known.mu.Lock()
	blob, ok := t.known.blobs[name]
	t.known.mu.Unlock()
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
	if len(content) <= maxKeptFile {
		t.keepBlob(name, bytes.Clone(content))
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
func (t *Tree) walk(g *errgroup.Group, name string, e treefs.Entry, left *budget) error {
	if !e.IsDir() {
		if e.Size() > maxFile || !left.take(e.Size()) {
			return nil // read when it is asked for
		}
		g.Go(func() error {
			content, err := t.ReadFile(name)
			if err != nil {
				return nil //nolint:nilerr // whoever asks for the file gets the error
			}
			t.keepBlob(name, content)
			return nil
		})
		return nil
	}
	list, err := t.dir(name)
	if err != nil {
		return err
	}
	for _, below := range list {
		if err := t.walk(g, path.Join(name, below.Name()), below, left); err != nil {
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
		return treefs.OpenDir(e, list), err
	}
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return treefs.OpenFile(e, data), nil
}
