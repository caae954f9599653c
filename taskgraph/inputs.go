package taskgraph

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/target"
)

// recorder is a tree that remembers a digest of each file that was read, and of the names in each
// directory that was listed.
type recorder struct {
	tree         fs.FS
	mu           sync.Mutex
	read, listed map[string][sha256.Size]byte
}

func newRecorder(tree fs.FS) *recorder {
	return &recorder{tree: tree, read: map[string][sha256.Size]byte{}, listed: map[string][sha256.Size]byte{}}
}

// Open implements fs.FS. Files are read whole.
func (r *recorder) Open(name string) (fs.File, error) {
	f, err := r.tree.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	content, err := r.ReadFile(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &readFile{File: f, content: bytes.NewReader(content)}, nil
}

// maxFile bounds the files that a graph may be made from, in bytes.
const maxFile = 1 << 30

// ReadFile implements fs.ReadFileFS.
func (r *recorder) ReadFile(name string) ([]byte, error) {
	if info, err := fs.Stat(r.tree, name); err == nil && info.Size() > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d MB", name, maxFile>>20)
	}
	content, err := fs.ReadFile(r.tree, name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read[name] = sum
	return content, nil
}

// Stat implements fs.StatFS.
func (r *recorder) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.tree, name) }

// ReadDir implements fs.ReadDirFS.
func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.tree, name)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%q %v\n", e.Name(), e.IsDir())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed[name] = [sha256.Size]byte(h.Sum(nil))
	return entries, nil
}

// files are the names of what was read, sorted.
func (r *recorder) files() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.read))
}

// digests are the digests of what was read.
func (r *recorder) digests() map[string][sha256.Size]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.read)
}

// checkNames tells before any work what the configuration and the parameters name in vain.
func (g *generation) checkNames() error {
	for _, w := range append(slices.Clone(g.res.Config.Warnings), hookWarnings(g.res.Config)...) {
		g.warn.add(w)
	}
	return target.CheckFilters(g.in.Parameters, g.res.Config.Values)
}

// readFile is an open file whose content is at hand.
type readFile struct {
	fs.File
	content *bytes.Reader
}

func (f *readFile) Read(p []byte) (int, error) { return f.content.Read(p) }

// index is the finder of the input, with what it answers kept for the digest.
func (g *generation) index() optimize.IndexFinder {
	if g.in.Index == nil {
		return nil
	}
	return func(ctx context.Context, paths []string) (map[string]optimize.Found, error) {
		found, err := g.in.Index(ctx, paths)
		if err != nil {
			return nil, err
		}
		g.res.Index = found
		g.answer, err = json.Marshal(found)
		return found, err
	}
}

// digest is a digest of everything the result was made from: files, parameters, the index's
// answers, scripts and names.
func (g *generation) digest() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(g.tree.read)) {
		fmt.Fprintf(h, "file %q %x\n", name, g.tree.read[name])
	}
	for _, name := range slices.Sorted(maps.Keys(g.tree.listed)) {
		fmt.Fprintf(h, "directory %q %x\n", name, g.tree.listed[name])
	}
	names := []string{g.in.Root, g.in.RootURL, g.in.ProxyURL, g.in.DecisionTaskID, g.in.IDSeed, fmt.Sprint(g.in.Strict), fmt.Sprint(g.in.NoVerify, g.in.Fast), g.in.Now.UTC().String()}
	parameters, _ := g.in.Parameters.MarshalJSON() // checked values always have a form
	fmt.Fprintf(h, "parameters %s\nindex %s\nnames %q\nkinds %q\n", parameters, g.answer, names, g.in.TargetKinds)
	if g.res.History != nil {
		table, _ := g.res.History.Bytes() // a table always has a form
		fmt.Fprintf(h, "history %x\n", sha256.Sum256(table))
	}
	if g.in.Scripts != nil {
		for _, name := range []string{"run-task", "fetch-content"} {
			content, _ := fs.ReadFile(g.in.Scripts, name) // one that is not there counts as empty
			fmt.Fprintf(h, "script %s %x\n", name, sha256.Sum256(content))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// warnings collects warnings from several goroutines.
type warnings struct {
	mu   sync.Mutex
	list []*graph.Error
}

func (w *warnings) add(e *graph.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, e)
}

// sorted are the warnings by file, line and text, doubles left out.
func (w *warnings) sorted() []*graph.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.list)
	slices.SortFunc(out, func(a, b *graph.Error) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Error(), b.Error())
	})
	return slices.CompactFunc(out, func(a, b *graph.Error) bool { return a.Error() == b.Error() })
}

func (w *warnings) asError() error {
	var errs []error
	for _, e := range w.sorted() {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}
