package intake

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/push"
)

// maxCommits bounds what a push keeps of a long history. All changed files are kept: to leave one
// out would leave out its work.
const maxCommits = 50

// maxSteps bounds how many pushes one look records for a branch; what is older is one push.
const maxSteps = 20

func (in *Intake) register(ctx context.Context, name string, repo *localgit.Repo) error {
	if err := repo.Hook(ctx); errors.Is(err, localgit.ErrForeignHook) {
		in.Log.InfoContext(ctx, "commits are found by polling", "repository", name, "why", err)
	} else if err != nil {
		in.Log.WarnContext(ctx, "no hook could be installed; commits are found by polling", "repository", name, "err", err)
	}
	return in.Push.Register(ctx, push.Repository{
		Name: name, Kind: push.LocalGit, URL: in.RootURL + "/git/" + name, Path: repo.Dir(),
		Level: in.levelOf(name), DefaultBranch: repo.DefaultBranch(ctx),
	})
}

// levelOf is the trust of a repository on this machine: whoever may write to it owns it, unless the operator says
// otherwise.
func (in *Intake) levelOf(name string) int {
	if in.LevelOf == nil {
		return 3
	}
	return in.LevelOf(name)
}

func (in *Intake) watch(ctx context.Context, name string, repo *localgit.Repo) {
	err := repo.Watch(ctx, pollRepository, func(ctx context.Context) {
		if err := in.look(ctx, name, repo); err != nil && ctx.Err() == nil {
			in.Log.ErrorContext(ctx, "look for pushes; tried again soon", "repository", name, "err", err)
		}
	})
	if err != nil && ctx.Err() == nil {
		in.Log.ErrorContext(ctx, "the repository is no longer watched", "repository", name, "err", err)
	}
}

// look records a push for every branch that has moved since the last look.
func (in *Intake) look(ctx context.Context, name string, repo *localgit.Repo) error {
	heads, err := repo.Heads(ctx)
	if err != nil {
		return err
	}
	known, err := in.Push.Heads(ctx, name)
	if err != nil {
		return err
	}
	if len(known) == 0 && len(heads) > 0 {
		return in.firstLook(ctx, name, repo, heads)
	}
	var errs []error
	for _, branch := range slices.Sorted(maps.Keys(heads)) {
		if heads[branch] != known[branch] {
			errs = append(errs, in.moved(ctx, name, repo, branch, known, heads[branch]))
		}
	}
	for branch := range known {
		if heads[branch] == "" {
			errs = append(errs, in.Push.DropHead(ctx, name, branch))
		}
	}
	return errors.Join(errs...)
}

// moved records the steps that a branch took since the last look: each is a push, although two
// quick commits may come to light together.
func (in *Intake) moved(ctx context.Context, name string, repo *localgit.Repo, branch string, known map[string]string, head string) error {
	last := known[branch]
	if last != "" && repo.Has(ctx, last) {
		from := last
		for _, step := range repo.Steps(ctx, branch, last, head, maxSteps) {
			if err := in.record(ctx, name, repo, branch, from, from, step); err != nil {
				return err
			}
			from = step
		}
		return nil
	}
	// A new branch, or one whose old history is gone: what it adds to the others.
	var others []string
	for other, revision := range known {
		if other != branch && repo.Has(ctx, revision) {
			others = append(others, revision)
		}
	}
	return in.record(ctx, name, repo, branch, repo.MergeBase(ctx, head, others...), last, head)
}

// firstLook takes the last commit of the default branch as a push, so that a newly watched
// repository shows what Treeline makes of it, and all other history as known.
func (in *Intake) firstLook(ctx context.Context, name string, repo *localgit.Repo, heads map[string]string) error {
	main := repo.DefaultBranch(ctx)
	for branch, revision := range heads {
		if branch != main {
			if err := in.Push.SetHead(ctx, name, branch, revision); err != nil {
				return err
			}
		}
	}
	if heads[main] == "" {
		return nil
	}
	base := ""
	if commits, err := repo.Commits(ctx, "", heads[main], 2); err != nil {
		return err
	} else if len(commits) == 2 {
		base = commits[1].Revision
	}
	return in.record(ctx, name, repo, main, base, "", heads[main])
}

// record writes the step of branch from base to head as a push; known is the head recorded so far.
func (in *Intake) record(ctx context.Context, name string, repo *localgit.Repo, branch, base, known, head string) error {
	commits, err := repo.Commits(ctx, base, head, maxCommits)
	if err != nil {
		return err
	}
	if len(commits) == 0 { // the branch went back, or to where another is: its head is the push
		if commits, err = repo.Commits(ctx, "", head, 1); err != nil {
			return err
		}
	}
	files, err := repo.FilesChanged(ctx, base, head)
	if err != nil {
		return err
	}
	p := push.Push{
		Repository: name, Revision: head, Base: base, Branch: branch, FilesChanged: files,
		Author: commits[0].Author, Email: commits[0].Email, Message: commits[0].Message,
	}
	for _, c := range commits {
		p.Commits = append(p.Commits, push.Commit(c))
	}
	recorded, fresh, err := in.Push.Record(ctx, p, known)
	if err != nil || !fresh {
		return err
	}
	in.Log.InfoContext(recorded.Mark(ctx), "a push arrived", "repository", name, "branch", branch, "revision", head)
	in.wakePushes()
	return nil
}

func (in *Intake) wakePushes() {
	select {
	case in.fresh <- struct{}{}:
	default:
	}
}
