package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const src = "../src"

func TestBundle(t *testing.T) {
	dist := t.TempDir()
	stale := filepath.Join(dist, "app.OLD.js")
	if err := os.WriteFile(stale, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	size, err := build(src, dist)
	if err != nil {
		t.Fatal(err)
	}
	if size < 10_000 {
		t.Errorf("the script has %d bytes; want more than 10 KB, since it holds the pages", size)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the script of an earlier build is still there")
	}
}

func TestBundleSaysWhatIsMissing(t *testing.T) {
	_, err := build(t.TempDir(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "make ui") {
		t.Errorf("got error %v, want one that names make ui", err)
	}
}

// TestTypes runs the TypeScript compiler: esbuild does not check types.
func TestTypes(t *testing.T) {
	tsc, err := filepath.Abs(filepath.Join(src, "node_modules", ".bin", "tsc"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, src, tsc, "--noEmit", "--project", ".")
}

// TestScripts bundles every *.test.ts and runs them with node's own test runner.
func TestScripts(t *testing.T) {
	tests, err := filepath.Glob(filepath.Join(src, "*", "*.test.ts"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("no test files in %s: %v", src, err)
	}
	for i, name := range tests {
		if tests[i], err = filepath.Rel(src, name); err != nil {
			t.Fatal(err)
		}
	}
	o, err := options(src, tests...)
	if err != nil {
		t.Fatal(err)
	}
	o.Outdir, o.Outbase = t.TempDir(), o.AbsWorkingDir
	o.OutExtension = map[string]string{".js": ".mjs"}
	o.External = []string{"node:*"}
	if err := problems(bundle(o)); err != nil {
		t.Fatal(err)
	}
	built, err := filepath.Glob(filepath.Join(o.Outdir, "*", "*.mjs"))
	if err != nil || len(built) != len(tests) {
		t.Fatalf("%d of %d test files were bundled: %v", len(built), len(tests), err)
	}
	run(t, src, "node", append([]string{"--test", "--test-reporter=tap"}, built...)...)
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing (apt-get install nodejs npm; then make ui): %v", name, err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, failures(string(out)))
	}
}

// failures cuts a TAP report to the tests that failed, with their reasons; another text stays whole.
func failures(report string) string {
	if !strings.HasPrefix(report, "TAP ") {
		return report
	}
	var keep strings.Builder
	bad := false
	for line := range strings.Lines(report) {
		trimmed := strings.TrimSpace(line)
		bad = strings.HasPrefix(trimmed, "not ok ") || bad && !strings.HasPrefix(trimmed, "ok ") && !strings.HasPrefix(trimmed, "# ")
		if bad {
			keep.WriteString(line)
		}
	}
	return keep.String()
}
