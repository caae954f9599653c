package ghclient

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Bounds of reading a tree.
const (
	maxBlob      = 16 << 20 // bytes of a file: nothing that describes work is larger
	maxArchive   = 32 << 20 // bytes of all files of a tree that is read as an archive
	smallArchive = 4 << 20  // an archive of so many bytes is worth a few files
	fewFiles     = 24       // so many are read one by one rather than as an archive
	someFiles    = 3        // or so many, where the archive is small
	readTogether = 8
	maxKept      = 128 << 20 // bytes of files remembered
	maxTrees     = 64        // lists of paths remembered
	maxPaths     = 1 << 20   // of one tree
)

// Tree is the files of a revision. It lives as long as the context it was made with.
type Tree struct {
	ctx   context.Context // reads outlast the call of Forge.Tree but not the decision it belongs to
	forge *Forge
	sha   string
	*listing
}

// listing is the list of paths of a tree; it never changes.
type listing struct {
	files map[string]file
	dirs  map[string][]fs.DirEntry
	paths []string
	total int64 // bytes of all files
}

type file struct {
	name, object string
	mode         fs.FileMode
	size         int64
}

// fullRevision is a revision that never means anything else.
var fullRevision = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Tree reads the list of paths of a revision: one request, or none when it was read before.
func (f *Forge) Tree(ctx context.Context, revision string) (*Tree, error) {
	if l := f.app.trees.get(f.owner + "/" + f.name + "@" + revision); l != nil {
		return &Tree{ctx: ctx, forge: f, sha: revision, listing: l}, nil
	}
	l := &listing{files: map[string]file{}, dirs: map[string][]fs.DirEntry{".": nil}}
	if err := f.read(ctx, l, revision, ""); err != nil {
		return nil, err
	}
	slices.Sort(l.paths)
	for _, entries := range l.dirs {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	if fullRevision.MatchString(revision) {
		f.app.trees.put(f.owner+"/"+f.name+"@"+revision, l)
	}
	return &Tree{ctx: ctx, forge: f, sha: revision, listing: l}, nil
}

// read adds what a tree holds. GitHub cuts a list that is too long short; then it is read by directory.
func (f *Forge) read(ctx context.Context, l *listing, sha, under string) error {
	t, _, err := f.client.Git.GetTree(ctx, f.owner, f.name, sha, true)
	if err != nil {
		return f.wrap("tree "+sha, err)
	}
	if !t.GetTruncated() {
		return l.add(t.Entries, under)
	}
	if t, _, err = f.client.Git.GetTree(ctx, f.owner, f.name, sha, false); err != nil {
		return f.wrap("tree "+sha, err)
	}
	for _, e := range t.Entries {
		if e.GetType() == "tree" {
			if err := f.read(ctx, l, e.GetSHA(), path.Join(under, e.GetPath())); err != nil {
				return err
			}
		}
	}
	return l.add(t.Entries, under)
}

func (l *listing) add(entries []*github.TreeEntry, under string) error {
	for _, e := range entries {
		name := path.Join(under, e.GetPath())
		if e.GetType() != "blob" || !fs.ValidPath(name) {
			continue // a directory, a submodule, or a path that no file system would take
		}
		if len(l.paths) >= maxPaths {
			return fault.New(fault.TooLarge, "the repository has more than %d files", maxPaths)
		}
		mode := fs.FileMode(0o644)
		switch e.GetMode() {
		case "100755":
			mode = 0o755
		case "120000":
			mode = fs.ModeSymlink | 0o777
		}
		one := file{name: path.Base(name), object: e.GetSHA(), mode: mode, size: int64(e.GetSize())}
		l.files[name] = one
		l.paths = append(l.paths, name)
		l.total += one.size
		l.link(name, one)
	}
	return nil
}

// link enters a file into its directory, and new directories into theirs.
func (l *listing) link(name string, e file) {
	for {
		dir := path.Dir(name)
		_, known := l.dirs[dir]
		l.dirs[dir] = append(l.dirs[dir], fs.FileInfoToDirEntry(info{e}))
		if known {
			return
		}
		name, e = dir, file{name: path.Base(dir), mode: fs.ModeDir | 0o755}
	}
}

// Prefetch reads what stands at or below the given paths: a few files one by one, eight at once, and many as an archive of
// the whole revision, if it is not large.
func (t *Tree) Prefetch(under ...string) error {
	var wanted []string
	for _, name := range t.paths {
		inside := slices.ContainsFunc(under, func(u string) bool { return u == "." || name == u || strings.HasPrefix(name, u+"/") })
		f := t.files[name]
		if inside && f.size <= maxBlob && t.forge.app.blobs.get(f.object) == nil {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) > fewFiles && t.total <= maxArchive || len(wanted) > someFiles && t.total <= smallArchive {
		return t.unpack()
	}
	reads, ctx := errgroup.WithContext(t.ctx)
	reads.SetLimit(readTogether)
	for _, name := range wanted {
		reads.Go(func() error {
			_, err := t.fetch(ctx, name)
			return err
		})
	}
	return reads.Wait()
}

// unpack reads all files of the revision with one request.
func (t *Tree) unpack() error {
	f := t.forge
	r, err := f.client.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/tarball/%s", f.owner, f.name, t.sha), nil)
	if err != nil {
		return f.wrap("archive", err)
	}
	var packed bytes.Buffer
	if _, err := f.client.Do(t.ctx, r, &packed); err != nil {
		return f.wrap("archive", err)
	}
	z, err := gzip.NewReader(&packed)
	if err != nil {
		return f.wrap("archive", err)
	}
	for in := tar.NewReader(io.LimitReader(z, 4*maxArchive)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return f.wrap("archive", err)
		}
		_, name, _ := strings.Cut(h.Name, "/") // owner-name-revision/
		one, known := t.files[name]
		if !known || h.Typeflag != tar.TypeReg || h.Size != one.size {
			continue // what attributes change in an archive is read by itself
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return f.wrap("archive", err)
		}
		if object(content) == one.object {
			f.app.blobs.put(one.object, content)
		}
	}
}

// ReadFile returns a file's content; for a symbolic link, the path it holds.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	f, ok := t.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if f.size > maxBlob {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.TooLarge, "%d bytes: more than the %d that a file of a decision may have", f.size, maxBlob)}
	}
	content, err := t.fetch(t.ctx, name)
	return bytes.Clone(content), err
}

func (t *Tree) fetch(ctx context.Context, name string) ([]byte, error) {
	o := t.files[name].object
	if content := t.forge.app.blobs.get(o); content != nil {
		return content, nil
	}
	content, _, err := t.forge.client.Git.GetBlobRaw(ctx, t.forge.owner, t.forge.name, o)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: t.forge.wrap(name, err)}
	}
	if content == nil {
		content = []byte{}
	}
	t.forge.app.blobs.put(o, content)
	return content, nil
}

// Stat describes a file or directory.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	if f, ok := t.files[name]; ok {
		return info{f}, nil
	}
	if _, ok := t.dirs[name]; ok {
		return info{file{name: path.Base(name), mode: fs.ModeDir | 0o755}}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists a directory by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, ok := t.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(entries), nil
}

// Open opens a file or directory for reading.
func (t *Tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	fi, err := t.Stat(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if fi.IsDir() {
		return &openDir{info: fi, rest: slices.Clone(t.dirs[name])}, nil
	}
	content, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: *bytes.NewReader(content), info: fi}, nil
}

type info struct{ file }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

type openFile struct {
	bytes.Reader
	info fs.FileInfo
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
		out := d.rest
		d.rest = nil
		return out, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out, nil
}

// blobs remembers contents by their git object id, the last used first to stay. Ids say what the content is, so one
// store serves all repositories: who knows the id of an object got it from a tree that he may read.
type blobs struct {
	mu    sync.Mutex
	size  int
	order *list.List // of blob, last used in front
	by    map[string]*list.Element
}

type blob struct {
	object  string
	content []byte
}

func newBlobs() *blobs { return &blobs{order: list.New(), by: map[string]*list.Element{}} }

func (b *blobs) get(object string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.by[object]
	if e == nil {
		return nil
	}
	b.order.MoveToFront(e)
	kept, _ := e.Value.(blob)
	return kept.content
}

func (b *blobs) put(object string, content []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by[object] != nil {
		return
	}
	if content == nil {
		content = []byte{}
	}
	b.by[object] = b.order.PushFront(blob{object, content})
	b.size += len(content)
	for b.size > maxKept && b.order.Len() > 1 {
		last := b.order.Back()
		old, _ := b.order.Remove(last).(blob)
		delete(b.by, old.object)
		b.size -= len(old.content)
	}
}

// trees remembers lists of paths by repository and revision.
type trees struct {
	mu    sync.Mutex
	order []string
	by    map[string]*listing
}

func newTrees() *trees { return &trees{by: map[string]*listing{}} }

func (t *trees) get(key string) *listing {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.by[key]
}

func (t *trees) put(key string, l *listing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[key] == nil {
		t.order = append(t.order, key)
	}
	t.by[key] = l
	for len(t.order) > maxTrees {
		delete(t.by, t.order[0])
		t.order = t.order[1:]
	}
}
