// Package archive reads and writes the archives that tasks exchange: tar, plain or compressed with
// gzip, bzip2, xz or zstd, and zip. What is unpacked stays below its directory, whatever the names
// and links in the archive say, and within limits.
package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Limits of one archive, unpacked.
const (
	maxBytes   = 64 << 30
	maxEntries = 2_000_000
	maxMemory  = 1 << 30 // of the zstd decoder
)

// suffixes are the kinds of archive by the ends of their names.
func suffixes() []struct{ end, kind string } {
	return []struct{ end, kind string }{
		{".tar", "tar"}, {".tar.gz", "gz"}, {".tgz", "gz"}, {".tar.bz2", "bz2"}, {".tbz2", "bz2"}, {".tar.xz", "xz"}, {".txz", "xz"},
		{".tar.zst", "zst"}, {".tzst", "zst"}, {".zip", "zip"}, {".whl", "zip"},
	}
}

// Kind is what kind of archive a file is, by its name: "tar", "gz", "bz2", "xz", "zst" (compressed tars),
// "zip", or "" for none.
func Kind(name string) string {
	for _, s := range suffixes() {
		if strings.HasSuffix(strings.ToLower(name), s.end) {
			return s.kind
		}
	}
	return ""
}

// Decompress returns a reader of the plain content; kind is one that Kind returns, of a compressed tar. Close
// ends the program that xz needs.
func Decompress(ctx context.Context, r io.Reader, kind string) (io.ReadCloser, error) {
	switch kind {
	case "tar":
		return io.NopCloser(r), nil
	case "gz":
		return gzip.NewReader(r)
	case "bz2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case "zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxMemory))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "xz":
		return unxz(ctx, r)
	}
	return nil, fmt.Errorf("archive: %q is no compression of a tar", kind)
}

// xz is the running program that decompresses; Go's library cannot.
type xz struct {
	io.Reader
	cmd  *exec.Cmd
	errs *bytes.Buffer
	done bool
}

func unxz(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	x := &xz{errs: &bytes.Buffer{}, cmd: exec.CommandContext(ctx, "xz", "-dc")}
	x.cmd.Stdin, x.cmd.Stderr = r, x.errs
	out, err := x.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	x.Reader = out
	if err := x.cmd.Start(); err != nil {
		return nil, fmt.Errorf("archive: the program xz is needed to unpack this: %w", err)
	}
	return x, nil
}

// Read turns a failure of the program into an error at the end of what it gave.
func (x *xz) Read(p []byte) (int, error) {
	n, err := x.Reader.Read(p)
	if errors.Is(err, io.EOF) && !x.done {
		x.done = true
		if werr := x.cmd.Wait(); werr != nil {
			return n, fmt.Errorf("archive: xz: %w: %s", werr, strings.TrimSpace(x.errs.String()))
		}
	}
	return n, err
}

// Close ends the program.
func (x *xz) Close() error {
	if x.done {
		return nil
	}
	x.done = true
	_ = x.cmd.Process.Kill() // what it still had to say is not wanted
	_ = x.cmd.Wait()
	return nil
}

// each calls see with each entry of the archive in file; entries of a zip are described as those of a tar.
func each(ctx context.Context, file *os.File, name string, see func(*tar.Header, io.Reader) error) error {
	kind := Kind(name)
	if kind == "zip" {
		return eachOfZip(ctx, file, see)
	}
	if kind == "" {
		return fmt.Errorf("archive: %s is no archive by its name; known are .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst, .zip", name)
	}
	plain, err := Decompress(ctx, file, kind)
	if err != nil {
		return fmt.Errorf("archive: %s: %w", name, err)
	}
	defer plain.Close()
	l := &limit{}
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = l.count(h.Size)
		}
		if err == nil {
			err = see(h, in)
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("archive: %s: %w", name, err)
		}
	}
}

// limit refuses archives that are bombs.
type limit struct {
	entries int
	bytes   int64
}

func (l *limit) count(size int64) error {
	l.entries++
	l.bytes += max(size, 0)
	if l.entries > maxEntries || l.bytes > maxBytes {
		return fmt.Errorf("has more than %d entries or %d GB", maxEntries, maxBytes>>30)
	}
	return nil
}

func eachOfZip(ctx context.Context, file *os.File, see func(*tar.Header, io.Reader) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	in, err := zip.NewReader(file, info.Size())
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	l := &limit{}
	for _, f := range in.File {
		if err := errors.Join(ctx.Err(), l.count(int64(min(f.UncompressedSize64, 1<<62)))); err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		if err := zipEntry(f, see); err != nil {
			return fmt.Errorf("archive: %s: %w", f.Name, err)
		}
	}
	return nil
}

// maxLink bounds the target of a symbolic link.
const maxLink = 4096

func zipEntry(f *zip.File, see func(*tar.Header, io.Reader) error) (err error) {
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	h := &tar.Header{Name: f.Name, Mode: int64(f.Mode().Perm()), ModTime: f.Modified, Typeflag: tar.TypeReg, Size: int64(f.UncompressedSize64)}
	switch {
	case f.Mode().IsDir() || strings.HasSuffix(f.Name, "/"):
		h.Typeflag, h.Size = tar.TypeDir, 0
	case f.Mode()&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(content, maxLink))
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, string(target), 0
	case f.Mode().Perm() == 0: // made where there are no modes
		h.Mode = 0o644
	}
	return see(h, content)
}

// local cleans the name of an entry and refuses one that leads out.
func local(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
		return "", fmt.Errorf("entry %q leads out of the directory", name)
	}
	return clean, nil
}
