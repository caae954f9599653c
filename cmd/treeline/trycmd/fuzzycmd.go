package trycmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/fuzzy"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/labels"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/picker"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
)

// fuzzyCommand is one use of treeline try fuzzy.
type fuzzyCommand struct {
	*attempt
	show, interactive, chunks bool
}

func newFuzzy() *cobra.Command {
	c := &fuzzyCommand{attempt: newAttempt("fuzzy")}
	cmd := &cobra.Command{
		Use:   "fuzzy",
		Short: "Pick tasks in the terminal, or by queries",
		Long: `Shows the tasks that a push would select (with --full all tasks) and looks for what you type, at each
key. The words of a query must all match: each in its order of letters, 'exactly, ^at the begin, at the
end$, !not; a | b is one of them. A capital letter tells capital from small ones.

  enter      take the tasks picked, or else the one under the cursor
  tab        pick, or not          ^a ^d ^t   all that match, none of them, the others
  ^o         preview on and off    ^u ^w      take back the query, a word of it
  esc        stop

With -q nothing is asked: the tasks that a query finds are taken, of several queries all, with --and
only those that all of them find. Chunks of a task are one entry, name-*, but with --show-chunk-numbers.

Presets are selections with a name: yours, and those of the tree's try-presets.yml. To a preset on the
command line all else is added: queries and other lists to its own, of the same variable the command
line's value counts, and so do its --rebuild and --strategy.`,
		Example: `  treeline try fuzzy
  treeline try fuzzy --full -q "'build !^test" --dry-run
  treeline try fuzzy -q "^test linux" -q "xpcshell" --and --save linux-xpcshell
  treeline try fuzzy --preset linux-xpcshell --env MOZ_LOG=all:5 --rebuild 3`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = c.does(func(ctx context.Context, _ []string) error { return c.run(ctx) })
	c.pushFlags(cmd, "q")
	c.taskFlags(cmd)
	c.presetFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&c.line.Query, "query", "q", nil, "take what this finds, without asking (repeatable)")
	f.BoolVarP(&c.line.And, "and", "x", false, "take only what all queries find")
	f.BoolVarP(&c.line.Exact, "exact", "e", false, "words match as they stand, those after ' in their order of letters")
	f.BoolVar(&c.line.Full, "full", false, "pick from all tasks, not only from those that a push would select")
	f.BoolVar(&c.show, "show", false, "only print what is picked")
	f.BoolVarP(&c.interactive, "interactive", "i", false, "ask also with -q or --preset, which are picked already")
	f.BoolVar(&c.chunks, "show-chunk-numbers", false, "show each chunk of a task")
	return cmd
}

func (c *fuzzyCommand) run(ctx context.Context) error {
	if done, err := c.presets(ctx); done || err != nil {
		return err
	}
	asked, err := c.under()
	if err != nil {
		return err
	}
	all, err := c.list(ctx, asked.Full)
	if err != nil {
		return err
	}
	if !c.chunks {
		all = all.Folded()
	}
	picked, err := query(all, asked)
	if err != nil {
		return err
	}
	typed := ""
	if c.interactive || len(asked.Query)+len(asked.Tasks) == 0 {
		if picked, typed, err = c.ask(ctx, all, asked, picked); err != nil {
			return err
		}
	}
	if len(picked) == 0 {
		return errNothing
	}
	if c.save != "" {
		saved := c.saved(asked)
		if len(asked.Query) == 0 || c.interactive {
			saved.Query, saved.Tasks = nil, picked
		}
		if err := c.savePreset(saved); err != nil {
			return err
		}
	}
	if c.show {
		_, err := fmt.Fprintln(c.Out(), strings.Join(picked, "\n"))
		return err
	}
	w, err := c.fileFor(picked, asked, map[string]any{"optimize_target_tasks": false})
	if err != nil {
		return err
	}
	w, err = c.withMessage(w, usualMessage(asked.Query, typed, len(picked)))
	if err != nil {
		return err
	}
	return c.finish(ctx, w)
}

func usualMessage(queries []string, typed string, n int) string {
	if typed != "" {
		queries = append(slices.Clone(queries), typed)
	}
	if len(queries) == 0 {
		return "Fuzzy: " + plural(n, "task")
	}
	return strings.ReplaceAll("Fuzzy query="+strings.Join(queries, "&query="), "try:", "try :")
}

// query gives the labels that queries find, and those named, in the order of the list.
func query(all labels.List, asked presets.Preset) ([]string, error) {
	names := all.Labels()
	list := fuzzy.New(names)
	votes := map[int]int{}
	for _, text := range asked.Query {
		for _, f := range list.Find(fuzzy.Parse(text, asked.Exact)) {
			votes[f.Index]++
		}
	}
	need := 1
	if asked.And {
		need = len(asked.Query)
	}
	maps.DeleteFunc(votes, func(_, n int) bool { return n < need })
	for _, label := range asked.Tasks {
		i, found := slices.BinarySearch(names, label)
		if !found {
			if i = slices.Index(names, label); i < 0 {
				return nil, fmt.Errorf("the preset names the task %q, which is not among %s; --full has all", label, plural(len(names), "task"))
			}
		}
		votes[i] = need
	}
	var out []string
	for _, i := range slices.Sorted(maps.Keys(votes)) {
		out = append(out, names[i])
	}
	return out, nil
}

// ask lets the person pick.
func (c *fuzzyCommand) ask(ctx context.Context, all labels.List, asked presets.Preset, picked []string) ([]string, string, error) {
	in, out := os.Stdin, os.Stderr // results may go to a file
	if !picker.IsTerminal(c.in, out) {
		return nil, "", errors.New("there is no terminal to pick in: say what to take with -q QUERY or --preset NAME")
	}
	about := all.ByLabel()
	labels, typed, err := picker.Run(ctx, in, out, picker.Options{
		Labels: all.Labels(), Exactly: asked.Exact, Picked: picked, Colour: os.Getenv("NO_COLOR") == "",
		Preview: func(label string) []string { return about[label].About() },
	})
	if errors.Is(err, picker.ErrStopped) {
		err = errors.New("stopped: nothing was pushed")
	}
	return labels, typed, err
}
