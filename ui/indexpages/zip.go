package indexpages

import (
	"archive/zip"
	"errors"
	"io"
)

// Limits of a listing: of entries shown, and of bytes read for it.
const (
	maxEntries = 1000
	maxListing = 16 << 20
)

// archive is what is in a zip file.
type archive struct {
	Files []archived
	Total int
	Bytes int64 // unpacked, as the file says
	Cut   bool
}

type archived struct {
	Name string
	Size int64
	Dir  bool
}

// frugal reads at places of a content, up to a number of bytes altogether.
type frugal struct {
	body io.ReadSeeker
	left int64
}

var errTooMuch = errors.New("the directory of the archive is too long to be listed")

// ReadAt implements io.ReaderAt, for one reader at a time.
func (f *frugal) ReadAt(p []byte, at int64) (int, error) {
	if f.left -= int64(len(p)); f.left < 0 {
		return 0, errTooMuch
	}
	if _, err := f.body.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(f.body, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// listZip lists what is in an archive without unpacking any of it. Its errors are sentences for people.
func listZip(body io.ReadSeeker, size int64) (*archive, error) {
	r, err := zip.NewReader(&frugal{body, maxListing}, size)
	switch {
	case errors.Is(err, errTooMuch):
		return nil, errors.New("There are too many files in it to list them here; download it.") //nolint:staticcheck // shown to people
	case err != nil && !errors.Is(err, zip.ErrInsecurePath):
		return nil, errors.New("It is called an archive and cannot be read as one.") //nolint:staticcheck // shown to people
	}
	out := &archive{Total: len(r.File)}
	for _, f := range r.File {
		out.Bytes += int64(min(f.UncompressedSize64, 1<<50))
		if len(out.Files) < maxEntries {
			out.Files = append(out.Files, archived{f.Name, int64(min(f.UncompressedSize64, 1<<50)), f.FileInfo().IsDir()})
		}
	}
	out.Cut = out.Total > len(out.Files)
	return out, nil
}
