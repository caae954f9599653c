package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/tools/licences"
)

// entry is a file of an archive.
type entry struct {
	name string // in the archive
	mode fs.FileMode
	body []byte
}

// documents are the files of the checkout that every archive has.
var documents = []string{"LICENSE", "README.md", "CHANGELOG.md"}

// pack puts a program with its documents into an archive: .zip for Windows, .tar.gz for others.
func (r *release) pack(b binary) error {
	text, err := os.ReadFile(b.file)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%s", r.base(), b.platform.OS, b.platform.Arch)
	entries := []entry{{name: filepath.Base(b.file), mode: 0o755, body: text}}
	for _, d := range documents {
		text, err := os.ReadFile(filepath.Join(r.root, d))
		if err != nil {
			return err
		}
		entries = append(entries, entry{name: d, mode: 0o644, body: text})
	}
	var notices bytes.Buffer
	if err := licences.Notices(&notices, "Treeline "+r.version, b.modules); err != nil {
		return err
	}
	entries = append(entries, entry{name: "THIRD_PARTY_NOTICES", mode: 0o644, body: notices.Bytes()})
	if b.platform.OS == "linux" {
		units, err := directory(filepath.Join(r.root, "deploy", "systemd"), "systemd")
		if err != nil {
			return err
		}
		entries = append(entries, units...)
	}
	if b.platform.OS == "windows" {
		return writeFile(filepath.Join(r.out, name+".zip"), func(w io.Writer) error { return writeZip(w, name, entries, r.time) })
	}
	return writeFile(filepath.Join(r.out, name+".tar.gz"), func(w io.Writer) error { return writeTar(w, name, entries, r.time) })
}

// packChart packs the chart of Helm as "helm package" does, with the version of the release.
func (r *release) packChart() error {
	entries, err := directory(filepath.Join(r.root, "deploy", "helm", "treeline"), "")
	if err != nil {
		return err
	}
	version := strings.TrimPrefix(r.version, "v")
	for i, e := range entries {
		if e.name == "Chart.yaml" {
			entries[i].body = stamped(e.body, version)
		}
	}
	name := fmt.Sprintf("%s-chart-%s.tgz", program, r.version)
	return writeFile(filepath.Join(r.out, name), func(w io.Writer) error { return writeTar(w, program, entries, r.time) })
}

// stamped writes a version into a Chart.yaml, as the chart's and the program's.
func stamped(chart []byte, version string) []byte {
	var out []string
	for line := range strings.Lines(string(chart)) {
		switch {
		case strings.HasPrefix(line, "version:"):
			line = "version: " + version + "\n"
		case strings.HasPrefix(line, "appVersion:"):
			line = "appVersion: v" + version + "\n"
		}
		out = append(out, line)
	}
	return []byte(strings.Join(out, ""))
}

// directory reads all files below a directory, by their names there.
func directory(dir, prefix string) ([]entry, error) {
	var entries []entry
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		entries = append(entries, entry{name: path.Join(prefix, filepath.ToSlash(rel)), mode: 0o644, body: body})
		return err
	})
	return entries, err
}

// writeFile writes a file that is there whole or not at all.
func writeFile(name string, fill func(io.Writer) error) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), name)
}

// inOrder sorts by name: what the file system lists first does not matter.
func inOrder(entries []entry) []entry {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries
}

// writeTar writes a .tar.gz whose bytes depend on the entries and the time alone.
func writeTar(w io.Writer, prefix string, entries []entry, at time.Time) error {
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := tar.NewWriter(zipped)
	for _, e := range inOrder(entries) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Join(prefix, e.name), Mode: int64(e.mode), Size: int64(len(e.body)), ModTime: at, Format: tar.FormatPAX, Uname: "root", Gname: "root"}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := out.Write(e.body); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zipped.Close())
}

// writeZip writes a .zip whose bytes depend on the entries and the time alone.
func writeZip(w io.Writer, prefix string, entries []entry, at time.Time) error {
	out := zip.NewWriter(w)
	for _, e := range inOrder(entries) {
		h := &zip.FileHeader{Name: path.Join(prefix, e.name), Method: zip.Deflate, Modified: at}
		h.SetMode(e.mode)
		f, err := out.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(e.body); err != nil {
			return err
		}
	}
	return out.Close()
}
