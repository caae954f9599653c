package admincmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/admin/check"
	"github.com/treeline-ci/treeline/admin/imports"
	"github.com/treeline-ci/treeline/admin/plan"
	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/admin/server"
	"github.com/treeline-ci/treeline/admin/tree"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
)

func now() time.Time { return time.Now() }

// yamlText writes a value indented.
func yamlText(v any) (string, error) {
	out, err := yaml.Marshal(v)
	if err != nil {
		return "", err
	}
	return "  " + strings.ReplaceAll(strings.TrimSuffix(string(out), "\n"), "\n", "\n  ") + "\n", nil
}

func (o *options) generate() *cobra.Command {
	var config bool
	cmd := &cobra.Command{
		Use: "generate", Short: "Print what the directory wants to be there", Args: cobra.NoArgs,
		Long: `Prints the resources that the directory makes, each with the place that says so. No server is asked.

With --server-config it prints the directory's repositories as the file that TREELINE_REPOSITORIES names:
how far pushes are trusted is for the server's configuration to say, and no API changes it.`,
		Example: `  treeline admin generate --dir ops
  treeline admin generate --dir ops --server-config > /etc/treeline/repositories.yml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := o.read(cmd)
			if err != nil {
				return err
			}
			if config {
				file, err := t.ServerFile()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(file)
				return err
			}
			list, err := o.kept(t.Resources(), t.Managed)
			if err != nil {
				return err
			}
			return o.show(cmd, list)
		},
	}
	cmd.Flags().BoolVar(&config, "server-config", false, "print the repositories as the server's file of repositories")
	return o.flags(cmd, true)
}

func (o *options) current() *cobra.Command {
	cmd := &cobra.Command{
		Use: "current", Short: "Print what the server has of what is managed", Args: cobra.NoArgs,
		Example: `  treeline admin current --dir ops --filter 'kind == "client"'`,
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			t, err := o.read(cmd)
			if err != nil {
				return err
			}
			set, err := server.New(c).State(cmd.Context(), t.Managed)
			if err != nil {
				return err
			}
			list, err := o.kept(set, t.Managed)
			if err != nil {
				return err
			}
			return o.show(cmd, list)
		}),
	}
	return o.flags(cmd, true)
}

func (o *options) diff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff", Short: "Show how the server differs from the directory", Args: cobra.NoArgs,
		Long: `Shows what apply would do: what is created (+), updated (~) and deleted (-), which secrets a person must
set (!), and who could do what they cannot do now (^), worked out over all roles. Exits with 1 when
something differs. The last line names the plan, for apply --expect.`,
		Example: `  treeline admin diff --dir ops
  treeline admin diff --dir ops --json | jq .growth`,
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			_, p, err := o.planned(cmd, c)
			if err != nil {
				return err
			}
			if o.json {
				err = printJSON(cmd.OutOrStdout(), p)
			} else {
				err = p.Write(cmd.OutOrStdout())
			}
			if err == nil && !p.Empty() {
				err = exit.Told
			}
			return err
		}),
	}
	return o.flags(cmd, true)
}

func (o *options) check() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Hold the directory against its checks", Args: cobra.NoArgs,
		Long: `Reads the directory, and makes the checks that it lists: conditions that must hold for what it makes. No
server is asked.`,
		Example: `  treeline admin check --dir ops`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := o.read(cmd)
			if err != nil {
				return err
			}
			failures, err := check.Run(t, t.Resources())
			if err != nil {
				return err
			}
			if o.json {
				if failures == nil {
					failures = []check.Failure{}
				}
				if err := printJSON(cmd.OutOrStdout(), failures); err != nil {
					return err
				}
			} else {
				for _, f := range failures {
					fmt.Fprint(cmd.OutOrStdout(), f.String())
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d of %d checks hold, %d resources\n", len(t.Checks)-len(failures), len(t.Checks), len(t.Resources()))
			}
			if len(failures) > 0 {
				return exit.Told
			}
			return nil
		},
	}
	return o.flags(cmd, false)
}

// applying is how apply is to be done.
type applying struct {
	growth, secrets bool
	expect          string
}

func (o *options) apply() *cobra.Command {
	var how applying
	cmd := &cobra.Command{
		Use: "apply", Short: "Make the server what the directory says", Args: cobra.NoArgs,
		Long: `Makes the changes that diff shows, in an order in which at no moment anybody can do more than the old
state or the new one allows; the directory's checks must hold. Before each write the resource is read
again: what somebody changed meanwhile is left, and apply ends. What was done stays; the same command
goes on from there, also after a crash.

When scopes would grow, nothing is done unless --allow-scope-growth says that this is meant. Secrets that
the directory does not name are removed with --remove-secrets only, since nobody can bring them back.
Changes that need a second person wait for "treeline admin approvals approve".`,
		Example: `  treeline admin apply --dir ops
  treeline admin apply --dir ops --allow-scope-growth --expect 4f1c09d2a7b3e855   # what was reviewed, and nothing else`,
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			t, p, err := o.planned(cmd, c)
			if err != nil {
				return err
			}
			return o.applied(cmd, server.New(c), t, p, how)
		}),
	}
	cmd.Flags().BoolVar(&how.growth, "allow-scope-growth", false, "go on when roles or clients get scopes that they had not")
	cmd.Flags().BoolVar(&how.secrets, "remove-secrets", false, "remove managed secrets that the directory does not name")
	cmd.Flags().StringVar(&how.expect, "expect", "", "the plan that a diff showed: do nothing if it is another by now")
	return o.flags(cmd, true)
}

func (o *options) applied(cmd *cobra.Command, s *server.Server, t *tree.Tree, p *plan.Plan, how applying) error {
	if err := refusal(t, p, how); err != nil {
		if writing := p.Write(cmd.ErrOrStderr()); writing != nil {
			return writing
		}
		return err
	}
	phases, err := p.Phases()
	if err != nil {
		return err
	}
	done := 0
	err = s.Apply(cmd.Context(), phases, func(phase string, step plan.Step) {
		done++
		if !o.json {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s\n", phase, step.Why, step.Key)
		}
	})
	if o.json && err == nil {
		err = printJSON(cmd.OutOrStdout(), map[string]any{"plan": p, "writes": done})
	}
	if err != nil {
		return fmt.Errorf("after %d writes: %w", done, err)
	}
	missing := 0
	for _, c := range p.Changes {
		if c.Action == plan.Missing {
			missing++
			fmt.Fprintf(cmd.ErrOrStderr(), "! %s is not there: set it with \"treeline secret set %s\"\n", c.Key, c.ID)
		}
	}
	if !o.json {
		fmt.Fprintf(cmd.OutOrStdout(), "%d writes\n", done)
	}
	if missing > 0 {
		return exit.Told
	}
	return nil
}

// refusal is why a plan is not to be applied.
func refusal(t *tree.Tree, p *plan.Plan, how applying) error {
	if how.expect != "" && how.expect != p.Digest {
		return fmt.Errorf("the plan is %s by now and not %s: the server or the directory has changed; nothing is done", p.Digest, how.expect)
	}
	failures, err := check.Run(t, t.Resources())
	if err != nil {
		return err
	}
	if len(failures) > 0 {
		return fmt.Errorf("nothing is done: %s", strings.TrimSpace(failures[0].String()))
	}
	if len(p.Growth) > 0 && !how.growth {
		return fmt.Errorf("%d roles and clients would get scopes that they had not (^ above); nothing is done. If this is meant, add --allow-scope-growth", len(p.Growth))
	}
	for _, c := range p.Changes {
		if c.Kind == resource.Secret && c.Action == plan.Delete && !how.secrets {
			return fmt.Errorf("%s is managed and not in the directory; nothing is done. Name it there, or add --remove-secrets to remove it for good", c.Key)
		}
	}
	return nil
}

// usual is what import takes when nothing is named: all but what the server makes for actions of trees, and
// the clients of people who sign in.
var usual = []string{"!client:*|*", "!hook:*/in-tree-action-*", "!role:hook-id:*/in-tree-action-*", "role:*", "client:*", "hook:*", "worker-pool:*", "secret:*", "denylist:*"}

func (o *options) imports() *cobra.Command {
	var patterns []string
	cmd := &cobra.Command{
		Use: "import DIRECTORY", Short: "Write what the server has as a directory", Args: cobra.ExactArgs(1),
		Long: `Writes what a server has as the files of a new directory, so that a diff of the two is empty. Secrets
appear by name alone. Clients that begin with static/ are the configuration's and are left out.`,
		Example: `  treeline admin import ops
  treeline admin import ops --managed 'role:repo:github.com/acme/*' --managed 'hook:project-acme/*'`,
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var managed resource.Patterns
			for _, text := range patterns {
				p, err := resource.ParsePattern(text)
				if err != nil {
					return fmt.Errorf("--managed: %w", err)
				}
				managed = append(managed, p)
			}
			set, err := server.New(c).State(cmd.Context(), managed)
			if err != nil {
				return err
			}
			files, notes, err := imports.Write(set, managed)
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), n)
			}
			return writeAll(cmd, args[0], files)
		}),
	}
	cmd.Flags().StringArrayVar(&patterns, "managed", usual, "what to take, and to manage from then")
	return cmd
}

// writeAll writes files into a directory that has none of them.
func writeAll(cmd *cobra.Command, dir string, files imports.Files) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return errors.New(found[0] + " is there already: give a directory without YAML files")
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o666); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), path)
	}
	return nil
}
