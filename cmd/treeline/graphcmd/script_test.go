package graphcmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
)

// TestMain makes the command a program of scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"treeline": treeline})
}

func treeline() {
	root := &cobra.Command{Use: "treeline", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(graphcmd.New())
	if err := root.ExecuteContext(context.Background()); err != nil {
		if !errors.Is(err, exit.Told) {
			fmt.Fprintln(os.Stderr, "treeline:", err)
		}
		os.Exit(1)
	}
}

// TestScripts runs the scripts of testdata/script, each in a directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}
