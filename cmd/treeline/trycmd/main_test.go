package trycmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd"
)

// TestMain makes the command a program of scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"treeline": treeline})
}

func treeline() {
	root := &cobra.Command{Use: "treeline", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(trycmd.New())
	if err := root.ExecuteContext(context.Background()); err != nil {
		if !errors.Is(err, exit.Told) {
			fmt.Fprintln(os.Stderr, "treeline:", err)
		}
		os.Exit(1)
	}
}

// settle makes the environment of a person who has neither settings nor a server.
func settle(e *testscript.Env) error {
	e.Vars = append(e.Vars,
		"XDG_CONFIG_HOME="+e.WorkDir+"/.settings", "XDG_CACHE_HOME="+e.WorkDir+"/.cache", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"HGRCPATH=", "HGUSER=Ada <ada@example.com>", "NO_COLOR=1",
	)
	return nil
}

// TestScripts runs the scripts of testdata/script, each in a directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: settle})
}
