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
)

// Extract unpacks the archive in file, whose kind its name says, below dir. Entries that lead out of dir,
// by their names or through links, are errors; device files are left out. Existing files are replaced.
func Extract(ctx context.Context, file *os.File, name string, dir *os.Root) error {
	return each(ctx, file, name, func(h *tar.Header, content io.Reader) error {
		place, err := local(h.Name)
		if err != nil || place == "." {
			return err
		}
		if err := put(dir, place, h, content); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		return nil
	})
}

// ExtractTar unpacks a plain tar below dir as Extract does, at most limit bytes of content (0: no limit but
// that of every archive).
func ExtractTar(ctx context.Context, r io.Reader, dir *os.Root, most int64) error {
	l := &limit{}
	var total int64
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = l.count(h.Size)
		}
		if err == nil {
			if total += h.Size; most > 0 && total > most {
				err = fmt.Errorf("more than %d bytes", most)
			}
		}
		if err == nil {
			var place string
			if place, err = local(h.Name); err == nil && place != "." {
				err = put(dir, place, h, in)
			}
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("archive: %w", err)
		}
	}
}

func put(dir *os.Root, place string, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		return dir.MkdirAll(place, 0o755)
	}
	if err := dir.MkdirAll(path.Dir(place), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
		if err := dir.Remove(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return putFile(dir, place, h, content)
	case tar.TypeSymlink:
		return dir.Symlink(h.Linkname, place) // nothing is written through it: dir follows no link that leads out
	case tar.TypeLink:
		target, err := local(h.Linkname)
		if err != nil {
			return err
		}
		return dir.Link(target, place)
	}
	return nil
}

func putFile(dir *os.Root, place string, h *tar.Header, content io.Reader) (err error) {
	mode := h.FileInfo().Mode().Perm()
	f, err := dir.OpenFile(place, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(content, h.Size))
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = f.Chmod(mode | 0o600) // whatever the umask
	}
	return err
}
