package localcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/local/starter"
)

// initialize is the command's options.
type initialize struct {
	template      string
	force, dryRun bool
	json          bool
	out           io.Writer
	screen        *screen.Screen
}

func newInitCommand() *cobra.Command {
	i := &initialize{}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a configuration to begin with, for the repository as it is",
		Long: `Looks at the repository (build files, tests, the default branch, the forge of its remote) and writes a
.taskcluster.yml, taskcluster/config.yml and kinds that build and test what it found: Go, Rust, Node, Python,
CMake, make, shell scripts. It says what it found and what each file is for, runs nothing of the repository, and
overwrites nothing without --force.

The first commit of what it writes turns green on "treeline dev --repo DIR", if the commands it found do.`,
		Example: `  treeline taskgraph init
  treeline taskgraph init --dry-run            # what it would write
  treeline taskgraph init --template make ~/src/mine`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i.out, i.screen = cmd.OutOrStdout(), screen.New(cmd.ErrOrStderr(), false)
			return i.run(cmd.Context(), append(args, ".")[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.template, "template", "", "the kind of project, in the place of what is found: "+strings.Join(starter.Names(), ", "))
	f.BoolVarP(&i.force, "force", "f", false, "overwrite files that are there")
	f.BoolVarP(&i.dryRun, "dry-run", "n", false, "print the files and write nothing")
	f.BoolVar(&i.json, "json", false, "print what was found and written as JSON")
	return cmd
}

func (i *initialize) run(ctx context.Context, dir string) (err error) {
	if i.template != "" && !slices.Contains(starter.Names(), i.template) {
		return fmt.Errorf("there is no template %q; known are %s", i.template, strings.Join(starter.Names(), ", "))
	}
	if dir, err = Top(dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	p, besides := i.inspect(ctx, dir, root.FS())
	if len(p.Findings) == 0 {
		return fmt.Errorf("the template %s does not fit: %s has none of its files", i.template, dir)
	}
	files := p.Files()
	if i.json {
		enc := json.NewEncoder(i.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"project": p, "files": files, "written": !i.dryRun}); err != nil {
			return err
		}
	} else {
		i.explain(p, besides)
	}
	if i.dryRun {
		return i.show(files)
	}
	if err := i.refuse(root, files); err != nil {
		return err
	}
	for _, f := range files {
		if err := write(root, f); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	if !i.json {
		i.next(dir, files)
	}
	return nil
}

// Top is the top of the repository that dir is in, or dir.
func Top(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s is no directory", dir)
	}
	for d := abs; ; d = filepath.Dir(d) {
		for _, kind := range []string{".git", ".hg"} {
			if _, err := os.Stat(filepath.Join(d, kind)); err == nil {
				return d, nil
			}
		}
		if d == filepath.Dir(d) {
			return abs, nil
		}
	}
}

func (i *initialize) inspect(ctx context.Context, dir string, files fs.FS) (starter.Project, []starter.Finding) {
	p := Project(ctx, dir)
	var besides []starter.Finding
	p.Findings, besides = starter.Inspect(files, i.template)
	return p, besides
}

// Project is what version control says of the repository at dir, without findings.
func Project(ctx context.Context, dir string) starter.Project {
	p := starter.Project{Name: filepath.Base(dir), Type: "git", DefaultBranch: "main"}
	ask := func(args ...string) string {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HGPLAIN=1", "LC_ALL=C.UTF-8")
		out, err := cmd.Output()
		if err != nil {
			return "" // what version control does not know stays as it is
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
	remote := ""
	if _, err := os.Stat(filepath.Join(dir, ".hg")); err == nil {
		p.Type, p.DefaultBranch = "hg", "default"
		remote = ask("hg", "paths", "default")
	} else if first := ask("git", "remote"); first != "" {
		if ask("git", "remote", "get-url", "origin") != "" {
			first = "origin"
		}
		remote = ask("git", "remote", "get-url", first)
		if head := ask("git", "symbolic-ref", "--short", "refs/remotes/"+first+"/HEAD"); head != "" {
			p.DefaultBranch = strings.TrimPrefix(head, first+"/")
		} else if here := ask("git", "branch", "--show-current"); here != "" {
			p.DefaultBranch = here
		}
	} else if here := ask("git", "branch", "--show-current"); here != "" {
		p.DefaultBranch = here
	}
	p.Forge, p.Remote = starter.ReadRemote(remote)
	if p.Remote != "" {
		p.Name = p.Remote[strings.LastIndexByte(p.Remote, '/')+1:]
	}
	return p
}

func (i *initialize) explain(p starter.Project, besides []starter.Finding) {
	say := func(head, text string) { i.screen.Line(screen.Green, head, text) }
	where := "default branch " + p.DefaultBranch
	if p.Forge != "" {
		where += ", " + p.Remote + " (" + p.Forge + ")"
	}
	say(p.Name, p.Type+", "+where)
	for _, f := range p.Findings {
		say(f.Template, "because of "+f.Because)
		for _, j := range f.Jobs {
			i.screen.Print("  %-12s %s", j.Kind+"-"+j.Name, j.Command)
		}
	}
	for _, f := range besides {
		i.screen.Note(fmt.Sprintf("%s (%s) is not used: --template %s takes that instead", f.Because, f.Template, f.Template))
	}
	if p.Type == "hg" {
		i.screen.Note("treeline dev watches git repositories only, so far")
	}
}

// show prints the files.
func (i *initialize) show(files []starter.File) error {
	if i.json {
		return nil
	}
	return starter.Show(i.out, files)
}

// refuse keeps files that are there, unless they are to be overwritten.
func (i *initialize) refuse(root *os.Root, files []starter.File) error {
	var there []string
	for _, f := range files {
		if _, err := root.Lstat(f.Name); err == nil {
			there = append(there, f.Name)
		}
	}
	if len(there) == 0 || i.force {
		return nil
	}
	return fmt.Errorf("%s: there already, and nothing was written (--force overwrites, --dry-run shows what it would be)", strings.Join(there, ", "))
}

func write(root *os.Root, f starter.File) error {
	if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
		return err
	}
	return root.WriteFile(f.Name, []byte(f.Content), 0o644)
}

func (i *initialize) next(dir string, files []starter.File) {
	i.screen.Print("")
	for _, f := range files {
		i.screen.Print("  wrote %-34s %s", f.Name, f.Why)
	}
	i.screen.Print(`
Next:
  treeline taskgraph full                        the tasks that this makes
  treeline taskgraph load-task LABEL --develop   run one of them here
  git add .taskcluster.yml taskcluster && git commit -m "Continuous integration"
  treeline dev --repo %s`, dir)
}
