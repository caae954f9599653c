// Package trycmd is the command treeline try: it runs tasks on changes that have not landed. The selectors
// say which tasks; what they say goes into try_task_config.json, or into the message as try syntax, of a
// commit that is pushed to a try repository or a try branch and never stands in the working copy.
package trycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/trypush"
)

// New makes the command.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "try",
		Short: "Run tasks on changes before they land",
		Long: `Makes a commit on top of what is checked out that says which tasks to run, and pushes it to a try
repository or a try branch. The working copy stays as it is: no file, index, branch, bookmark or phase
changes, with git and with Mercurial.

  fuzzy    pick tasks in the terminal, or by queries
  chooser  take tasks by kind, platform and attributes
  auto     let the server choose what the changes need
  empty    run nothing yet: add tasks later, with the action Add New Jobs
  syntax   legacy try syntax: -b -p -u -t -j
  again    push what was pushed before once more

Where it goes: --push-to, TREELINE_TRY_PUSH_TO, "push-to" in treeline/try.yml of your folder of
configuration, try.push-to of the tree's config.yml, else a remote named try, else with git the remote
of the branch. It is the name of a remote, or an address. With git the branch is --branch, "branch" in
try.yml, try.branch of config.yml, else try/{user}/{time}. The tree may name an address only at a host
that one of your remotes has.`,
		Example: `  treeline try fuzzy
  treeline try fuzzy -q "^test linux" -q "'lint" --dry-run
  treeline try auto --message "Bug 1: {msg}"
  treeline try again`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return errors.Join(cmd.Help(), exit.Told) },
	}
	cmd.AddCommand(newFuzzy(), newChooser(), newAuto(), newEmpty(), newSyntax(), newAgain())
	return cmd
}

// attempt is one use of a selector.
type attempt struct {
	*graphcmd.Session
	selector string
	line     presets.Preset // what the command line selects

	message, pushTo, branch  string
	closedTree, stageChanges bool
	dryRun, json, noVerify   bool
	geckoProfile, chemspill  bool
	wait                     time.Duration
	preset, save             string
	listPresets, editPresets bool

	work        trypush.Work
	in          io.Reader
	user, cache string // folders of the person
}

func newAttempt(selector string) *attempt {
	return &attempt{Session: graphcmd.NewSession(false), selector: selector}
}

// pushFlags adds the options about the commit and where it goes; taken are options and short forms that
// the command has itself.
func (a *attempt) pushFlags(cmd *cobra.Command, taken ...string) {
	a.FlagsBut(cmd, taken...)
	f := cmd.Flags()
	f.StringVarP(&a.message, "message", "m", "{msg}", "message of the commit; {msg} stands for the usual one")
	f.BoolVar(&a.closedTree, "closed-tree", false, "push although the tree is closed: says so in the message")
	f.StringVar(&a.pushTo, "push-to", "", "remote or address to push to")
	f.StringVar(&a.branch, "branch", "", "branch to make, with git; {user} and {time} stand for yours")
	f.BoolVar(&a.dryRun, "dry-run", false, "push nothing; show the graph that would come of it (also --no-push)")
	f.BoolVar(&a.dryRun, "no-push", false, "the same as --dry-run")
	f.BoolVar(&a.json, "json", false, "print JSON")
	f.BoolVar(&a.stageChanges, "stage-changes", false, "take along what is changed and not committed, as \"commit -a\" would")
	f.BoolVar(&a.noVerify, "no-verify", false, "do not run git's hook pre-push")
	f.DurationVar(&a.wait, "wait", 30*time.Second, "how long to wait for the server to see the push, to print its address; 0 does not")
}

// taskFlags adds the options about how the tasks run.
func (a *attempt) taskFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&a.line.Env, "env", nil, "variable for each task's environment, NAME=VALUE (repeatable)")
	f.IntVar(&a.line.Rebuild, "rebuild", 0, "run each task so many times")
	f.BoolVar(&a.line.Artifact, "artifact", false, "use artifact builds where the tree has them")
	f.BoolVar(&a.line.DisablePGO, "disable-pgo", false, "build without profile-guided optimization")
	f.BoolVar(&a.geckoProfile, "gecko-profile", false, "profile tests that can be")
	f.BoolVar(&a.chemspill, "chemspill-prio", false, "lift the lowest priorities")
	f.StringArrayVar(&a.line.Workers, "worker-override", nil, "run tasks of a worker alias elsewhere, ALIAS=PROVISIONER/WORKER-TYPE (repeatable)")
	f.StringArrayVar(&a.line.Routes, "route", nil, "add a route to each task (repeatable)")
}

// does wraps the body of a command, once it is known where it stands.
func (a *attempt) does(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.in = cmd.InOrStdin()
		return a.Does(func(ctx context.Context, args []string) error {
			var err error
			if a.user, err = userDir(); err != nil {
				return err
			}
			if dir, err := os.UserCacheDir(); err == nil {
				a.cache = filepath.Join(dir, "treeline", "try")
			}
			if a.work, err = trypush.Open(a.Dir()); err != nil {
				return err
			}
			return body(ctx, args)
		})(cmd, args)
	}
}

// userDir is the folder of the person's settings, presets and history.
func userDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where to keep presets: %w", err)
	}
	return filepath.Join(dir, "treeline"), nil
}

// say tells the person something that is no result.
func (a *attempt) say(format string, args ...any) { a.Screen().Print(format, args...) }

// messageOf is the commit's message: what the selector says in the place of {msg}, and who made it.
func (a *attempt) messageOf(usual string) string {
	text := strings.ReplaceAll(a.message, "{msg}", usual)
	if a.closedTree {
		text += " CLOSED TREE"
	}
	return strings.TrimSpace(text) + "\n\nPushed via `treeline try " + a.selector + "`"
}
