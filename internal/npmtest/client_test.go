package npmtest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/npmtest"
)

// TestClient drives the server with the npm package taskcluster-client; each subtest is a
// scenario of testdata/driver.js, where the assertions stand.
func TestClient(t *testing.T) {
	modules, err := npmtest.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := append(append(os.Environ(), startServer(t)...), "NODE_PATH="+modules)
	driver := func(arg string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", "driver.js"), arg)
		cmd.Env = env
		return cmd.CombinedOutput()
	}
	list, err := driver("--list")
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	scenarios := strings.Fields(string(list))
	if len(scenarios) < 9 {
		t.Fatalf("only %d scenarios: %q", len(scenarios), scenarios)
	}
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			if out, err := driver(scenario); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
