package localgit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Commit is one commit.
type Commit struct {
	Revision string
	Author   string
	Email    string
	Message  string
	Time     time.Time
}

// Heads returns the revision of every branch.
func (r *Repo) Heads(ctx context.Context) (map[string]string, error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")
	if err != nil {
		return nil, fmt.Errorf("localgit: heads: %w", err)
	}
	heads := map[string]string{}
	for line := range strings.Lines(out) {
		revision, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if ok {
			heads[strings.TrimPrefix(ref, "refs/heads/")] = revision
		}
	}
	return heads, nil
}

// DefaultBranch returns the branch that HEAD names, also before its first commit; "" when HEAD is
// detached.
func (r *Repo) DefaultBranch(ctx context.Context) string {
	out, err := r.git(ctx, "symbolic-ref", "--short", "-q", "HEAD")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// MergeBase returns the best common ancestor of two revisions, "" when there is none.
func (r *Repo) MergeBase(ctx context.Context, a, b string) string {
	if checkRevisions(a, b) != nil {
		return ""
	}
	out, err := r.git(ctx, "merge-base", a, b)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// Commits returns the commits in head and not in base (all of head's history when base is ""),
// newest first, limit at most.
func (r *Repo) Commits(ctx context.Context, base, head string, limit int) ([]Commit, error) {
	span, err := revisionRange(base, head)
	if err != nil {
		return nil, err
	}
	out, err := r.git(ctx, "log", "-z", "--max-count="+strconv.Itoa(limit), "--format=%H%n%an%n%ae%n%ct%n%B", "--encoding=UTF-8", span, "--")
	if err != nil {
		return nil, fmt.Errorf("localgit: commits of %s: %w", span, err)
	}
	var commits []Commit
	for _, entry := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		field := strings.SplitN(entry, "\n", 5)
		if len(field) < 5 {
			continue
		}
		seconds, err := strconv.ParseInt(field[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("localgit: commit %s has time %q: %w", field[0], field[3], err)
		}
		commits = append(commits, Commit{
			Revision: field[0], Author: field[1], Email: field[2],
			Time: time.Unix(seconds, 0).UTC(), Message: strings.TrimSpace(field[4]),
		})
	}
	return commits, nil
}

// FilesChanged returns the paths that any commit in head and not in base touched, sorted; all
// paths of head when base is "". A file added and removed again on the way is among them, so that
// a condition on it errs on the side of running.
func (r *Repo) FilesChanged(ctx context.Context, base, head string) ([]string, error) {
	if base == "" {
		tree, err := r.Tree(ctx, head)
		if err != nil {
			return nil, err
		}
		return tree.Paths(), nil
	}
	span, err := revisionRange(base, head)
	if err != nil {
		return nil, err
	}
	out, err := r.git(ctx, "log", "-z", "--format=", "--name-only", "--no-renames", "-m", "--first-parent", span, "--")
	if err != nil {
		return nil, fmt.Errorf("localgit: files changed in %s: %w", span, err)
	}
	paths := strings.FieldsFunc(out, func(c rune) bool { return c == 0 })
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], "\n")
	}
	slices.Sort(paths)
	return slices.DeleteFunc(slices.Compact(paths), func(p string) bool { return p == "" }), nil
}

func revisionRange(base, head string) (string, error) {
	if base == "" {
		return head, checkRevisions(head)
	}
	return base + ".." + head, checkRevisions(base, head)
}
