package graphdiff

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"
)

// recorder is a tree that remembers every path it was asked for: files read, directories listed, and what turned out
// not to be there. The digests that a result of the generator has tell of files alone.
type recorder struct {
	Tree
	mu     sync.Mutex
	asked  map[string]bool
	listed map[string]bool
}

func newRecorder(t Tree) *recorder {
	return &recorder{Tree: t, asked: map[string]bool{}, listed: map[string]bool{}}
}

func (r *recorder) note(in map[string]bool, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in[path.Clean(name)] = true
}

func (r *recorder) Open(name string) (fs.File, error) {
	r.note(r.asked, name)
	return r.Tree.Open(name)
}

func (r *recorder) ReadFile(name string) ([]byte, error) {
	r.note(r.asked, name)
	return r.Tree.ReadFile(name)
}

func (r *recorder) Stat(name string) (fs.FileInfo, error) {
	r.note(r.asked, name)
	return r.Tree.Stat(name)
}

func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	r.note(r.listed, name)
	return r.Tree.ReadDir(name)
}

func (r *recorder) seen() *inputs {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &inputs{asked: maps.Clone(r.asked), listed: maps.Clone(r.listed)}
}

// inputs are what a graph was made from.
type inputs struct{ asked, listed map[string]bool }

// any reports whether a graph made from these may differ when these files do. there tells whether both sides have a
// directory: one that comes or goes shows in the list of the one above.
func (in *inputs) any(changed []Change, there func(dir string) bool) bool {
	return slices.ContainsFunc(changed, func(c Change) bool {
		if in.asked[c.Path] {
			return true
		}
		for dir := path.Dir(c.Path); !c.Both; dir = path.Dir(dir) {
			if in.listed[dir] || in.asked[dir] && dir != "." {
				return true
			}
			if dir == "." || there(dir) {
				break
			}
		}
		return false
	})
}

// Known remembers what the graphs of bases were made from, so that a pull request that concerns none of it costs no
// graph. It is safe for concurrent use.
type Known struct {
	mu    sync.Mutex
	order []string
	by    map[string]*inputs
}

const maxKnown = 256

// NewKnown returns one that knows nothing.
func NewKnown() *Known { return &Known{by: map[string]*inputs{}} }

func (k *Known) get(key string) *inputs {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.by[key]
}

func (k *Known) put(key string, in *inputs) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by[key] == nil {
		k.order = append(k.order, key)
	}
	k.by[key] = in
	for len(k.order) > maxKnown {
		delete(k.by, k.order[0])
		k.order = k.order[1:]
	}
}
