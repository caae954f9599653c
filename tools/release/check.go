package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/treeline-ci/treeline/tools/licences"
)

// check makes the release of the checkout's commit twice, each time in a new clone at another path with pages built
// there, and compares all files.
func check(ctx context.Context, root string, platforms []licences.Platform, cold bool) (err error) {
	dir, err := os.MkdirTemp("", "release-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	outs := []string{filepath.Join(dir, "one", "dist"), filepath.Join(dir, "a", "longer", "path", "dist")}
	for i, out := range outs {
		began := time.Now()
		var env []string
		if i == 1 && cold {
			cache := filepath.Join(dir, "cache")
			env = []string{"GOCACHE=" + cache}
		}
		if err := makeClone(ctx, source, filepath.Dir(out), env, platforms); err != nil {
			return err
		}
		fmt.Printf("release %d of 2: %s\n", i+1, time.Since(began).Round(time.Second))
	}
	return compare(outs[0], outs[1])
}

// makeClone clones the commit to dir, builds its pages there, and makes its release with its own tool.
func makeClone(ctx context.Context, source, dir string, env []string, platforms []licences.Platform) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if _, err := command(ctx, source, nil, "git", "clone", "--quiet", "--no-hardlinks", source, dir); err != nil {
		return err
	}
	if _, err := command(ctx, dir, env, "make", "--silent", "ui"); err != nil {
		return err
	}
	args := []string{"run", "./tools/release", "build"}
	for _, p := range platforms {
		args = append(args, "--platforms", p.String())
	}
	said, err := command(ctx, dir, env, "go", args...)
	if err == nil {
		fmt.Println(said)
	}
	return err
}

// compare returns an error that names every file that is not the same in both directories.
func compare(one, other string) error {
	sums := [2]map[string]string{{}, {}}
	for i, dir := range []string{one, other} {
		err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			sums[i][rel], err = sumOf(name)
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(sums[0]) == 0 {
		return fmt.Errorf("%s is empty", one)
	}
	var problems []error
	for name, sum := range sums[0] {
		if sums[1][name] != sum {
			problems = append(problems, fmt.Errorf("%s differs: %s and %q", name, sum, sums[1][name]))
		}
		delete(sums[1], name)
	}
	for name := range sums[1] {
		problems = append(problems, fmt.Errorf("%s was made once only", name))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	fmt.Printf("%d files, the same both times\n", len(sums[0]))
	return nil
}
