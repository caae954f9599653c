package star

import (
	"context"
	"io/fs"
	"sync"
)

// Files gives the modules of one tree, each loaded once. It is safe for concurrent use.
type Files struct {
	tree    fs.FS
	options Options

	mu      sync.Mutex
	modules map[string]*Module
}

// NewFiles prepares the Starlark of tree. o.Print may be called by several goroutines at once.
func NewFiles(tree fs.FS, o Options) *Files {
	return &Files{tree: tree, options: o, modules: map[string]*Module{}}
}

// Module loads the file at path, or gives it when it was loaded before.
func (f *Files) Module(ctx context.Context, path string) (*Module, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.modules[path]; ok {
		return m, nil
	}
	m, err := Load(ctx, f.tree, path, f.options)
	if err != nil {
		return nil, err
	}
	f.modules[path] = m
	return m, nil
}
