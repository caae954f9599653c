package trycmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/labels"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// parameters are the one set that the tasks are listed for.
func (a *attempt) parameters(ctx context.Context) (*params.Parameters, error) {
	sets, err := a.Parameters(ctx)
	if err != nil {
		return nil, err
	}
	if len(sets) != 1 {
		return nil, fmt.Errorf("this works with one set of parameters, and %d are given", len(sets))
	}
	return sets[0], nil
}

// list gives the tasks to pick from: those that a push would select, without uncommon ones, or all of them.
func (a *attempt) list(ctx context.Context, full bool) (labels.List, error) {
	p, err := a.parameters(ctx)
	if err != nil {
		return nil, err
	}
	key, err := labels.Key(p, a.Dir(), a.Root(), version())
	if err != nil {
		return nil, err
	}
	cache := labels.Cache{}
	if a.cache != "" {
		cache.Dir = filepath.Join(a.cache, "tasks")
	}
	all, ok := cache.Get(key, a.Tree())
	if !ok {
		if all, err = a.makeList(ctx, p, cache, key); err != nil {
			return nil, err
		}
	}
	if full {
		return all, nil
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(t labels.Task) bool { return !t.Target || t.Uncommon })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("with these parameters a push selects none of %s: --full picks from all, --parameters names others", plural(len(all), "task"))
	}
	return chosen, nil
}

func (a *attempt) makeList(ctx context.Context, p *params.Parameters, cache labels.Cache, key string) (labels.List, error) {
	var asked *labels.Recorder
	end := a.Listing(func(tree fs.FS) fs.FS {
		asked = labels.NewRecorder(tree)
		return asked
	})
	defer end()
	res, err := a.Generate(ctx, p, taskgraph.TargetSet)
	if err != nil {
		return nil, err
	}
	list, err := labels.From(res)
	if err != nil {
		return nil, err
	}
	if err := cache.Put(key, asked, list); err != nil {
		a.Screen().Note(err.Error()) // the list is of use all the same
	}
	return list, nil
}

// version names the program: another one may make another list of the same tree.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.time" || s.Key == "vcs.modified" {
			v += " " + s.Value
		}
	}
	return v
}

var errNothing = errors.New("nothing matches: no task was picked, and nothing pushed")
