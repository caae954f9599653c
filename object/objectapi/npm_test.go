package objectapi

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/npmtest"
)

// TestNpmClient has the npm package taskcluster-client upload and download, which hashes both ways.
func TestNpmClient(t *testing.T) {
	modules, err := npmtest.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := serve(t, "*")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", "client.js"), b.root)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
