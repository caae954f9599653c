package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/tools/licences"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// small is a checkout of a program that is built in no time, with pages, a chart and a unit.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module github.com/treeline-ci/treeline\n\ngo 1.26\n")
	write(t, dir, "internal/build/build.go", "package build\n\nvar released string\n\nfunc Version() string { return released }\n")
	write(t, dir, "cmd/treeline/main.go", "package main\n\nimport \"github.com/treeline-ci/treeline/internal/build\"\n\nfunc main() { println(build.Version()) }\n")
	write(t, dir, "ui/dist/app.js", "1")
	write(t, dir, "ui/src/package-lock.json", `{"packages": {"node_modules/@a/b": {"version": "1.0.0", "integrity": "sha512-AAAA", "license": "MIT"}}}`)
	write(t, dir, "ui/src/node_modules/@a/b/LICENSE", "Permission is hereby granted, free of charge, to any person obtaining a copy. The above copyright notice")
	for _, d := range documents {
		write(t, dir, d, d+"\n")
	}
	write(t, dir, "deploy/systemd/treeline.service", "[Service]\n")
	write(t, dir, "deploy/helm/treeline/Chart.yaml", "name: treeline\nversion: 0.0.0\nappVersion: v0.0.0\n")
	git := func(args ...string) {
		t.Helper()
		if _, err := command(t.Context(), dir, []string{"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z"}, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet")
	git("add", ".")
	git("-c", "user.name=r", "-c", "user.email=r@example.com", "commit", "--quiet", "--message", "first")
	git("-c", "user.name=r", "-c", "user.email=r@example.com", "tag", "-a", "-m", "one", "v1.2.3")
	return dir
}

func TestAReleaseIsTheSameBytesTwice(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	here := []licences.Platform{platforms[0], platforms[4]}
	var outs []string
	for range 2 {
		out := filepath.Join(t.TempDir(), "dist")
		r, err := describe(t.Context(), small(t), out, here)
		if err != nil {
			t.Fatal(err)
		}
		if r.version != "v1.2.3" || !r.time.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Fatalf("%s of %s", r.version, r.time)
		}
		if err := r.make(t.Context()); err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
	}
	if err := compare(outs[0], outs[1]); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(outs[0], "THIRD_PARTY_NOTICES"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compare(outs[0], outs[1]); err == nil || !strings.Contains(err.Error(), "THIRD_PARTY_NOTICES differs") {
		t.Errorf("a file was changed: %v", err)
	}
	sums, err := os.ReadFile(filepath.Join(outs[1], sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		names = append(names, name)
		if is, err := sumOf(filepath.Join(outs[1], name)); err != nil || is != sum {
			t.Errorf("%s: %s, %v", line, is, err)
		}
	}
	want := []string{"THIRD_PARTY_NOTICES", "treeline-chart-v1.2.3.tgz", "treeline-v1.2.3-linux-amd64.tar.gz", "treeline-v1.2.3-windows-amd64.zip", "treeline-v1.2.3.cdx.json"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	t.Run("the program says the version", func(t *testing.T) {
		said, err := command(t.Context(), "", nil, "sh", "-c", filepath.Join(outs[1], "bin", "linux-amd64", "treeline")+" 2>&1")
		if err != nil || said != "v1.2.3" {
			t.Errorf("%q, %v", said, err)
		}
	})
	t.Run("the archives hold what they should", func(t *testing.T) { archives(t, outs[1]) })
	t.Run("the bill of materials names every module", func(t *testing.T) { materials(t, outs[1]) })
}

func archives(t *testing.T, out string) {
	f, err := os.Open(filepath.Join(out, "treeline-v1.2.3-linux-amd64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(zipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1767323045 || (last(h.Name) == "treeline") != (h.Mode == 0o755) {
			t.Errorf("%+v", h)
		}
	}
	const top = "treeline-v1.2.3-linux-amd64/"
	if diff := cmp.Diff([]string{top + "CHANGELOG.md", top + "LICENSE", top + "README.md", top + "THIRD_PARTY_NOTICES", top + "systemd/treeline.service", top + "treeline"}, names); diff != "" {
		t.Error(diff)
	}
	z, err := zip.OpenReader(filepath.Join(out, "treeline-v1.2.3-windows-amd64.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if !slices.ContainsFunc(z.File, func(f *zip.File) bool { return last(f.Name) == "treeline.exe" }) {
		t.Errorf("no treeline.exe among %d files", len(z.File))
	}
}

func last(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func materials(t *testing.T, out string) {
	text, err := os.ReadFile(filepath.Join(out, "treeline-v1.2.3.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SerialNumber string
		Components              []struct {
			Name, Purl string
			Licenses   []struct{ License struct{ ID string } }
			Hashes     []struct{ Content string }
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, c := range bom.Components {
		licence := ""
		if len(c.Licenses) > 0 {
			licence = c.Licenses[0].License.ID
		}
		named[c.Name] = licence
	}
	want := map[string]string{"treeline": "", "treeline.exe": "", "std": "BSD-3-Clause", "@a/b": "MIT"}
	if diff := cmp.Diff(want, named); diff != "" || bom.BOMFormat != "CycloneDX" || !strings.HasPrefix(bom.SerialNumber, "urn:uuid:") {
		t.Errorf("%s\n%s", diff, text)
	}
	if d := bom.Dependencies[0]; d.Ref != "file:linux/amd64" || !slices.Contains(d.DependsOn, "pkg:npm/%40a/b@1.0.0") {
		t.Errorf("%+v", d)
	}
	notices, err := os.ReadFile(filepath.Join(out, "THIRD_PARTY_NOTICES"))
	if err != nil || !strings.Contains(string(notices), "npm @a/b 1.0.0: MIT [") {
		t.Errorf("%.300s, %v", notices, err)
	}
}

func TestAnArchiveDoesNotDependOnTheOrderOfFiles(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	entries := []entry{{"b", 0o644, []byte("2")}, {"a", 0o755, []byte("1")}}
	for _, form := range []func(io.Writer, string, []entry, time.Time) error{writeTar, writeZip} {
		var one, other bytes.Buffer
		if err := form(&one, "x", entries, at); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(entries)
		if err := form(&other, "x", entries, at); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one.Bytes(), other.Bytes()) {
			t.Error("another order makes another archive")
		}
	}
}

func TestTheImagesAuthoritiesAreCertificates(t *testing.T) {
	var out bytes.Buffer
	if err := authorities(&out); err != nil {
		t.Fatal(err)
	}
	n := 0
	for block, rest := pem.Decode(out.Bytes()); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	if n < 50 {
		t.Errorf("%d authorities", n)
	}
}

func TestPlatformsAreThoseThatAreReleased(t *testing.T) {
	got, err := choose([]string{"darwin/arm64"}, platforms)
	if err != nil || len(got) != 1 || got[0].OS != "darwin" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := choose([]string{"plan9/mips"}, platforms); err == nil || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("an unknown one: %v", err)
	}
}
