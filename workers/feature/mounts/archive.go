package mounts

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/treeline-ci/treeline/workers/scratch"
)

// Limits of one mount.
const (
	maxContent = 64 << 30 // bytes, unpacked
	maxEntries = 2_000_000
)

// decompress returns a reader of the content of a compressed file; "" is no compression.
func decompress(r io.Reader, format string) (io.Reader, error) {
	switch format {
	case "":
		return r, nil
	case "gz":
		return gzip.NewReader(r)
	case "bz2":
		return bzip2.NewReader(r), nil
	case "zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("format %q is not known", format)
}

// unpack puts an archive's files below directory.
func unpack(dir *scratch.Dir, file *os.File, format, directory string) error {
	if format == "zip" {
		return unzip(dir, file, directory)
	}
	compression, ok := strings.CutPrefix(format, "tar")
	if !ok {
		return fmt.Errorf("format %q is not known", format)
	}
	plain, err := decompress(file, strings.TrimPrefix(compression, "."))
	if err != nil {
		return err
	}
	u := unpacker{dir: dir, below: directory}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.tarEntry(header, archive); err != nil {
			return err
		}
	}
}

func unzip(dir *scratch.Dir, file *os.File, directory string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(file, info.Size())
	if err != nil {
		return err
	}
	u := unpacker{dir: dir, below: directory}
	for _, entry := range archive.File {
		if entry.FileInfo().IsDir() {
			if err := u.directory(entry.Name); err != nil {
				return err
			}
			continue
		}
		content, err := entry.Open()
		if err != nil {
			return err
		}
		err = u.file(entry.Name, entry.Mode(), content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}

// unpacker writes entries within its limits. Names that lead out of the directory are errors, by
// themselves or through links: the scratch directory's root sees to the latter.
type unpacker struct {
	dir     *scratch.Dir
	below   string
	entries int
	bytes   int64
}

func (u *unpacker) place(name string) (string, error) {
	if u.entries++; u.entries > maxEntries {
		return "", fmt.Errorf("the archive has more than %d entries", maxEntries)
	}
	clean := path.Clean(strings.TrimPrefix(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("entry %q leads out of the directory", name)
	}
	return path.Join(u.below, clean), nil
}

func (u *unpacker) tarEntry(h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(h.Name)
	case tar.TypeReg:
		return u.file(h.Name, h.FileInfo().Mode(), content)
	case tar.TypeSymlink:
		place, err := u.place(h.Name)
		if err != nil {
			return err
		}
		return u.dir.Link(h.Linkname, place)
	case tar.TypeLink:
		return u.hardLink(h)
	}
	return nil // devices and the like are nothing for a task
}

func (u *unpacker) hardLink(h *tar.Header) error {
	place, err := u.place(h.Name)
	if err != nil {
		return err
	}
	target, err := u.place(h.Linkname)
	if err != nil {
		return err
	}
	if err := u.dir.MakeParents(place); err != nil {
		return err
	}
	return u.dir.Root().Link(target, place)
}

func (u *unpacker) directory(name string) error {
	place, err := u.place(name)
	if err != nil {
		return err
	}
	return u.dir.MakeAll(place)
}

func (u *unpacker) file(name string, mode os.FileMode, content io.Reader) error {
	place, err := u.place(name)
	if err != nil {
		return err
	}
	counted := &counter{r: content}
	err = u.dir.WriteFile(place, mode|0o600, counted, maxContent-u.bytes)
	u.bytes += counted.n
	return err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
