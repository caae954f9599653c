package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/treeline-ci/treeline/workers/archive"
)

func file(t *testing.T, name string, content []byte) *os.File {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// extract unpacks content and lists what is there: path to content, or mode and target.
func extract(t *testing.T, name string, content []byte) (string, map[string]string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = archive.Extract(t.Context(), file(t, name, content), name, root)
	return dir, list(t, dir), err
}

func list(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			found[rel] = "-> " + target
			return err
		}
		b, err := os.ReadFile(name)
		info, _ := d.Info()
		found[rel] = strings.Repeat("x", int(info.Mode().Perm()>>6&1)) + string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// made is an archive that the machine's own programs made.
func made(t *testing.T, command string) []byte {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("sh", "-ec", `mkdir -p top/bin; echo hello >top/a.txt; printf '#!/bin/sh\n' >top/bin/run; chmod 755 top/bin/run; ln -s bin/run top/link; ln top/a.txt top/hard
`+command)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryKindOfArchiveIsUnpacked(t *testing.T) {
	want := map[string]string{"top/a.txt": "hello\n", "top/bin/run": "x#!/bin/sh\n", "top/link": "-> bin/run", "top/hard": "hello\n"}
	for name, command := range map[string]string{
		"x.tar": "tar cf - top", "x.tar.gz": "tar czf - top", "x.tgz": "tar czf - top", "x.tar.bz2": "tar cf - top | bzip2",
		"x.tar.xz": "tar cf - top | xz", "x.tar.zst": "tar cf - top | zstd -q", "X.TAR.ZST": "tar cf - top | zstd -q",
	} {
		_, got, err := extract(t, name, made(t, command))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func zipped(t *testing.T, entries ...*zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, h := range entries {
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(h.Comment)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entry(name string, mode fs.FileMode, content string) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Comment: content}
	h.SetMode(mode)
	return h
}

func TestAZipIsUnpackedWithModesAndLinks(t *testing.T) {
	content := zipped(t, entry("top/run", 0o755, "go"), entry("top/plain", 0o644, "p"), entry("link", 0o777|fs.ModeSymlink, "top/run"))
	_, got, err := extract(t, "x.zip", content)
	if diff := cmp.Diff(map[string]string{"top/run": "xgo", "top/plain": "p", "link": "-> top/run"}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func tarred(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len("content"))
		}
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte("content")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNothingIsWrittenOutsideTheDirectory(t *testing.T) {
	for name, content := range map[string][]byte{
		"a name that climbs":        tarred(t, tar.Header{Typeflag: tar.TypeReg, Name: "../evil"}),
		"one that climbs in middle": tarred(t, tar.Header{Typeflag: tar.TypeReg, Name: "a/../../evil"}),
		"a link and a file behind":  tarred(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: ".."}, tar.Header{Typeflag: tar.TypeReg, Name: "a/evil"}),
		"an absolute link":          tarred(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: os.TempDir()}, tar.Header{Typeflag: tar.TypeReg, Name: "a/evil"}),
		"a hard link out":           tarred(t, tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "../../secret"}),
	} {
		dir, _, err := extract(t, "x.tar", content)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		for _, out := range []string{filepath.Dir(dir), os.TempDir()} {
			if _, err := os.Lstat(filepath.Join(out, "evil")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: wrote outside: %v", name, err)
			}
		}
	}
	dir, _, err := extract(t, "x.zip", zipped(t, entry("../evil", 0o644, "x")))
	if _, serr := os.Lstat(filepath.Join(filepath.Dir(dir), "evil")); err == nil || serr == nil {
		t.Errorf("zip: %v %v", err, serr)
	}
	// What begins at the root begins at the directory.
	if _, got, err := extract(t, "x.tar", tarred(t, tar.Header{Typeflag: tar.TypeReg, Name: "/etc/evil"})); err != nil || got["etc/evil"] != "content" {
		t.Errorf("%v %v", got, err)
	}
}

func TestAnArchiveIsPackedAnewWithOtherNames(t *testing.T) {
	in := file(t, "x.tar.gz", made(t, "tar czf - top"))
	var out bytes.Buffer
	if err := archive.Repack(t.Context(), in, "x.tar.gz", &out, archive.Renaming{Strip: 1, Prefix: "new/"}); err != nil {
		t.Fatal(err)
	}
	_, got, err := extract(t, "y.tar.zst", out.Bytes())
	want := map[string]string{"new/a.txt": "hello\n", "new/bin/run": "x#!/bin/sh\n", "new/link": "-> bin/run", "new/hard": "hello\n"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	in = file(t, "x.tar", made(t, "tar cf - top"))
	if err := archive.Repack(t.Context(), in, "x.tar", &bytes.Buffer{}, archive.Renaming{Strip: 2}); err == nil || !strings.Contains(err.Error(), "would remove the file top/") {
		t.Errorf("%v", err)
	}
}

func TestTheSameFilesGiveTheSameArchive(t *testing.T) {
	var packed [2]bytes.Buffer
	for i := range packed {
		dir := t.TempDir()
		for _, name := range []string{"b", "a", "sub/c"}[i:] {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 { // in another order
			if err := os.WriteFile(filepath.Join(dir, "b"), []byte("b"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := archive.Pack(t.Context(), dir, "p", &packed[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packed[0].Bytes(), packed[1].Bytes()) {
		t.Error("two archives of the same files differ")
	}
	_, got, err := extract(t, "x.tar.zst", packed[0].Bytes())
	if diff := cmp.Diff(map[string]string{"p/a": "a", "p/b": "b", "p/sub/c": "sub/c"}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestBrokenArchivesAreErrors(t *testing.T) {
	whole := made(t, "tar cf - top | xz")
	for name, content := range map[string][]byte{
		"x.tar.xz": whole[:len(whole)/2], "x.tar.gz": []byte("no gzip"), "x.zip": []byte("no zip"), "x.tar.zst": []byte("no zstd"), "x.txt": []byte("text"),
	} {
		if _, _, err := extract(t, name, content); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := archive.Extract(ctx, file(t, "x.tar", made(t, "tar cf - top")), "x.tar", root); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzExtract(f *testing.F) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		f.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, h := range []tar.Header{{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "../.."}, {Typeflag: tar.TypeReg, Name: "a/b"}} {
		if err := w.WriteHeader(&h); err != nil {
			f.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), "x.tar.zst")
	f.Add([]byte("PK\x05\x06"), "x.zip")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		if archive.Kind(name) == "xz" {
			return // another program
		}
		above := t.TempDir()
		dir := filepath.Join(above, "out")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_ = archive.Extract(t.Context(), file(t, "in", content), name, root) // any error is right
		if entries, err := os.ReadDir(above); err != nil || len(entries) != 1 {
			t.Errorf("%v %v", entries, err)
		}
	})
}
