// Package hgcmd is the command "treeline hg": the Mercurial repositories that a server follows.
package hgcmd

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

//go:embed treeline_hook.py
var script string

// Body is what a command does with a server.
type Body func(cmd *cobra.Command, c *client.Client) error

// New makes the command. connect wraps the bodies of sub-commands that ask a server: it connects and explains
// errors.
func New(connect func(Body) func(*cobra.Command, []string) error, help string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hg", Short: "See the Mercurial repositories that a server follows", Args: cobra.NoArgs,
		Long: `Works on the Mercurial repositories that a server follows; TREELINE_REPOSITORIES of "treeline serve" names
the file that lists them.` + help,
	}
	cmd.AddCommand(status(connect), hook())
	return cmd
}

func status(connect func(Body) func(*cobra.Command, []string) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "List the repositories, when they were looked at, and what is wrong", Args: cobra.NoArgs,
		Long: `Lists the Mercurial repositories that are followed: whether pushes come from a pushlog and how far it is
read, when the repository was looked at last and is next, when hints came, and why the last look failed,
where it did.`,
		Example: `  treeline hg status
  treeline hg status --json`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client) error {
			list, err := c.HgRepositories(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(list)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no Mercurial repository is followed")
			}
			return table(cmd.OutOrStdout(), list, time.Now())
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

func table(out io.Writer, list []client.HgRepository, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprintln(w, "REPOSITORY\tPUSHES FROM\tLOOKED\tNEXT\tMOVED\tHINTED\tSTATE")
	}
	for _, r := range list {
		from, state := "-", "ok"
		switch {
		case r.Pushlog != nil && *r.Pushlog:
			from = fmt.Sprintf("pushlog, to %d", r.Cursor)
		case r.Pushlog != nil:
			from = fmt.Sprintf("heads, %d", r.Heads)
		}
		if r.Error != "" {
			state = fmt.Sprintf("failed %d times: %s", r.Failures, r.Error)
		} else if r.Looked == nil {
			state = "not looked at yet"
		}
		next := "now"
		if r.Next != nil && r.Next.After(now) {
			next = "in " + span(r.Next.Sub(now))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, from, ago(r.Looked, now), next, ago(r.Moved, now), ago(r.Hinted, now), state)
	}
	return w.Flush()
}

func ago(t *task.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	return span(now.Sub(t.Time)) + " ago"
}

func span(d time.Duration) string { return max(0, d).Round(time.Second).String() }

func hook() *cobra.Command {
	var repository, server, path string
	cmd := &cobra.Command{
		Use: "hook", Short: "Print the hook that hints that a repository moved", Args: cobra.NoArgs,
		Long: `Prints a hook for a Mercurial server, and the lines of hgrc that call it. With it a push is seen within a
second; without it at the next look. The hook needs Python 3 and nothing else, works on every Mercurial
that runs hooks, and never keeps a push waiting or fails one. Hints are signed with a secret of the
repository (hook-secrets in the file of repositories) and believed in nothing: they make the server look.`,
		Example: `  treeline hg hook --repository central --server https://ci.example.com
  treeline hg hook --script > /etc/mercurial/treeline_hook.py`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if only, err := cmd.Flags().GetBool("script"); err != nil || only {
				_, err = io.WriteString(cmd.OutOrStdout(), Script())
				return err
			}
			if repository == "" || server == "" {
				return fmt.Errorf("give --repository, its name in the file of repositories, and --server, the address of Treeline; or --script")
			}
			_, err := io.WriteString(cmd.OutOrStdout(), Lines(repository, server, path))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&repository, "repository", "", "name of the repository in the file of repositories")
	f.StringVar(&server, "server", "", "address of Treeline, such as https://ci.example.com")
	f.StringVar(&path, "path", "/etc/mercurial/treeline_hook.py", "where the script is to be on the Mercurial server")
	f.Bool("script", false, "print the script alone")
	return cmd
}

// Script is the hook.
func Script() string { return script }

// Lines are the lines of hgrc for a repository, and what to do with them.
func Lines(repository, server, path string) string {
	secret := "/etc/mercurial/treeline.secret"
	return fmt.Sprintf(`# 1. Put the script on the Mercurial server:
#      treeline hg hook --script > %[3]s
# 2. Make a secret there that only the user of the Mercurial server can read, and give Treeline the same one
#    (hook-secrets of %[1]s in its file of repositories):
#      (umask 077; openssl rand -hex 32 > %[4]s)
# 3. Try it:
#      python3 %[3]s --test %[1]s %[2]s %[4]s
# 4. Put these lines into .hg/hgrc of the repository:

[hooks]
txnclose.treeline = python3 %[3]s %[1]s %[2]s %[4]s
`, repository, server, path, secret)
}
