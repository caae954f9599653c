package localcmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/treeline-ci/treeline/internal/podmantest"
)

// bin is a directory with the program, built so that it runs in any image.
var bin string

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "treeline-bin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "treeline"), "github.com/treeline-ci/treeline/cmd/treeline")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build treeline: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestScripts runs the command lines of testdata, with a Podman of the test's own.
func TestScripts(t *testing.T) {
	host := podmantest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("DOCKER_HOST", host)
			env.Setenv("IMAGE", podmantest.Image)
			for name, value := range map[string]string{
				"GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "n@example.com", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "n@example.com", "GIT_CONFIG_NOSYSTEM": "1",
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}
