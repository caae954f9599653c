package localgit

import (
	"context"
	"fmt"
	"maps"
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

// DefaultBranch returns the branch that HEAD names, also before its first commit; when HEAD is
// detached, main or master or else the first branch there is; "" when there is none.
func (r *Repo) DefaultBranch(ctx context.Context) string {
	if out, err := r.git(ctx, "symbolic-ref", "--short", "-q", "HEAD"); err == nil {
		return strings.TrimSpace(out)
	}
	heads, err := r.Heads(ctx)
	if err != nil || len(heads) == 0 {
		return ""
	}
	for _, usual := range []string{"main", "master"} {
		if heads[usual] != "" {
			return usual
		}
	}
	return slices.Sorted(maps.Keys(heads))[0]
}

// MergeBase returns where head left the history of the others: its best ancestor among theirs; ""
// when there is none.
func (r *Repo) MergeBase(ctx context.Context, head string, others ...string) string {
	if len(others) == 0 || checkRevisions(append(others, head)...) != nil {
		return ""
	}
	out, err := r.git(ctx, append([]string{"merge-base", head}, others...)...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// Has reports whether the repository still has a commit.
func (r *Repo) Has(ctx context.Context, revision string) bool {
	if checkRevisions(revision) != nil {
		return false
	}
	_, err := r.git(ctx, "cat-file", "-e", revision+"^{commit}")
	return err == nil
}

// Steps returns the revisions that a branch went through after from until it came to head, oldest
// first, head last, limit at most (the newest). They are what the branch's reflog tells; when that
// does not lead back to from, head is the only step.
func (r *Repo) Steps(ctx context.Context, branch, from, head string, limit int) []string {
	out, err := r.git(ctx, "log", "--walk-reflogs", "--format=%H", "--max-count=1000", "refs/heads/"+branch, "--")
	if err != nil { // no reflog, as in bare repositories
		return []string{head}
	}
	moves := strings.Fields(out)
	moves = moves[max(slices.Index(moves, head), 0):] // it may have moved on since
	end := slices.Index(moves, from)
	if end <= 0 || moves[0] != head {
		return []string{head}
	}
	steps := slices.Compact(moves[:min(end, limit)])
	slices.Reverse(steps)
	return steps
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

// FilesChanged returns the paths that any commit in head and not in base touched, and those that
// differ between the two, sorted; all paths of head when base is "". A file added and removed again
// on the way is among them, so that a condition on it errs on the side of running; so is a file that
// got its old content back when a branch was set back.
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
	touched, err := r.git(ctx, "log", "-z", "--format=", "--name-only", "--no-renames", "-m", "--first-parent", span, "--")
	if err != nil {
		return nil, fmt.Errorf("localgit: files changed in %s: %w", span, err)
	}
	differ, err := r.git(ctx, "diff", "-z", "--name-only", "--no-renames", base, head, "--")
	if err != nil {
		return nil, fmt.Errorf("localgit: files that differ in %s: %w", span, err)
	}
	paths := strings.FieldsFunc(touched+"\x00"+differ, func(c rune) bool { return c == 0 })
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
