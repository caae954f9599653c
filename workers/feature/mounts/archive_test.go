package mounts

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/treeline-ci/treeline/workers/scratch"
)

// entry is one entry of an archive under test.
type entry struct {
	name, link, text string
	kind             byte
}

func tarOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o755, Size: int64(len(e.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pressed(t *testing.T, w io.WriteCloser, b *bytes.Buffer, data []byte) []byte {
	t.Helper()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpackInto(t *testing.T, format string, data []byte) (work string, err error) {
	t.Helper()
	d, err := scratch.Make(t.TempDir(), "run", nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return d.Work(), unpack(d, f, format, "below")
}

func TestUnpack(t *testing.T) {
	files := []entry{{name: "d/", kind: tar.TypeDir}, {name: "d/f", text: "text"}}
	plain := tarOf(t, files)
	var zipped, squeezed bytes.Buffer
	gz := pressed(t, gzip.NewWriter(&zipped), &zipped, plain)
	encoder, err := zstd.NewWriter(&squeezed)
	if err != nil {
		t.Fatal(err)
	}
	zst := pressed(t, encoder, &squeezed, plain)
	for format, data := range map[string][]byte{"tar": plain, "tar.gz": gz, "tar.zst": zst, "zip": zipOf(t, files[1:])} {
		t.Run(format, func(t *testing.T) {
			work, err := unpackInto(t, format, data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(work, "below", "d", "f")); err != nil || string(got) != "text" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestUnpackStaysInside(t *testing.T) {
	outside := t.TempDir()
	for _, c := range []struct {
		name, format string
		data         []byte
	}{
		{"a name that climbs", "tar", tarOf(t, []entry{{name: "../../evil", text: "x"}})},
		{"a zip name that climbs", "zip", zipOf(t, []entry{{name: "../../evil", text: "x"}})},
		{"a file through a link out", "tar", tarOf(t, []entry{{name: "l", link: outside, kind: tar.TypeSymlink}, {name: "l/evil", text: "x"}})},
		{"a file over a link to a file", "tar", tarOf(t, []entry{{name: "l", link: filepath.Join(outside, "evil"), kind: tar.TypeSymlink}, {name: "l", text: "x"}})},
		{"a hard link to what a link shows", "tar", tarOf(t, []entry{{name: "l", link: "/etc", kind: tar.TypeSymlink}, {name: "h", link: "l/passwd", kind: tar.TypeLink}})},
		{"no archive at all", "tar.gz", []byte("text")},
		{"no known format", "rar", []byte("text")},
	} {
		t.Run(c.name, func(t *testing.T) {
			work, err := unpackInto(t, c.format, c.data)
			if err == nil {
				t.Error("it was unpacked")
			}
			for _, name := range []string{filepath.Join(outside, "evil"), filepath.Join(filepath.Dir(work), "evil"), filepath.Join(work, "below", "h")} {
				if _, err := os.Lstat(name); err == nil {
					t.Errorf("%s was made", name)
				}
			}
		})
	}
}
