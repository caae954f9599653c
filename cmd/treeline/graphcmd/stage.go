package graphcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// graphStage is a command that prints the graph after one stage.
type graphStage struct {
	name, short string
	aliases     []string
	upTo        taskgraph.Stage
	graph       func(*taskgraph.Result) *graph.Graph
}

func graphStages() []graphStage {
	full := func(r *taskgraph.Result) *graph.Graph { return r.Full }
	return []graphStage{
		{name: "full", aliases: []string{"tasks"}, short: "Print all tasks of all kinds", upTo: taskgraph.Full, graph: full},
		{name: "target", short: "Print the tasks that the event selects", upTo: taskgraph.TargetSet,
			graph: func(r *taskgraph.Result) *graph.Graph { return r.Full.Subgraph(r.TargetSet) }},
		{name: "target-graph", short: "Print the tasks selected and all they depend on", upTo: taskgraph.Target,
			graph: func(r *taskgraph.Result) *graph.Graph { return r.Target }},
		{name: "optimized", short: "Print the tasks left after optimization, by task id", upTo: taskgraph.Optimized,
			graph: func(r *taskgraph.Result) *graph.Graph { return r.Optimized }},
		{name: "morphed", short: "Print the tasks as they would be created, by task id", upTo: taskgraph.Morphed,
			graph: func(r *taskgraph.Result) *graph.Graph { return r.Morphed }},
	}
}

// stageCommand is one use of such a command.
type stageCommand struct {
	generator
	graphStage
	json, yaml, labels bool
	tasks              string
	exclude            []string
	output             string
	localFiles         bool
	jobs               int
	watch              bool
	diff               string // revision to compare with; defaultBase for where the local commits begin
	ignored            bool   // of options that change nothing

	only *regexp.Regexp // --tasks
}

func newStageCommand(stage graphStage) *cobra.Command {
	c := &stageCommand{graphStage: stage}
	cmd := &cobra.Command{
		Use:     stage.name,
		Aliases: stage.aliases,
		Short:   stage.short,
		Long: stage.short + `: labels one a line, or JSON with -J, or YAML with -Y. Everything else that is said goes
to standard error. The exit code is 0, or 1 when there is no graph for a set of parameters; the
others are printed nevertheless.` + parametersHelp,
		Example: "  treeline taskgraph " + stage.name + "\n  treeline taskgraph " + stage.name + " -J -p parameters.yml -o out.json\n" +
			"  treeline taskgraph " + stage.name + " -p params/push.yml -p params/cron.yml -o out/" + stage.name + ".txt\n" +
			"  treeline taskgraph " + stage.name + " --watch           # again after each change of the configuration",
		Args: cobra.NoArgs,
		RunE: c.does(func(ctx context.Context, _ []string) error { return c.print(ctx) }),
	}
	c.flags(cmd)
	c.stageFlags(cmd)
	return cmd
}

func (c *stageCommand) stageFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&c.json, "json", "J", false, "print JSON")
	f.BoolVarP(&c.yaml, "yaml", "Y", false, "print YAML")
	f.BoolVarP(&c.labels, "labels", "L", false, "print labels, one a line (default)")
	f.StringVar(&c.tasks, "tasks", "", "only tasks whose label starts with a match of this regular expression (also --tasks-regex)")
	f.StringArrayVar(&c.exclude, "exclude-key", nil, "leave out this key of every task, such as task.payload (repeatable)")
	f.StringVarP(&c.output, "output", "o", "", "write to this file (also --output-file); {params} in it, or with several sets _{params} before the extension, stands for the set's name")
	f.BoolVar(&c.localFiles, "force-local-files-changed", false, "take files_changed from the work tree, whatever the parameters say")
	f.IntVarP(&c.jobs, "jobs", "j", runtime.NumCPU(), "how many parameter sets to generate for at once (also --max-workers)")
	f.Lookup("jobs").DefValue = "the number of processors" // the same help on every machine
	f.BoolVar(&c.watch, "watch", false, "stay, and after each change of the configuration print which tasks changed")
	f.StringVar(&c.diff, "diff", "", "print what differs from this `revision` (see taskgraph diff; without one, from where your commits began)")
	f.Lookup("diff").NoOptDefVal = defaultBase
	f.BoolVarP(&c.fast, "fast", "F", false, "leave out digests of cached tasks and contexts of images; such tasks have no optimization then")
	f.BoolVar(&c.ignored, "no-optimize", false, "accepted for old scripts, in which it never did anything")
	also := map[string]string{"tasks-regex": "tasks", "output-file": "output", "max-workers": "jobs"}
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if known, ok := also[name]; ok {
			name = known
		}
		return pflag.NormalizedName(name)
	})
	cmd.MarkFlagsMutuallyExclusive("json", "yaml", "labels")
}

func (c *stageCommand) print(ctx context.Context) error {
	var err error
	if c.only, err = regexp.Compile(`\A(?:` + c.tasks + `)`); err != nil {
		return fmt.Errorf("--tasks: %w", err)
	}
	if c.diff != "" {
		return c.printDiff(ctx)
	}
	sets, err := c.parameters(ctx)
	if err != nil {
		return err
	}
	if c.watch {
		return c.watchSets(ctx, sets)
	}
	if len(sets) == 1 {
		return c.printSet(ctx, sets[0], false)
	}
	return c.printAll(ctx, sets)
}

// printAll generates for several sets at once and prints in their order.
func (c *stageCommand) printAll(ctx context.Context, sets []parameterSet) error {
	type printed struct {
		out, err bytes.Buffer
		fault    error
	}
	all := make([]printed, len(sets))
	var g errgroup.Group
	g.SetLimit(max(c.jobs, 1))
	for i, set := range sets {
		g.Go(func() error {
			one := *c
			one.streams(&all[i].out, &all[i].err)
			all[i].fault = one.tell(one.printSet(ctx, set, true))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var fault error
	for i := range all {
		_, err := all[i].err.WriteTo(c.err)
		_, err2 := all[i].out.WriteTo(c.out)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if all[i].fault != nil && !errors.Is(all[i].fault, exit.Told) {
			c.screen.Fault(all[i].fault.Error())
		}
		if all[i].fault != nil {
			fault = exit.Told
		}
	}
	return fault
}

// made is the graph of the stage for one set.
func (c *stageCommand) made(ctx context.Context, set parameterSet) (*taskgraph.Result, error) {
	p := set.params
	if c.localFiles {
		var err error
		if p, err = p.With("files_changed", c.checkout.Facts(ctx).FilesChanged); err != nil {
			return nil, err
		}
	}
	return c.generate(ctx, p, c.upTo)
}

func (c *stageCommand) printSet(ctx context.Context, set parameterSet, several bool) error {
	res, err := c.made(ctx, set)
	if err != nil {
		if several {
			c.screen.Print("parameters %s:", set.name)
		}
		return err
	}
	return c.write(c.graph(res), set, several)
}

// write writes the result of a set to where it belongs.
func (c *stageCommand) write(g *graph.Graph, set parameterSet, several bool) error {
	if c.output == "" {
		if several {
			c.screen.Print("Dumping result with parameters %s:", set.name)
		}
		return c.format(c.out, g)
	}
	f, err := os.Create(c.outputName(set, several))
	if err != nil {
		return err
	}
	return errors.Join(c.format(f, g), f.Close())
}

// outputName is the file that the result of a set goes to.
func (c *stageCommand) outputName(set parameterSet, several bool) string {
	name := c.output
	if several && !strings.Contains(name, "{params}") {
		ext := filepath.Ext(name)
		name = strings.TrimSuffix(name, ext) + "_{params}" + ext
	}
	return strings.ReplaceAll(name, "{params}", set.name)
}

// format writes g in the form asked for, and an empty line after it.
func (c *stageCommand) format(w io.Writer, g *graph.Graph) error {
	if c.tasks == "" && len(c.exclude) == 0 && c.json { // large graphs are not held as text
		err := g.WriteIndent(w)
		_, end := io.WriteString(w, "\n\n")
		return errors.Join(err, end)
	}
	text, err := c.text(g)
	if err == nil {
		_, err = io.WriteString(w, text+"\n")
	}
	return err
}

// text is g in the form asked for, of the tasks asked for without the keys not wanted.
func (c *stageCommand) text(g *graph.Graph) (string, error) {
	tasks := map[string]any{}
	var labels []string
	for key, t := range g.All() {
		if !c.only.MatchString(t.Label) {
			continue
		}
		labels = append(labels, t.Label)
		if c.json || c.yaml {
			m := t.JSON()
			for _, path := range c.exclude {
				m = without(m, strings.Split(path, "."))
			}
			tasks[key] = m
		}
	}
	switch {
	case c.json:
		b, err := graph.AppendJSON(nil, tasks)
		return string(b) + "\n", err
	case c.yaml:
		return yamlText(tasks)
	}
	return labelText(labels), nil
}

// without is m without what stands at path; m is not changed.
func without(m map[string]any, path []string) map[string]any {
	v, has := m[path[0]]
	if !has {
		return m
	}
	out := make(map[string]any, len(m))
	for k, e := range m {
		out[k] = e
	}
	if len(path) == 1 {
		delete(out, path[0])
	} else if inner, ok := v.(map[string]any); ok {
		out[path[0]] = without(inner, path[1:])
	}
	return out
}

// yamlText writes v as YAML by way of JSON, so that all numbers and texts keep their type.
func yamlText(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var plain any
	if err := yaml.Unmarshal(b, &plain); err != nil {
		return "", err
	}
	var out strings.Builder
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err = enc.Encode(plain)
	return out.String() + "\n", err
}
