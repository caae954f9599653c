package sample_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/treeline-ci/treeline/app/sample"
)

func TestSampleIsARealProject(t *testing.T) {
	dir := filepath.Join(t.TempDir(), sample.Name)
	for _, want := range []bool{true, false} {
		if created, err := sample.Create(t.Context(), dir); err != nil || created != want {
			t.Fatalf("created %v, %v; want %v", created, err, want)
		}
	}
	for _, command := range []string{"test/run", "test/links", "bin/pebble pages out", "git log -1 --format=%s"} {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}
