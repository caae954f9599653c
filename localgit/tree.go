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
	"strconv"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/treefs"
)

// maxBlob bounds a file read from a tree, in bytes: nothing that describes work is larger.
const maxBlob = 16 << 20

// Tree is the tree of one revision as a file system: the list of paths is read at once, contents
// when asked for. It implements fs.FS, fs.ReadFileFS, fs.ReadDirFS and fs.StatFS, is safe for
// concurrent use, and lives as long as the context it was made with.
type Tree struct {
	ctx  context.Context // reads outlast Tree's call but not the decision it belongs to
	repo *Repo
	list *treefs.List

	mu    sync.Mutex
	blobs map[string][]byte // by object id: what Prefetch has read
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
	t := &Tree{ctx: ctx, repo: r, list: treefs.NewList(), blobs: map[string][]byte{}}
	for _, record := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		t.add(record)
	}
	t.list.Sort()
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
	t.list.Add(name, treefs.File(path.Base(name), field[2], treefs.GitMode(field[0]), size))
}

// Paths returns all file paths, sorted. The caller must not change the list.
func (t *Tree) Paths() []string { return t.list.Paths }

// ReadFile returns a file's content; for a symbolic link, the path it holds.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, ok := t.list.Files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if e.Size() > maxBlob {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fault.New(fault.TooLarge, "%d bytes: more than the %d that a file of a decision may have", e.Size(), maxBlob)}
	}
	t.mu.Lock()
	blob, ok := t.blobs[e.Object()]
	t.mu.Unlock()
	if ok {
		return bytes.Clone(blob), nil
	}
	out, err := t.repo.git(t.ctx, "cat-file", "blob", e.Object())
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return []byte(out), nil
}

// Prefetch reads the files at or below the given paths with one git process, so that a graph of
// many small files costs one start of git and not one each.
func (t *Tree) Prefetch(under ...string) error {
	var wanted []string
	for _, name := range t.list.Under(under...) {
		if e := t.list.Files[name]; e.Size() <= maxBlob {
			wanted = append(wanted, e.Object())
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
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.list.Stat(name) }

// ReadDir lists a directory by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) { return t.list.ReadDir(name) }

// Open opens a file or directory for reading.
func (t *Tree) Open(name string) (fs.File, error) { return t.list.Open(name, t.ReadFile) }
