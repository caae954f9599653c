// Package croncmd is the command "treeline cron": the calendar of .cron.yml of a server.
package croncmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// Body is what a command does with a server.
type Body func(cmd *cobra.Command, c *client.Client, args []string) error

// command is what the sub-commands share.
type command struct {
	connect func(Body) func(*cobra.Command, []string) error
	json    bool
}

// New makes the command. connect wraps the bodies of its sub-commands: it connects and explains errors.
func New(connect func(Body) func(*cobra.Command, []string) error, help string) *cobra.Command {
	c := &command{connect: connect}
	cmd := &cobra.Command{
		Use: "cron", Short: "See what .cron.yml starts, and start it by hand", Args: cobra.NoArgs,
		Long: `Works on the calendar of a server: the jobs of the .cron.yml files of its repositories, what became
of them, and what is to come. "treeline taskgraph cron" reads the file of a checkout instead.` + help,
	}
	cmd.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON, for programs")
	cmd.AddCommand(c.list(), c.run(), c.why())
	return cmd
}

func (c *command) print(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (c *command) list() *cobra.Command {
	var runs int
	cmd := &cobra.Command{
		Use: "list [REPOSITORY]", Short: "List the jobs with their last and next times", Args: cobra.MaximumNArgs(1),
		Long: `Lists the jobs of the branches that are followed, each with its last run and its next time, and below
them the branches whose file is broken or cannot be read. With --runs it lists what ran instead.`,
		Example: `  treeline cron list
  treeline cron list pebble --runs 20
  treeline cron list --json`,
		RunE: c.connect(func(cmd *cobra.Command, server *client.Client, args []string) error {
			repository := strings.Join(args, "")
			if runs > 0 {
				return c.listRuns(cmd, server, repository, runs)
			}
			l, err := server.CronJobs(cmd.Context(), repository)
			if err != nil {
				return err
			}
			if c.json {
				return c.print(cmd, l)
			}
			if len(l.Branches) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no repository is followed for .cron.yml")
			}
			return table(cmd.OutOrStdout(), l)
		}),
	}
	cmd.Flags().IntVar(&runs, "runs", 0, "list so many of the last runs instead of the jobs")
	return cmd
}

func table(out io.Writer, l client.CronListing) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(l.Jobs) > 0 {
		fmt.Fprintln(w, "REPOSITORY\tBRANCH\tJOB\tLAST\tSTATE\tNEXT")
	}
	for _, j := range l.Jobs {
		last, state := "-", "-"
		if j.Last != nil {
			last, state = when(&j.Last.Slot), j.Last.State
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", j.Repository, j.Branch, j.Name, last, state, when(j.Next))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, b := range l.Branches {
		if b.Error == nil {
			continue
		}
		again := ""
		if b.RetryAfter != nil {
			again = fmt.Sprintf(" (tried %d times; again after %s)", b.Failures, when(b.RetryAfter))
		}
		if _, err := fmt.Fprintf(out, "%s %s: %s%s\n", b.Repository, b.Branch, said(b.Error), again); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) listRuns(cmd *cobra.Command, server *client.Client, repository string, n int) error {
	filter := url.Values{}
	if repository != "" {
		filter.Set("repository", repository)
	}
	list := []client.CronRun{}
	for r, err := range server.CronRuns(cmd.Context(), filter) {
		if err != nil {
			return err
		}
		if list = append(list, r); len(list) == n {
			break
		}
	}
	if c.json {
		return c.print(cmd, list)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tREPOSITORY\tBRANCH\tJOB\tSTATE\tTASK OR REASON")
	for _, r := range list {
		what := r.TaskID
		if r.Error != nil {
			what = strings.TrimSpace(what + " " + said(r.Error))
		}
		if r.ByHand {
			what = strings.TrimSpace("by hand (" + r.AskedBy + ") " + what)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", when(&r.Slot), r.Repository, r.Branch, r.Job, r.State, what)
	}
	return w.Flush()
}

func when(t *task.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func said(e *client.CronError) string {
	switch {
	case e.File == "":
		return e.Message
	case e.Line == 0:
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

func (c *command) run() *cobra.Command {
	var branch, key, file string
	cmd := &cobra.Command{
		Use: "run REPOSITORY JOB", Short: "Start a job now", Args: cobra.ExactArgs(2),
		Long: `Starts a job of .cron.yml now, at the head of its branch, whenever it is due otherwise. It runs with
the job's own role. The scope is cron:run:REPOSITORY:JOB. Asking twice with one --key starts it once.`,
		Example: `  treeline cron run pebble nightly
  treeline cron run pebble nightly --branch release --input input.json
  treeline cron run pebble nightly --key ticket-4711`,
		RunE: c.connect(func(cmd *cobra.Command, server *client.Client, args []string) error {
			input, err := readInput(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			if key == "" {
				key = slug.New() // a call that is repeated because its answer was lost
			}
			r, err := server.RunCron(cmd.Context(), args[0], args[1], branch, key, input)
			if err != nil {
				return err
			}
			if c.json {
				return c.print(cmd, r)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s of %s, branch %s: %s\n", r.Job, r.Repository, r.Branch, outcome(r))
			return nil
		}),
	}
	cmd.Flags().StringVar(&branch, "branch", "", "the branch (default the only one that is followed)")
	cmd.Flags().StringVar(&key, "key", "", "a name for this start, so that asking again starts nothing again")
	cmd.Flags().StringVar(&file, "input", "", "file with the input, a JSON object, for a job with include-cron-input; - is standard input")
	return cmd
}

func outcome(r client.CronRun) string {
	switch {
	case r.TaskID != "":
		return "started as task " + r.TaskID
	case r.Error != nil:
		return r.State + ": " + said(r.Error)
	}
	return "it is being started; \"treeline cron list " + r.Repository + " --runs 5\" shows it"
}

func readInput(stdin io.Reader, file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--input: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("--input: %w", err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return nil, fmt.Errorf("--input: %s holds no JSON object: %w", file, errors.Join(err))
	}
	return text, nil
}

func (c *command) why() *cobra.Command {
	var branch, at string
	cmd := &cobra.Command{
		Use: "why REPOSITORY JOB", Short: "Say why a job ran at a time, did not, or will", Args: cobra.ExactArgs(2),
		Long: `Says what became, or will become, of the quarter of an hour that a time is in: the branch and project
that the job is for, its times, whether it was late, failed, or missed, and why.`,
		Example: `  treeline cron why pebble nightly
  treeline cron why pebble nightly --at 2026-03-02T02:30:00Z`,
		RunE: c.connect(func(cmd *cobra.Command, server *client.Client, args []string) error {
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return fmt.Errorf("--at %q: expected a time like 2026-03-02T10:00:00Z", at)
				}
				at = t.UTC().Format(time.RFC3339)
			}
			e, err := server.WhyCron(cmd.Context(), args[0], args[1], branch, at)
			if err != nil {
				return err
			}
			if c.json {
				return c.print(cmd, e)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s of %s, branch %s, %s: %s\n", e.Job, e.Repository, e.Branch, when(&e.Slot), e.Verdict)
			for _, reason := range e.Reasons {
				fmt.Fprintf(out, "  %s\n", reason)
			}
			fmt.Fprintf(out, "  Before: %s. After: %s.\n", when(e.Previous), when(e.Next))
			return nil
		}),
	}
	cmd.Flags().StringVar(&branch, "branch", "", "the branch (default the only one that is followed)")
	cmd.Flags().StringVar(&at, "at", "", "the time to ask about, such as 2026-03-02T02:30:00Z (default now)")
	return cmd
}
