package importcmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/actioncmd"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/importcmd"
)

// TestMain makes the commands a program of scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"treeline": treeline})
}

func treeline() {
	root := &cobra.Command{Use: "treeline", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(actioncmd.Attach(graphcmd.New()), importcmd.New())
	err := root.ExecuteContext(context.Background())
	var code exit.Code
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil && !errors.Is(err, exit.Told):
		fmt.Fprintln(os.Stderr, "treeline:", err)
		os.Exit(1)
	}
}

// TestScripts runs the scripts of testdata, each in a directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status}})
}

// status runs a command that must end with a status: status 3 treeline …
func status(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit interface{ ExitCode() int }
	got := "0"
	if errors.As(err, &exit) {
		got = fmt.Sprint(exit.ExitCode())
	}
	if (got == args[0]) == neg {
		ts.Fatalf("%v ended with %s (%v)", args[1:], got, err)
	}
}
