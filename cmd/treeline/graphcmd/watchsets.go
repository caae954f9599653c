package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/watch"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// watched is what --watch knows of one set.
type watched struct {
	name  string
	graph *graph.Graph // the last one; nil before the first
	files []string     // that it was made from
}

// watchSets prints the results, and after each change of what they were made from which tasks
// changed. It ends when ctx does. A fault is told and waited out.
func (c *stageCommand) watchSets(ctx context.Context, sets []parameterSet) error {
	last := make([]watched, len(sets))
	for i, set := range sets {
		last[i].name = set.name
		if err := c.again(ctx, set, &last[i], len(sets) > 1, true); err != nil {
			return err
		}
	}
	var ignore []string
	for _, set := range sets {
		if c.output != "" {
			ignore = append(ignore, c.outputName(set, len(sets) > 1))
		}
	}
	return watch.Run(ctx, watch.Options{
		Look:    func() (dirs, files []string) { return c.look(last) },
		Ignore:  ignore,
		Ready:   func() { c.screen.Note("watching; Ctrl-C ends it") },
		Changed: func(ctx context.Context, names []string) error { return c.changed(ctx, names, last) },
	})
}

// look names what the graphs depend on: the directory of the configuration, what else of the tree
// was read, and files of parameters.
func (c *stageCommand) look(last []watched) (dirs, files []string) {
	dirs = []string{filepath.Join(c.top, c.root)}
	for _, w := range last {
		for _, f := range w.files {
			files = append(files, filepath.Join(c.top, filepath.FromSlash(f)))
		}
	}
	for _, spec := range c.specs {
		if info, err := os.Stat(spec); err == nil && info.IsDir() {
			dirs = append(dirs, spec)
		} else if err == nil {
			files = append(files, spec)
		}
	}
	return dirs, files
}

// changed generates anew and tells what became different.
func (c *stageCommand) changed(ctx context.Context, names []string, last []watched) error {
	for i, n := range names {
		if rel, err := filepath.Rel(c.top, n); err == nil && filepath.IsLocal(rel) {
			names[i] = filepath.ToSlash(rel)
		}
	}
	c.screen.Print("%s %s", c.screen.Paint(screen.Faint, time.Now().Format(time.TimeOnly)), strings.Join(names, " "))
	sets, err := c.parameters(ctx)
	if err != nil {
		return c.waitOut(c.tell(err))
	}
	for _, set := range sets {
		i := slices.IndexFunc(last, func(w watched) bool { return w.name == set.name })
		if i < 0 {
			continue // a file of parameters that came later; it has no result to compare with
		}
		if err := c.again(ctx, set, &last[i], len(sets) > 1, false); err != nil {
			return err
		}
	}
	return nil
}

// waitOut keeps watching after what is wrong was told.
func (c *stageCommand) waitOut(err error) error {
	if err == nil || errors.Is(err, exit.Told) {
		return nil
	}
	c.screen.Fault(err.Error())
	return nil
}

// again generates for one set: the first time the result is printed, later what changed in it.
func (c *stageCommand) again(ctx context.Context, set parameterSet, w *watched, several, first bool) error {
	res, err := c.made(ctx, set)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return c.waitOut(c.tell(err))
	}
	before := w.graph
	w.graph, w.files = c.graph(res), res.Files
	if first || c.output != "" {
		if err := c.write(w.graph, set, several); err != nil {
			return err
		}
	}
	if first {
		return nil
	}
	return c.differences(watch.Compare(before, w.graph), set.name, several)
}

// maxKeys of a changed task are shown.
const maxKeys = 6

// differences prints changes, a task a line: + added, - removed, ~ changed.
func (c *stageCommand) differences(d watch.Changes, name string, several bool) error {
	var b strings.Builder
	if several {
		fmt.Fprintf(&b, "%s:\n", name)
	}
	paint := screen.New(c.out, false).Paint
	for _, l := range d.Added {
		fmt.Fprintln(&b, paint(screen.Green, "+ "+l))
	}
	for _, l := range d.Removed {
		fmt.Fprintln(&b, paint(screen.Red, "- "+l))
	}
	for _, t := range d.Changed {
		more := ""
		if n := len(t.Keys) - maxKeys; n > 0 {
			t.Keys, more = t.Keys[:maxKeys], fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(&b, "%s: %s%s\n", paint(screen.Yellow, "~ "+t.Label), strings.Join(t.Keys, ", "), more)
	}
	if d.Empty() {
		fmt.Fprintln(&b, "no task changed")
	}
	_, err := fmt.Fprint(c.out, b.String())
	return err
}
