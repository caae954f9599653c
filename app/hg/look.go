package hg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/push"
)

// found is what a look found: what it begins with has become this, with these pushes.
type found struct {
	changed bool // anything but etag and behind
	read    bool // it did not rely on the tag
	etag    string

	generation int
	pushlog    *bool
	cursor     int64
	behind     int
	refs       *forge.Refs // nil: as they were
	pushes     []push.Push // in their order; Key tells them apart
	known      []string    // changesets seen for the first time, oldest first
	forget     bool        // those seen before are of another repository
	more       bool        // there is more to be found at once
}

// as is s as a look finds it when nothing is different.
func as(s state, tag string, read bool) found {
	return found{etag: tag, read: read, generation: s.Generation, pushlog: s.Pushlog, cursor: s.Cursor, behind: s.Behind}
}

// looking is a look under way.
type looking struct {
	*Watch
	*repository
	s state
}

// find looks at a repository.
func (w *Watch) find(ctx context.Context, r *repository, s state) (found, error) {
	l := &looking{Watch: w, repository: r, s: s}
	withLog := r.Pushlog == Yes || r.Pushlog != No && (s.Pushlog == nil || *s.Pushlog)
	if withLog {
		f, err := l.atPushlog(ctx)
		asked := r.Pushlog == Yes || s.Pushlog != nil // it had one
		if asked || !errors.Is(err, forge.ErrNoPushlog) {
			return f, err
		}
	}
	return l.atHeads(ctx)
}

// tag is what the server is asked with whether something changed; now and then it is read without.
func (l *looking) tag() string {
	if l.s.Stale || l.s.Generation == 0 || l.s.Behind > 0 {
		return ""
	}
	return l.s.ETag
}

// moved are the followed bookmarks that were set since: where each is, by name.
func (l *looking) moved(old, now forge.Refs) map[string]string {
	list := map[string]string{}
	for name, node := range now.Bookmarks {
		if l.bookmarks != nil && l.bookmarks.MatchString(name) && old.Bookmarks[name] != node {
			list[name] = node
		}
	}
	return list
}

// at takes one of the moved bookmarks that are at a changeset.
func at(moved map[string]string, node string) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(moved)) {
		if moved[name] == node {
			return name, true
		}
	}
	return "", false
}

// step is what brought a branch to a head.
type step struct {
	key, branch string
	base        string
	entries     []forge.Entry // oldest first; the last is the head
	files       []string
	closed      bool
}

// push makes the record of a step.
func (l *looking) push(s step) push.Push {
	head := s.entries[len(s.entries)-1]
	p := push.Push{
		Repository: l.Name, Revision: head.Node, Base: s.base, Branch: s.branch, Author: head.Author, Email: head.Email, Message: head.Message,
		FilesChanged: s.files, Key: s.key,
	}
	for _, e := range slices.Backward(s.entries) {
		if len(p.Commits) == maxList {
			break
		}
		p.Commits = append(p.Commits, push.Commit{Revision: e.Node, Author: clean(e.Author), Email: clean(e.Email), Message: clean(e.Message), Time: e.Time})
	}
	if s.closed {
		p.State, p.Error = push.Ignored, &push.Error{Code: "closed-branch", Message: fmt.Sprintf("The head closes the branch %s.", s.branch)}
	}
	return p
}

// base is what the first of some changesets builds on, oldest first, that is not among them.
func base(entries []forge.Entry) string {
	within := map[string]bool{}
	for _, e := range entries {
		within[e.Node] = true
	}
	for _, e := range entries {
		for _, p := range e.Parents {
			if !within[p] {
				return p
			}
		}
	}
	return ""
}

func nodesOf(entries []forge.Entry) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Node
	}
	return list
}

// bookmarked are the pushes to bookmarks that were set to changesets which no other push brought.
func (l *looking) bookmarked(ctx context.Context, old forge.Refs, moved map[string]string, closed map[string]bool) ([]push.Push, error) {
	var list []push.Push
	for _, name := range slices.Sorted(maps.Keys(moved)) {
		node := moved[name]
		from := old.Bookmarks[name]
		if from != "" {
			there, err := l.Reader.Known(ctx, []string{from})
			if err != nil {
				return nil, err
			}
			if !there[from] {
				from = ""
			}
		}
		var entries []forge.Entry
		if from != "" {
			var err error
			if entries, _, err = l.Reader.Since(ctx, node, []string{from}); err != nil {
				return nil, err
			}
		}
		s := step{key: fmt.Sprintf("%d bookmark %s %s %d", l.s.Generation, name, node, l.s.Version), branch: name, entries: entries, closed: closed[node]}
		if len(entries) == 0 { // new, or set back, or elsewhere
			e, err := l.Reader.Entry(ctx, node)
			if err != nil {
				return nil, err
			}
			s.entries = []forge.Entry{e}
		}
		s.base = cmp.Or(from, base(s.entries))
		var err error
		if s.files, err = l.Reader.Files(ctx, nodesOf(s.entries)); err != nil {
			return nil, err
		}
		list = append(list, l.push(s))
	}
	return list, nil
}

// adopt takes what a repository has as known: at the first look, and when it was made anew.
func (l *looking) adopt(ctx context.Context, refs forge.Refs, f found) (found, error) {
	f.changed, f.read, f.forget, f.generation, f.refs = true, true, true, l.s.Generation+1, &refs
	newest, err := l.Reader.Newest(ctx, recent)
	if err != nil {
		return f, err
	}
	f.known = slices.Sorted(maps.Keys(refs.Heads))
	for _, node := range slices.Backward(newest) {
		if refs.Heads[node] == "" {
			f.known = append(f.known, node)
		}
	}
	return f, nil
}

// clean drops what PostgreSQL's text cannot hold.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func unixOrZero(t time.Time) time.Time {
	if t.Unix() <= 0 {
		return time.Time{}
	}
	return t
}
