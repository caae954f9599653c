package graphcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
)

// asksTry puts what a push to try asks for into d; it reports false for other pushes.
func (c *decisionCommand) asksTry(hooks *taskgraph.Hooks, d *params.Decision) (bool, error) {
	if !c.try && !hooks.IsTry(*d) {
		return false, nil
	}
	src, err := os.ReadFile(c.overrideFile)
	if errors.Is(err, fs.ErrNotExist) {
		src, err = nil, nil
	}
	if err != nil {
		return true, err
	}
	asked, err := hooks.Try(*d, src, c.overrideFile)
	if err != nil {
		return true, err
	}
	d.Try, c.notes = asked.Values, asked.Notes
	for _, n := range c.notes {
		fmt.Fprintf(c.err, "warning: %v\n", n)
	}
	return true, nil
}

// publishNotes writes what was left out of account of a push to try, for the page of the push.
func (c *decisionCommand) publishNotes(warnings []*graph.Error) error {
	notes := c.notes
	for _, w := range warnings {
		if w.File == trysyntax.Place || w.File == tryconfig.Name {
			notes = append(notes, w)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	return c.write(decision.NotesName, func() ([]byte, error) { return decision.WriteNotes(notes) })
}
