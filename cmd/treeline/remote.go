package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// Exit codes of the commands that speak to a server.
const (
	exitFailed    exit.Code = 2 // the task, or one of the group, failed
	exitException exit.Code = 3 // the task, or one of the group, could not be done
	exitNotFound  exit.Code = 4
	exitDenied    exit.Code = 5 // credentials are bad or their scopes do not suffice
	exitAway      exit.Code = 6 // the server does not answer
)

// cliPatience is how long a command goes on trying while the server does not answer.
const cliPatience = 10 * time.Second

const exitCodesHelp = `

Exit codes: 0 done; 1 any other error; 2 a task failed; 3 a task ended as exception; 4 not found;
5 not allowed; 6 the server does not answer.`

// remote is what the commands that speak to a server share.
type remote struct {
	json   bool
	client *client.Client
	out    io.Writer
	err    io.Writer
}

// newRemoteGroup returns a command with sub-commands that speak to a server.
func newRemoteGroup(name, short, long string, subs ...func(*remote) *cobra.Command) *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{Use: name, Short: short, Long: long + exitCodesHelp, Args: cobra.NoArgs}
	cmd.PersistentFlags().BoolVar(&r.json, "json", false, "print JSON, for programs")
	for _, sub := range subs {
		cmd.AddCommand(sub(r))
	}
	return cmd
}

// does wraps the body of a sub-command: it connects before, and afterwards says what went wrong
// with a remedy and chooses the exit code.
func (r *remote) does(body func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		r.out, r.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
		c, err := client.FromEnv(nil)
		if err != nil {
			return err
		}
		r.client = c.WithPatience(cliPatience)
		err = body(cmd, args)
		if err != nil && cmd.Context().Err() != nil {
			return context.Cause(cmd.Context()) // Ctrl-C, and not what it did to a call
		}
		return r.explain(err)
	}
}

// explain prints what the server said and what to do about it.
func (r *remote) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[exit.Code](err); ok {
		return err
	}
	code := exit.Code(1)
	remedy := ""
	e, answered := errors.AsType[*client.Error](err)
	switch {
	case errors.Is(err, fault.Unauthenticated):
		code, remedy = exitDenied, "check TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKCLUSTER_CERTIFICATE; temporary credentials may have run out"
	case errors.Is(err, fault.Forbidden) && r.client.Credentials().ClientID == "":
		code, remedy = exitDenied, "set TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN (treeline dev writes them to DATA/env)"
	case errors.Is(err, fault.Forbidden):
		code, remedy = exitDenied, "ask for a role or client with the scopes named above"
	case errors.Is(err, fault.NotFound):
		code, remedy = exitNotFound, "check the name, and that TASKCLUSTER_ROOT_URL ("+r.client.RootURL()+") is the right server"
	case errors.Is(err, fault.Unavailable) && answered && e.Code != "": // a proxy has no code
		code, remedy = exitAway, "the server is there, but cannot do this now: try again later; "+r.client.RootURL()+"/status and its log say more"
	case errors.Is(err, fault.Unavailable):
		code, remedy = exitAway, "is the server running at TASKCLUSTER_ROOT_URL ("+r.client.RootURL()+")?"
	}
	if answered {
		fmt.Fprintf(r.err, "treeline: %s (%d): %s\n", orText(e.Code, "HTTP error"), e.Status, e.Summary())
	} else {
		fmt.Fprintf(r.err, "treeline: %v\n", err)
	}
	if remedy != "" {
		fmt.Fprintf(r.err, "  remedy: %s\n", remedy)
	}
	return code
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// printJSON writes a value for programs.
func (r *remote) printJSON(v any) error {
	enc := json.NewEncoder(r.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (r *remote) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

// note tells people what goes on, not programs.
func (r *remote) note(format string, args ...any) {
	if !r.json {
		fmt.Fprintf(r.err, format+"\n", args...)
	}
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// padded is colored, filled up to the longest state.
func (r *remote) padded(s task.State) string {
	return r.colored(s) + strings.Repeat(" ", max(0, len(task.Unscheduled)-len(s)))
}

// colored paints a state on a terminal, unless NO_COLOR is set.
func (r *remote) colored(s task.State) string {
	colors := map[task.State]string{
		task.Completed: "32", task.Failed: "31", task.Exception: "35", task.Running: "34", task.Pending: "33", task.Unscheduled: "90",
	}
	if !terminal(r.out) || os.Getenv("NO_COLOR") != "" {
		return string(s)
	}
	return "\x1b[" + colors[s] + "m" + string(s) + "\x1b[0m"
}

// progress returns a function that draws a bar for a transfer on a terminal, and nil elsewhere.
func (r *remote) progress(name string) func(done, total int64) {
	if r.json || !terminal(r.err) {
		return nil
	}
	const width = 30
	return func(done, total int64) {
		if total <= 0 {
			fmt.Fprintf(r.err, "\r%s  %s ", name, size(done))
			return
		}
		full := int(width * done / total)
		fmt.Fprintf(r.err, "\r%s  [%s%s] %3d%%  %s of %s ", name, strings.Repeat("=", full), strings.Repeat(" ", width-full),
			100*done/total, size(done), size(total))
		if done == total {
			fmt.Fprintln(r.err)
		}
	}
}

// size writes a number of bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// runFlag reads --run, which is the newest run unless given.
func runFlag(cmd *cobra.Command, run *int) {
	cmd.Flags().IntVar(run, "run", client.LatestRun, "number of the run (default the newest)")
}
