package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Renaming says what becomes of the names in an archive that is packed anew.
type Renaming struct {
	Strip  int    // so many leading directories are dropped
	Prefix string // is put in front then
}

func (r Renaming) name(name string) (string, error) {
	clean, err := local(name)
	if err != nil {
		return "", err
	}
	parts := strings.Split(clean, "/")
	if len(parts) <= r.Strip || clean == "." {
		return "", nil
	}
	return r.Prefix + strings.Join(parts[r.Strip:], "/"), nil
}

// Repack writes the entries of the archive in file as a .tar.zst with other names. A file, in contrast to a
// directory, whose whole name would be stripped is an error. Owners become 0.
func Repack(ctx context.Context, file *os.File, name string, out io.Writer, r Renaming) error {
	return pack(out, func(w *tar.Writer) error {
		return each(ctx, file, name, func(h *tar.Header, content io.Reader) error {
			to, err := r.name(h.Name)
			if err != nil {
				return err
			}
			if to == "" {
				if h.Typeflag == tar.TypeDir {
					return nil
				}
				return fmt.Errorf("stripping %d components would remove the file %s", r.Strip, h.Name)
			}
			next := &tar.Header{Typeflag: h.Typeflag, Name: to, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, ModTime: h.ModTime}
			switch h.Typeflag {
			case tar.TypeDir:
				next.Name += "/"
			case tar.TypeLink:
				if next.Linkname, err = r.name(h.Linkname); err != nil {
					return err
				}
			case tar.TypeReg, tar.TypeSymlink:
			default:
				return nil
			}
			if err := w.WriteHeader(next); err != nil || h.Typeflag != tar.TypeReg {
				return err
			}
			_, err = io.Copy(w, content)
			return err
		})
	})
}

// Pack writes the files below dir, in the order of their names and without times and owners, as a .tar.zst
// whose names begin with prefix: the same files give the same bytes.
func Pack(ctx context.Context, dir, prefix string, out io.Writer) error {
	return pack(out, func(w *tar.Writer) error {
		return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			return packFile(w, name, path.Join(prefix, filepath.ToSlash(rel)), d)
		})
	})
}

func packFile(w *tar.Writer, file, as string, d fs.DirEntry) (err error) {
	if as == "." {
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.IsDir() || info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	next := &tar.Header{Typeflag: h.Typeflag, Name: as, Linkname: target, Size: h.Size, Mode: mode, ModTime: time.Unix(0, 0)}
	if info.IsDir() {
		next.Name += "/"
	}
	if err := w.WriteHeader(next); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(w, f)
	return err
}

func pack(out io.Writer, fill func(*tar.Writer) error) error {
	z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	if err := fill(w); err != nil {
		return errors.Join(err, z.Close())
	}
	return errors.Join(w.Close(), z.Close())
}
