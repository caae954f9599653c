package hg

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/treefs"
)

// unpack reads a directory with all below it from an archive; false when the server makes none, or when
// it holds more than may be kept.
func (t *Tree) unpack(ctx context.Context, dir string, left *budget) (bool, error) {
	if t.repo.noArchive.Load() {
		return false, nil
	}
	body, err := t.repo.get(ctx, "/archive/"+t.node+".tar.gz"+escaped(dir))
	if missing(err) {
		t.repo.noArchive.Store(true)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close()
	packed, err := gzip.NewReader(body)
	if err != nil {
		t.repo.noArchive.Store(true) // it answers with something else
		return false, nil            //nolint:nilerr // files come one by one then
	}
	a := &archive{dirs: map[string]map[string]treefs.Entry{dir: {}}, blobs: map[string][]byte{}}
	seen := 0
	for entries := tar.NewReader(packed); ; {
		h, err := entries.Next()
		if seen++; seen > maxEntries {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = a.add(dir, h, entries, left)
		}
		if errors.Is(err, errBudget) {
			return false, nil
		}
		if err != nil {
			return false, fault.Wrap(fault.Unavailable, err, "The archive of %s from the Mercurial server of %s is broken", dir, t.repo.url)
		}
	}
	for name, entries := range a.dirs {
		list := make([]treefs.Entry, 0, len(entries))
		for _, e := range entries {
			list = append(list, e)
		}
		t.keepDir(name, list)
	}
	for name, content := range a.blobs {
		t.keepBlob(name, content)
	}
	return true, nil
}

var errBudget = errors.New("more than may be kept")

// archive collects what stands in one.
type archive struct {
	dirs  map[string]map[string]treefs.Entry
	blobs map[string][]byte
}

// add takes an entry: its name begins with a directory of the archive's own.
func (a *archive) add(dir string, h *tar.Header, content io.Reader, left *budget) error {
	_, name, _ := strings.Cut(h.Name, "/")
	if !fs.ValidPath(name) || !strings.HasPrefix(name, dir+"/") {
		return nil
	}
	if len(name) > maxPath || strings.Count(name, "/") > maxDepth {
		return errBudget
	}
	mode, size := treefs.Plain, h.Size
	var blob []byte
	switch {
	case h.Typeflag == tar.TypeSymlink:
		blob = []byte(h.Linkname)
		mode, size = treefs.Symlink, int64(len(blob))
	case h.Typeflag != tar.TypeReg:
		return nil
	case h.Mode&0o111 != 0:
		mode = treefs.Executable
	}
	if !left.take(size) {
		return errBudget
	}
	if h.Typeflag == tar.TypeReg && h.Size <= maxFile {
		var err error
		if blob, err = io.ReadAll(content); err != nil {
			return err
		}
	}
	if size <= maxFile {
		a.blobs[name] = blob
	}
	e := treefs.File(path.Base(name), "", mode, size)
	for at := name; ; at, e = path.Dir(at), treefs.Directory(path.Base(path.Dir(at))) {
		above := path.Dir(at)
		if a.dirs[above] == nil {
			a.dirs[above] = map[string]treefs.Entry{}
		}
		a.dirs[above][e.Name()] = e
		if above == dir {
			return nil
		}
	}
}
