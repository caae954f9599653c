package labels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// Recorder is a tree that remembers a digest of everything that was asked of it, also of what is not there.
// It is safe for concurrent use.
type Recorder struct {
	tree fs.FS
	mu   sync.Mutex
	seen map[string]string // a question, such as "file a/b", to a digest of the answer
}

// NewRecorder remembers what is asked of a tree.
func NewRecorder(tree fs.FS) *Recorder { return &Recorder{tree: tree, seen: map[string]string{}} }

func (r *Recorder) note(kind, name, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[kind+" "+name] = digest
}

// Open implements fs.FS. Files are read whole.
func (r *Recorder) Open(name string) (fs.File, error) {
	info, err := r.Stat(name)
	if err != nil {
		return nil, err
	}
	f, err := r.tree.Open(name)
	if err != nil || info.IsDir() {
		return f, err
	}
	content, err := r.ReadFile(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{File: f, Reader: bytes.NewReader(content)}, nil
}

// file is an open file whose content is at hand.
type file struct {
	fs.File
	*bytes.Reader
}

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) { return f.Reader.Read(p) }

// ReadFile implements fs.ReadFileFS.
func (r *Recorder) ReadFile(name string) ([]byte, error) {
	content, err := fs.ReadFile(r.tree, name)
	r.note("file", name, fileDigest(content, err))
	return content, err
}

func fileDigest(content []byte, err error) string {
	if err != nil {
		return "none"
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Stat implements fs.StatFS.
func (r *Recorder) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(r.tree, name)
	r.note("stat", name, statDigest(info, err))
	return info, err
}

func statDigest(info fs.FileInfo, err error) string {
	if err != nil {
		return "none"
	}
	return info.Mode().String()
}

// ReadDir implements fs.ReadDirFS.
func (r *Recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.tree, name)
	r.note("dir", name, dirDigest(entries, err))
	return entries, err
}

func dirDigest(entries []fs.DirEntry, err error) string {
	if err != nil {
		return "none"
	}
	h := sha256.New()
	for _, e := range entries {
		_, _ = fmt.Fprintf(h, "%q %v\n", e.Name(), e.Type()) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// same reports whether a tree answers all questions as it did before.
func same(tree fs.FS, seen map[string]string) bool {
	for question, digest := range seen {
		kind, name := question[:4], question[4:]
		now := ""
		switch kind {
		case "file":
			content, err := fs.ReadFile(tree, name[1:])
			now = fileDigest(content, err)
		case "stat":
			info, err := fs.Stat(tree, name[1:])
			now = statDigest(info, err)
		case "dir ":
			entries, err := fs.ReadDir(tree, name)
			now = dirDigest(entries, err)
		}
		if now != digest {
			return false
		}
	}
	return true
}

var _ io.Reader = (*file)(nil)
