package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/tools/licences"
)

// program is what is released, and its package.
const program = "treeline"

// release is one release in the making.
type release struct {
	root, out string
	version   string    // as git describes the commit, always with a leading v
	commit    string    // the whole revision
	time      time.Time // of everything that is made: the commit's, or SOURCE_DATE_EPOCH
	platforms []licences.Platform
}

// describe asks git what the checkout is. One with changes gives a version that ends in -dirty.
func describe(ctx context.Context, root, out string, platforms []licences.Platform) (*release, error) {
	r := &release{root: root, out: out, platforms: platforms}
	version, err := command(ctx, root, nil, "git", "describe", "--tags", "--match", "v[0-9]*", "--always", "--dirty")
	if err != nil {
		return nil, err
	}
	if r.version = version; !strings.HasPrefix(version, "v") {
		r.version = "v0.0.0-g" + version // no release yet
	}
	if r.commit, err = command(ctx, root, nil, "git", "rev-parse", "HEAD"); err != nil {
		return nil, err
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = command(ctx, root, nil, "git", "log", "-1", "--format=%ct"); err != nil {
			return nil, err
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH %q: give seconds since 1970", epoch)
	}
	r.time = time.Unix(seconds, 0).UTC()
	return r, nil
}

// command runs a program and returns what it printed, without the last line's end.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, strings.TrimSpace(problems.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// make writes everything into the directory.
func (r *release) make(ctx context.Context) error {
	if built, err := filepath.Glob(filepath.Join(r.root, "ui", "dist", "*.js")); err != nil || len(built) == 0 {
		return errors.Join(err, errors.New("the pages are not built: make ui builds them"))
	}
	if err := errors.Join(os.RemoveAll(r.out), os.MkdirAll(filepath.Join(r.out, "bin"), 0o755)); err != nil {
		return err
	}
	pages, err := licences.Bundled(filepath.Join(r.root, "ui", "src"))
	if err != nil {
		return err
	}
	var built []binary
	for _, p := range r.platforms {
		began := time.Now()
		b, err := r.compile(ctx, p)
		if err != nil {
			return err
		}
		b.modules = append(b.modules, pages...)
		built = append(built, b)
		fmt.Printf("%-14s %6.1f MB  %s\n", p, float64(b.size)/1e6, time.Since(began).Round(time.Second/10))
	}
	for _, b := range built {
		if err := r.pack(b); err != nil {
			return err
		}
	}
	if err := errors.Join(r.writeBOM(built), r.writeNotices(union(built)), r.packChart()); err != nil {
		return err
	}
	return writeSums(r.out)
}

// binary is a program that was built.
type binary struct {
	platform licences.Platform
	file     string
	size     int64
	sum      string // sha256, in hexadecimal
	modules  []licences.Module
}

// file is the path of a program in the directory.
func (r *release) file(p licences.Platform) string {
	name := filepath.Join(r.out, "bin", p.OS+"-"+p.Arch, program)
	if p.OS == "windows" {
		name += ".exe"
	}
	return name
}

// compile builds the program for one platform: static, without paths of this machine, and with its version.
func (r *release) compile(ctx context.Context, p licences.Platform) (binary, error) {
	file, err := filepath.Abs(r.file(p))
	if err != nil {
		return binary{}, err
	}
	flags := "-s -w -buildid= -X github.com/treeline-ci/treeline/internal/build.released=" + r.version
	env := []string{"CGO_ENABLED=0", "GOOS=" + p.OS, "GOARCH=" + p.Arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT="}
	if _, err := command(ctx, r.root, env, "go", "build", "-trimpath", "-buildvcs=true", "-mod=readonly", "-ldflags", flags, "-o", file, licences.Program); err != nil {
		return binary{}, fmt.Errorf("build for %s: %w", p, err)
	}
	return inspect(ctx, r.root, file, p)
}

// inspect finds out what a program that was built consists of.
func inspect(ctx context.Context, root, file string, p licences.Platform) (binary, error) {
	info, err := os.Stat(file)
	if err != nil {
		return binary{}, err
	}
	b := binary{platform: p, file: file, size: info.Size()}
	if b.sum, err = sumOf(file); err != nil {
		return binary{}, err
	}
	b.modules, err = licences.OfBinary(ctx, root, file)
	return b, err
}

// union are the modules of all programs, each once.
func union(built []binary) []licences.Module {
	var all []licences.Module
	seen := map[string]bool{}
	for _, b := range built {
		for _, m := range b.modules {
			if key := m.Kind + " " + m.Path + " " + m.Version; !seen[key] {
				seen[key] = true
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b licences.Module) int { return strings.Compare(a.Kind+" "+a.Path, b.Kind+" "+b.Path) })
	return all
}

// base is what the names of the release's files begin with.
func (r *release) base() string { return program + "-" + r.version }
