package localgit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// maxBlob bounds a file read from a tree, in bytes: nothing that describes work is larger.
const maxBlob = 16 << 20

// Tree is the tree of one revision as a file system: the list of paths is read at once, contents
// when asked for. It implements fs.FS, fs.ReadFileFS, fs.ReadDirFS and fs.StatFS, is safe for
// concurrent use, and lives as long as the context it was made with.
type Tree struct {
	ctx   context.Context // reads outlast Tree's call but not the decision it belongs to
	repo  *Repo
	files map[string]entry
	dirs  map[string][]fs.DirEntry
	paths []string

	mu    sync.Mutex
	blobs map[string][]byte // by object id: what Prefetch has read
}

type entry struct {
	name, object string
	mode         fs.FileMode
	size         int64
}

// Tree reads the list of paths of a revision.
func (r *Repo) Tree(ctx context.Context, revision string) (*Tree, error) {
	if err := checkRevisions(revision); err != nil {
		return nil, err
	}
	out, err := r.git(ctx, "ls-tree", "-r", "-z", "--long", "--full-tree", revision)
	if err != nil {
		return nil, fmt.Errorf("localgit: tree of %s: %w", revision, err)
	}
	t := &Tree{ctx: ctx, repo: r, files: map[string]entry{}, dirs: map[string][]fs.DirEntry{".": nil}, blobs: map[string][]byte{}}
	for _, record := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		t.add(record)
	}
	slices.Sort(t.paths)
	for _, list := range t.dirs {
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t, nil
}

// add takes one record of ls-tree: "mode type object size<TAB>path".
func (t *Tree) add(record string) {
	facts, name, ok := strings.Cut(record, "\t")
	field := strings.Fields(facts)
	if !ok || len(field) != 4 || field[1] != "blob" || !fs.ValidPath(name) {
		return // a submodule, or a path that no file system would take
	}
	size, _ := strconv.ParseInt(field[3], 10, 64)
	mode := fs.FileMode(0o644)
	switch field[0] {
	case "100755":
		mode = 0o755
	case "120000":
		mode = fs.ModeSymlink | 0o777
	}
	e := entry{name: path.Base(name), object: field[2], mode: mode, size: size}
	t.files[name] = e
	t.paths = append(t.paths, name)
	t.link(name, e)
}

// link enters a file into its directory, and new directories into theirs.
func (t *Tree) link(name string, e entry) {
	for {
		dir := path.Dir(name)
		_, known := t.dirs[dir]
		t.dirs[dir] = append(t.dirs[dir], fs.FileInfoToDirEntry(info{e}))
		if known {
			return
		}
		name, e = dir, entry{name: path.Base(dir), mode: fs.ModeDir | 0o755}
	}
}

// Paths returns all file paths, sorted. The caller must not change the list.
func (t *Tree) Paths() []string { return t.paths }

// ReadFile returns a file's content; for a symbolic link, the path it holds.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, ok := t.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if e.size > maxBlob {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.TooLarge, "%d bytes: more than the %d that a file of a decision may have", e.size, maxBlob)}
	}
	t.mu.Lock()
	blob, ok := t.blobs[e.object]
	t.mu.Unlock()
	if ok {
		return bytes.Clone(blob), nil
	}
	out, err := t.repo.git(t.ctx, "cat-file", "blob", e.object)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return []byte(out), nil
}

// Prefetch reads the files at or below the given paths with one git process, so that a graph of
// many small files costs one start of git and not one each.
func (t *Tree) Prefetch(under ...string) error {
	var wanted []string
	for _, name := range t.paths {
		inside := slices.ContainsFunc(under, func(u string) bool { return name == u || strings.HasPrefix(name, u+"/") })
		if inside && t.files[name].size <= maxBlob {
			wanted = append(wanted, t.files[name].object)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	cmd := t.repo.command(t.ctx, "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(strings.Join(wanted, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("localgit: read %v: %w", under, err)
	}
	return t.keep(bufio.NewReader(bytes.NewReader(out)))
}

// keep takes the answers of cat-file --batch: "object type size", the content, a line end.
func (t *Tree) keep(answers *bufio.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		header, err := answers.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		field := strings.Fields(header)
		if err != nil || len(field) != 3 {
			return fmt.Errorf("localgit: git cat-file answered %q: %w", header, err)
		}
		size, err := strconv.Atoi(field[2])
		if err != nil {
			return fmt.Errorf("localgit: git cat-file answered %q: %w", header, err)
		}
		blob := make([]byte, size+1)
		if _, err := io.ReadFull(answers, blob); err != nil {
			return fmt.Errorf("localgit: git cat-file ended early: %w", err)
		}
		t.blobs[field[0]] = blob[:size]
	}
}

// Stat describes a file or directory.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	if e, ok := t.files[name]; ok {
		return info{e}, nil
	}
	if _, ok := t.dirs[name]; ok {
		return info{entry{name: path.Base(name), mode: fs.ModeDir | 0o755}}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists a directory by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	list, ok := t.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(list), nil
}

// Open opens a file or directory for reading.
func (t *Tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if list, ok := t.dirs[name]; ok {
		fi, _ := t.Stat(name)
		return &openDir{info: fi, rest: slices.Clone(list)}, nil
	}
	data, err := t.ReadFile(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return nil, err
	}
	return &openFile{info: info{t.files[name]}, Reader: bytes.NewReader(data)}, nil
}

type info struct{ entry }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

type openFile struct {
	info fs.FileInfo
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info fs.FileInfo
	rest []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: errors.New("is a directory")}
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
