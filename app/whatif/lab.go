// Package whatif tries configurations without doing anything: an event, real or made up, and a tree with some of its
// files written anew. It renders .taskcluster.yml as the intake of pushes and webhooks does, makes the task graph as a
// decision does, and compares with the default branch. It is behind the pages config-debug and quickstart.
//
// What it is given was written by anybody. Each try has a time and an amount of memory, and few run at once; nothing
// is asked of an index, a secret or a network beyond the files of the repository, and nothing is ever created.
package whatif

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/ui/debug"
)

// Limits of a try.
const (
	DefaultLimit  = 10 * time.Second
	DefaultMemory = 1 << 30
	atOnce        = 2
	maxFiles      = 400     // of a configuration that are listed
	maxText       = 1 << 20 // bytes of an edited file
	maxEdited     = 50
	maxLabels     = 3000
)

// Lab tries. It is safe for concurrent use.
type Lab struct {
	Push    *push.Log
	Open    func(ctx context.Context, r push.Repository) (intake.Forge, error)
	At      func(ctx context.Context, r push.Repository, revision string) (intake.Tree, error)
	LevelOf func(r push.Repository, branch string) int
	Expand  func(ctx context.Context, scopes []string) ([]string, error)
	Pool    *pgxpool.Pool // of webhooks
	RootURL string
	Limit   time.Duration // of one try; DefaultLimit when 0
	Memory  uint64        // bytes that the process may grow by; DefaultMemory when 0

	busy chan struct{}
}

// New makes a Lab; the fields stay as they are given.
func New(l Lab) *Lab {
	if l.Limit == 0 {
		l.Limit = DefaultLimit
	}
	if l.Memory == 0 {
		l.Memory = DefaultMemory
	}
	l.busy = make(chan struct{}, atOnce)
	return &l
}

// place is a repository at a revision.
type place struct {
	repository push.Repository
	ref        string // a branch, or the revision
	revision   string
	heads      map[string]string
}

// find resolves a branch or revision; "" is the default branch.
func (l *Lab) find(ctx context.Context, name, ref string) (place, error) {
	r, err := l.Push.Repository(ctx, name)
	if err != nil {
		if errors.Is(err, fault.NotFound) {
			err = fault.New(fault.NotFound, "There is no repository %q here.", name)
		}
		return place{}, err
	}
	forge, err := l.Open(ctx, r)
	if err != nil {
		return place{}, err
	}
	heads, err := forge.Heads(ctx)
	if err != nil {
		return place{}, fault.New(fault.Unavailable, "The repository %s cannot be read: %v", name, err)
	}
	p := place{repository: r, ref: ref, revision: ref, heads: heads}
	if ref == "" {
		p.ref = r.DefaultBranch
	}
	if head, ok := heads[p.ref]; ok {
		p.revision = head
		return p, nil
	}
	if ref == "" || !forge.Has(ctx, ref) {
		return p, fault.New(fault.NotFound, "The repository %s has no branch or revision %q.", name, p.ref)
	}
	return p, nil
}

// Bench implements debug.Lab.
func (l *Lab) Bench(ctx context.Context, repository, ref string) (debug.Bench, error) {
	p, err := l.find(ctx, repository, ref)
	if err != nil {
		return debug.Bench{}, err
	}
	b := debug.Bench{Repository: repository, Ref: p.ref, Revision: p.revision, Default: p.repository.DefaultBranch}
	if b.Occasions, err = l.occasions(ctx, p); err != nil {
		return b, err
	}
	tree, err := l.At(ctx, p.repository, p.revision)
	if err != nil {
		return b, told(err)
	}
	b.Files, err = configFiles(tree)
	return b, err
}

// configFiles lists what a configuration is made of: .taskcluster.yml and what lies below the graph's directory.
func configFiles(tree intake.Tree) ([]string, error) {
	list := []string{debug.ConfigFile}
	if _, err := tree.Stat(".cron.yml"); err == nil {
		list = append(list, ".cron.yml")
	}
	root, err := config.FindRoot(tree)
	if err != nil {
		return list, nil // there is no graph
	}
	var files []string
	err = fs.WalkDir(tree, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := path.Ext(name)
		if !d.IsDir() && (ext == ".yml" || ext == ".yaml" || ext == ".star" || ext == ".json") {
			files = append(files, name)
		}
		if len(files) >= maxFiles {
			return fs.SkipAll
		}
		return nil
	})
	slices.SortFunc(files, func(a, b string) int {
		if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return append(list, files...), err
}

// File implements debug.Lab.
func (l *Lab) File(ctx context.Context, repository, ref, name string) (string, error) {
	p, err := l.find(ctx, repository, ref)
	if err != nil {
		return "", err
	}
	tree, err := l.At(ctx, p.repository, p.revision)
	if err != nil {
		return "", told(err)
	}
	files, err := configFiles(tree)
	if err != nil {
		return "", err
	}
	if !slices.Contains(files, name) {
		return "", fault.New(fault.NotFound, "%s is no file of the configuration.", name)
	}
	text, err := tree.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // it can be written
	}
	if len(text) > maxText {
		return "", fault.New(fault.TooLarge, "%s has %d bytes; the page edits files of at most %d.", name, len(text), maxText)
	}
	return string(text), err
}

// told makes of what is wrong with a tree what the page says.
func told(err error) error {
	if wrong := intake.MistakeOf(err); wrong != nil {
		return fault.New(fault.NotFound, "%s", wrong.Message)
	}
	return err
}

// Try implements debug.Lab.
func (l *Lab) Try(ctx context.Context, r debug.Request) (debug.Outcome, error) {
	if len(r.Files) > maxEdited {
		return debug.Outcome{}, fault.New(fault.TooLarge, "At most %d files can be edited at once.", maxEdited)
	}
	for name, text := range r.Files {
		if len(text) > maxText {
			return debug.Outcome{}, fault.New(fault.TooLarge, "%s has more than %d bytes.", name, maxText)
		}
		if !fs.ValidPath(name) || name == "." {
			return debug.Outcome{}, fault.New(fault.BadArguments, "%q is no path of a file.", name)
		}
	}
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return debug.Outcome{}, fault.New(fault.Unavailable, "Others are trying configurations just now; try again in a moment.")
	}
	began := time.Now()
	bounded, cancel := graphdiff.Bound(ctx, l.Limit, l.Memory)
	defer cancel()
	out, err := l.try(bounded, r)
	if cause := context.Cause(bounded); ctx.Err() == nil && errors.Is(cause, graphdiff.ErrBeyond) {
		out.Beyond, err = "It was given up: "+strings.TrimPrefix(cause.Error(), graphdiff.ErrBeyond.Error()+": ")+".", nil
	}
	if err != nil {
		return debug.Outcome{}, told(err)
	}
	out.Millis = time.Since(began).Milliseconds()
	full(&out)
	return out, nil
}

// full makes lists of what is none.
func full(o *debug.Outcome) {
	if o.Mistakes == nil {
		o.Mistakes = []debug.Mistake{}
	}
	if o.Warnings == nil {
		o.Warnings = []string{}
	}
	if o.Tasks == nil {
		o.Tasks = []debug.Task{}
	}
	if o.Changes == nil {
		o.Changes = []debug.Change{}
	}
	if o.Scopes == nil {
		o.Scopes = []string{}
	}
}

func (l *Lab) try(ctx context.Context, r debug.Request) (debug.Outcome, error) {
	p, err := l.find(ctx, r.Repository, r.Ref)
	if err != nil {
		return debug.Outcome{}, err
	}
	o, err := l.occasion(ctx, p, r)
	if err != nil {
		return debug.Outcome{}, err
	}
	tree, err := l.At(ctx, p.repository, p.revision)
	if err != nil {
		return debug.Outcome{}, err
	}
	base := tree
	if p.ref != p.repository.DefaultBranch {
		head, ok := p.heads[p.repository.DefaultBranch]
		if !ok {
			return debug.Outcome{}, fault.New(fault.NotFound, "The default branch %s has no head.", p.repository.DefaultBranch)
		}
		if base, err = l.At(ctx, p.repository, head); err != nil {
			return debug.Outcome{}, err
		}
	}
	t := &trial{Lab: l, request: r, occasion: o, place: p, head: overlaid(tree, r.Files), base: base}
	t.out.TasksFor, t.out.Role = o.event.TasksFor, o.role
	held, err := l.Expand(ctx, []string{"assume:" + o.role})
	if err != nil {
		return t.out, err
	}
	t.out.Scopes = scope.Normalize(held)
	if err := t.render(ctx); err != nil {
		return t.out, err
	}
	if err := t.graph(ctx); err != nil {
		return t.out, fmt.Errorf("whatif: %w", err)
	}
	return t.out, nil
}
