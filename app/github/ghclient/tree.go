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

	"github.com/google/go-github/v60/github"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/treefs"
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
	list  *treefs.List
	total int64 // bytes of all files
}

// fullRevision is a revision that never means anything else.
var fullRevision = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Tree reads the list of paths of a revision: one request, or none when it was read before.
func (f *Forge) Tree(ctx context.Context, revision string) (*Tree, error) {
	if l := f.app.trees.get(f.owner + "/" + f.name + "@" + revision); l != nil {
		return &Tree{ctx: ctx, forge: f, sha: revision, listing: l}, nil
	}
	l := &listing{list: treefs.NewList()}
	if err := f.read(ctx, l, revision, ""); err != nil {
		return nil, err
	}
	l.list.Sort()
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
		if len(l.list.Paths) >= maxPaths {
			return fault.New(fault.TooLarge, "the repository has more than %d files", maxPaths)
		}
		one := treefs.File(path.Base(name), e.GetSHA(), treefs.GitMode(e.GetMode()), int64(e.GetSize()))
		l.list.Add(name, one)
		l.total += one.Size()
	}
	return nil
}

// Prefetch reads what stands at or below the given paths: a few files one by one, eight at once, and many as an archive of
// the whole revision, if it is not large.
func (t *Tree) Prefetch(under ...string) error {
	var wanted []string
	names := t.list.Paths
	if !slices.Contains(under, ".") {
		names = t.list.Under(under...)
	}
	for _, name := range names {
		if f := t.list.Files[name]; f.Size() <= maxBlob && t.forge.app.blobs.get(f.Object()) == nil {
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
		one, known := t.list.Files[name]
		if !known || h.Typeflag != tar.TypeReg || h.Size != one.Size() {
			continue // what attributes change in an archive is read by itself
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return f.wrap("archive", err)
		}
		if object(content) == one.Object() {
			f.app.blobs.put(one.Object(), content)
		}
	}
}

// ReadFile returns a file's content; for a symbolic link, the path it holds.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	f, ok := t.list.Files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if f.Size() > maxBlob {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.TooLarge, "%d bytes: more than the %d that a file of a decision may have", f.Size(), maxBlob)}
	}
	content, err := t.fetch(t.ctx, name)
	return bytes.Clone(content), err
}

func (t *Tree) fetch(ctx context.Context, name string) ([]byte, error) {
	o := t.list.Files[name].Object()
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
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.list.Stat(name) }

// ReadDir lists a directory by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) { return t.list.ReadDir(name) }

// Open opens a file or directory for reading.
func (t *Tree) Open(name string) (fs.File, error) { return t.list.Open(name, t.ReadFile) }

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

// Difference is a file that differs between two trees.
type Difference struct {
	Path string
	Both bool // both trees have it
}

// Differs returns the files of t and of another tree whose content or mode is not the same, sorted. It reads nothing.
func (t *Tree) Differs(from *Tree) []Difference {
	var out []Difference
	for _, name := range t.list.Paths {
		old, there := from.list.Files[name]
		if f := t.list.Files[name]; !there || old.Object() != f.Object() || old.Mode() != f.Mode() {
			out = append(out, Difference{Path: name, Both: there})
		}
	}
	for _, name := range from.list.Paths {
		if _, there := t.list.Files[name]; !there {
			out = append(out, Difference{Path: name})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return out
}
