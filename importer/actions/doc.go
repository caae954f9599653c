// Package actions turns workflows of GitHub Actions into the configuration that Treeline reads in the tree: a
// .taskcluster.yml, taskcluster/config.yml, a kind for each workflow and a .cron.yml. It is pure: files in, files and
// remarks out; nothing is run and nothing is asked of a network.
//
// What it cannot convert is never left out in silence: a Remark says where it stood and what to do, the files say it
// in a comment at the place where it would be, and a task says it in its log.
//
// Workflows are read as anybody might have written them. Size, depth, what aliases stand for, matrices, nesting of
// actions and of expressions, and the size of what is written are bounded; what is beyond a bound is an error that names
// file and line.
package actions

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/local/starter"
)

// Directory is where workflows are.
const Directory = ".github/workflows"

// Options are what a conversion may be told.
type Options struct {
	// Runners says which worker serves a label of runs-on: an alias (linux), or provisioner/worker-type.
	Runners map[string]string
	// Workflows are the names of files, with or without directory and extension; empty for all. What those before have
	// brought over stays.
	Workflows []string
	// Images lets jobs that set up one language run in the image of that language.
	Images bool
	// Repository is owner/name at GitHub, "" if it is not known.
	Repository string
}

// Result is what a conversion gives.
type Result struct {
	Files     []starter.File `json:"files"`
	Workflows []Outcome      `json:"workflows"`
	Remarks   []Remark       `json:"remarks"`
	Secrets   []Secret       `json:"secrets"`
	Workers   []Worker       `json:"workers"`
}

// Outcome is what became of a workflow.
type Outcome struct {
	File  string `json:"file"`
	Kind  string `json:"kind,omitempty"`
	State State  `json:"state"`
	Jobs  int    `json:"jobs"`
	Tasks int    `json:"tasks"`
	Left  int    `json:"left"` // how many things were not converted
}

// State says how far a workflow was converted.
type State string

// The states of a workflow.
const (
	Whole   State = "whole"   // everything; there may be remarks about what differs
	Partly  State = "partly"  // something was left, and is named
	Refused State = "refused" // nothing of it could be
)

// Secret is one that tasks read.
type Secret struct {
	Name  string   `json:"name"`  // its name in Treeline
	Scope string   `json:"scope"` // what the role of the branch needs
	Tasks []string `json:"tasks"`
}

// Worker is a kind of worker that tasks ask for.
type Worker struct {
	Alias          string `json:"alias"`
	Queue          string `json:"queue"`
	Implementation string `json:"implementation"`
	OS             string `json:"os"`
	Labels         string `json:"labels"` // of runs-on
}

// Whole reports whether everything was converted.
func (r *Result) Whole() bool {
	return !slices.ContainsFunc(r.Workflows, func(o Outcome) bool { return o.State != Whole })
}

// Convert converts the workflows of a repository. The project says what it is called and where it is; its findings are
// not used. An error means that there is nothing to convert; what is wrong with one workflow is a remark.
func Convert(files fs.FS, p starter.Project, o Options) (*Result, error) {
	names, err := workflows(files, o.Workflows)
	if err != nil {
		return nil, err
	}
	c := &converter{files: files, project: p, options: o, result: &Result{}, workers: map[string]*Worker{}, secrets: map[string]*Secret{}}
	for _, name := range names {
		c.workflow(name)
	}
	if len(o.Workflows) > 0 && len(c.flows) > 0 {
		rest, err := workflows(files, nil)
		if err != nil {
			return nil, err
		}
		for _, name := range rest {
			if !slices.Contains(names, name) {
				c.keep(name)
			}
		}
		slices.SortStableFunc(c.flows, func(a, b *flow) int { return strings.Compare(a.file, b.file) })
	}
	c.write()
	slices.SortStableFunc(c.result.Remarks, func(a, b Remark) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		return a.Line - b.Line
	})
	c.result.Remarks = slices.Compact(c.result.Remarks)
	return c.result, nil
}

const maxWorkflows = 200

func workflows(files fs.FS, wanted []string) ([]string, error) {
	entries, err := fs.ReadDir(files, Directory)
	if err != nil {
		return nil, fmt.Errorf("%s: there are no workflows of GitHub Actions here: %w", Directory, err)
	}
	var all []string
	for _, e := range entries {
		if ext := path.Ext(e.Name()); !e.IsDir() && (ext == ".yml" || ext == ".yaml") {
			all = append(all, Directory+"/"+e.Name())
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no .yml and no .yaml file", Directory)
	}
	if len(all) > maxWorkflows {
		return nil, fmt.Errorf("%s holds %d workflows; the limit is %d: name those to convert with --workflow", Directory, len(all), maxWorkflows)
	}
	if len(wanted) == 0 {
		return all, nil
	}
	var out []string
	for _, w := range wanted {
		at := slices.IndexFunc(all, func(name string) bool {
			base := path.Base(name)
			return name == path.Clean(w) || base == w || strings.TrimSuffix(base, path.Ext(base)) == w
		})
		if at < 0 {
			return nil, fmt.Errorf("there is no workflow %q in %s; there are %s", w, Directory, strings.Join(all, ", "))
		}
		out = append(out, all[at])
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
