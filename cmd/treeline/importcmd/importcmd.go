// Package importcmd is the command treeline import: it makes a configuration out of one that was written for another
// system.
package importcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/cmd/treeline/localcmd"
	"github.com/treeline-ci/treeline/importer/actions"
	"github.com/treeline-ci/treeline/local/starter"
)

// exitLeft is how the program ends when something was not converted.
const exitLeft = exit.Code(3)

// New returns the command.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Make a configuration out of another system's",
	}
	cmd.AddCommand(newGitHubActions())
	return cmd
}

// importing is the command's options.
type importing struct {
	runners, workflows   []string
	repository           string
	images, force        bool
	dryRun, diff, asJSON bool
	out                  io.Writer
	screen               *screen.Screen
}

func newGitHubActions() *cobra.Command {
	i := &importing{}
	cmd := &cobra.Command{
		Use:   "github-actions [DIR]",
		Short: "Convert workflows of GitHub Actions",
		Long: `Reads .github/workflows of the repository and writes what says the same to Treeline: .taskcluster.yml,
taskcluster/config.yml, a kind for each workflow, and .cron.yml for schedules and what is started by hand.

What cannot be converted is never left out in silence: the report names file, line and what to do, the files say it
in a comment at the same place, and tasks say it in their logs. Nothing of the repository is run, and nothing that is
there is overwritten without --force.

Ends with 0 when everything was converted, with 3 when something was left to do, and with 1 when nothing could be
read or written.`,
		Example: `  treeline import github-actions --dry-run     # the report and the files, without writing any
  treeline import github-actions --workflow ci --images
  treeline import github-actions --runner ubuntu-latest=proj-mine/linux --runner self-hosted=proj-mine/metal
  treeline import github-actions --diff        # what would change in files that are there`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i.out, i.screen = cmd.OutOrStdout(), screen.New(cmd.ErrOrStderr(), false)
			return i.run(cmd.Context(), append(args, ".")[0])
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&i.workflows, "workflow", nil, "convert only this file of .github/workflows; repeatable")
	f.StringArrayVar(&i.runners, "runner", nil, "LABEL=ALIAS or LABEL=PROVISIONER/WORKER-TYPE: which worker serves a label of runs-on; repeatable")
	f.BoolVar(&i.images, "images", false, "let jobs that set up one language (setup-go, setup-node, …) run in its image")
	f.StringVar(&i.repository, "repository", "", "OWNER/NAME at GitHub, in the place of what the remote says")
	f.BoolVarP(&i.force, "force", "f", false, "overwrite files that are there")
	f.BoolVarP(&i.dryRun, "dry-run", "n", false, "print the files and write nothing")
	f.BoolVar(&i.diff, "diff", false, "print how the files would differ from those that are there, and write nothing")
	f.BoolVar(&i.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (i *importing) run(ctx context.Context, dir string) (err error) {
	runners, err := i.table()
	if err != nil {
		return err
	}
	if dir, err = localcmd.Top(dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	p := localcmd.Project(ctx, dir)
	if i.repository == "" && p.Forge == "GitHub" {
		i.repository = strings.TrimPrefix(p.Remote, "https://github.com/")
	}
	r, err := actions.Convert(root.FS(), p, actions.Options{Runners: runners, Workflows: i.workflows, Images: i.images, Repository: i.repository})
	if err != nil {
		return err
	}
	if err := i.report(r); err != nil {
		return err
	}
	switch {
	case i.diff:
		err = i.differences(root, r.Files)
	case i.dryRun:
		err = i.show(r.Files)
	default:
		err = i.write(root, r)
	}
	if err == nil && !r.Whole() {
		return exitLeft
	}
	return err
}

// table reads --runner.
func (i *importing) table() (map[string]string, error) {
	out := map[string]string{}
	for _, r := range i.runners {
		label, to, ok := strings.Cut(r, "=")
		if !ok || label == "" || to == "" || strings.Count(to, "/") > 1 {
			return nil, fmt.Errorf("--runner %s: must be LABEL=ALIAS or LABEL=PROVISIONER/WORKER-TYPE", r)
		}
		out[label] = to
	}
	return out, nil
}

func (i *importing) show(files []starter.File) error {
	if i.asJSON {
		return nil
	}
	return starter.Show(i.out, files)
}

// write writes all files, or none when one is there that must not be overwritten.
func (i *importing) write(root *os.Root, r *actions.Result) error {
	var there []string
	for _, f := range r.Files {
		old, err := root.ReadFile(f.Name)
		if _, err2 := root.Lstat(f.Name); err2 == nil && (err != nil || string(old) != f.Content) {
			there = append(there, f.Name)
		}
	}
	if len(there) > 0 && !i.force {
		return fmt.Errorf("%s: there already, and nothing was written (--diff shows the difference, --force overwrites)", strings.Join(there, ", "))
	}
	for _, f := range r.Files {
		if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(f.Name, []byte(f.Content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	if !i.asJSON {
		i.next(r)
	}
	return nil
}

func (i *importing) differences(root *os.Root, files []starter.File) error {
	if i.asJSON {
		return nil
	}
	for _, f := range files {
		old, err := root.ReadFile(f.Name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read %s: %w", f.Name, err)
		}
		if _, err := io.WriteString(i.out, difference(f.Name, string(old), f.Content)); err != nil {
			return err
		}
	}
	return nil
}

// report tells what became of each workflow, and all remarks.
func (i *importing) report(r *actions.Result) error {
	if i.asJSON {
		enc := json.NewEncoder(i.out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"result": r, "whole": r.Whole(), "written": !i.dryRun && !i.diff})
	}
	for _, w := range r.Workflows {
		colour, text := screen.Green, fmt.Sprintf("converted whole: %d jobs, %d tasks of the kind %s", w.Jobs, w.Tasks, w.Kind)
		switch {
		case w.State == actions.Partly:
			colour, text = screen.Yellow, fmt.Sprintf("converted but for %d: %d jobs, %d tasks of the kind %s", w.Left, w.Jobs, w.Tasks, w.Kind)
		case w.State == actions.Refused:
			colour, text = screen.Red, "not converted"
		case w.Kind == "":
			text = "part of the workflows that call it"
		}
		i.screen.Line(colour, w.File, text)
		for _, m := range r.Remarks {
			if m.File == w.File {
				i.screen.Print("  %s", m)
			}
		}
	}
	for _, m := range r.Remarks {
		if !strings.HasPrefix(m.File, actions.Directory+"/") {
			i.screen.Print("  %s", m)
		}
	}
	return nil
}

// next says what is left to do outside of the files.
func (i *importing) next(r *actions.Result) {
	i.screen.Print("")
	for _, f := range r.Files {
		i.screen.Print("  wrote %-40s %s", f.Name, f.Why)
	}
	if len(r.Secrets) > 0 {
		i.screen.Print("\nSecrets to set, and to give to the role of the branch that may read them (docs/how-to/use-a-secret.md):")
		for _, s := range r.Secrets {
			i.screen.Print("  treeline secret set %s --key value    # scope %s; %s", s.Name, s.Scope, strings.Join(s.Tasks, ", "))
		}
	}
	i.screen.Print("\nWorkers to run:")
	for _, w := range r.Workers {
		i.screen.Print("  %-16s queue %s (%s), for runs-on: %s", w.Alias, w.Queue, w.OS, w.Labels)
	}
	if len(r.Files) > 0 {
		i.screen.Print(`
Next:
  treeline taskgraph full                        the tasks that this makes
  treeline taskgraph load-task LABEL --develop   run one of them here
  git add .taskcluster.yml .cron.yml taskcluster && git commit -m "Continuous integration on Treeline"`)
	}
}
