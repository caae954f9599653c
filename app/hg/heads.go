package hg

import (
	"context"
	"fmt"
	"maps"
	"slices"

	forge "github.com/treeline-ci/treeline/hg"
)

// atHeads looks at a repository without a pushlog (vcs-integration 2.6): what a head has that the last look
// did not show is one push, however many it was.
func (l *looking) atHeads(ctx context.Context) (found, error) {
	no := false
	refs, tag, changed, err := l.Reader.Refs(ctx, l.tag())
	if err != nil {
		return found{}, err
	}
	f := as(l.s, tag, changed)
	if !changed {
		return f, nil
	}
	f.pushlog = &no
	old, err := l.refs(ctx, l.Name)
	if err != nil {
		return f, err
	}
	if l.s.Generation == 0 {
		return l.begin(ctx, refs, f)
	}
	if maps.Equal(old.Heads, refs.Heads) && maps.Equal(old.Bookmarks, refs.Bookmarks) && l.s.Pushlog != nil {
		return f, nil
	}
	f.changed, f.refs = true, &refs
	before, anew, err := l.before(ctx, old, refs)
	if err != nil {
		return f, err
	}
	if anew {
		l.Log.WarnContext(ctx, "a Mercurial repository has nothing of what it had: it was made anew", "repository", l.Name)
		return l.begin(ctx, refs, f)
	}
	return l.steps(ctx, old, refs, before, f)
}

// history is what is left of what was known.
type history struct {
	gone     []string // heads that are none any more, and still there: what builds on them is new
	heads    []string // heads as before
	recent   []string // when something was stripped: changesets that are still there, newest first
	stripped bool
}

// before asks what became of the heads that are no heads any more. anew is true when nothing that was
// known is left.
func (l *looking) before(ctx context.Context, old, now forge.Refs) (h history, anew bool, err error) {
	var gone []string
	for _, node := range slices.Sorted(maps.Keys(old.Heads)) {
		if _, still := now.Heads[node]; still {
			h.heads = append(h.heads, node)
		} else {
			gone = append(gone, node)
		}
	}
	there, err := l.Reader.Known(ctx, gone)
	if err != nil {
		return h, false, err
	}
	for _, node := range gone {
		if there[node] {
			h.gone = append(h.gone, node)
		} else {
			h.stripped = true
		}
	}
	if !h.stripped {
		return h, false, nil
	}
	newest, err := l.newest(ctx, l.Name)
	if err != nil {
		return h, false, err
	}
	if there, err = l.Reader.Known(ctx, newest); err != nil {
		return h, false, err
	}
	for _, node := range newest {
		if there[node] {
			h.recent = append(h.recent, node)
		}
	}
	return h, len(h.gone)+len(h.heads)+len(h.recent) == 0, nil
}

// bases are what a new head of a branch may build on, the likeliest first: of many only some can be asked about.
func (h history) bases(branch string, old forge.Refs) []string {
	list := slices.Clone(h.gone)
	var others []string
	for _, node := range h.heads {
		if old.Heads[node] == branch {
			list = append(list, node)
		} else {
			others = append(others, node)
		}
	}
	const few = 50 // of those that a strip left; the older ones are their ancestors, mostly
	return append(append(append(list, h.recent[:min(few, len(h.recent))]...), others...), h.recent[min(few, len(h.recent)):]...)
}

// steps makes a push of every new head, and of bookmarks that were set.
func (l *looking) steps(ctx context.Context, old, now forge.Refs, h history, f found) (found, error) {
	var fresh []string
	for _, node := range slices.Sorted(maps.Keys(now.Heads)) {
		if _, was := old.Heads[node]; !was {
			fresh = append(fresh, node)
		}
	}
	known, err := l.known(ctx, l.Name, fresh)
	if err != nil {
		return f, err
	}
	closed, err := l.Reader.Closed(ctx, fresh)
	if err != nil {
		return f, err
	}
	moved := l.moved(old, now)
	var steps []step
	for _, node := range fresh {
		if known[node] { // a strip has made it a head again
			continue
		}
		s, err := l.step(ctx, node, now.Heads[node], h.bases(now.Heads[node], old), h.stripped)
		if err != nil {
			return f, err
		}
		if len(s.entries) == 0 {
			f.known = append(f.known, node)
			continue
		}
		f.known = append(f.known, nodesOf(s.entries)...)
		s.closed = closed[node]
		if name, ok := at(moved, node); ok {
			delete(moved, name)
			s.branch = name
		} else if !l.branches.MatchString(s.branch) {
			continue
		}
		if s.files, err = l.Reader.Files(ctx, nodesOf(s.entries)); err != nil {
			return f, err
		}
		steps = append(steps, s)
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return a.entries[len(a.entries)-1].Time.Compare(b.entries[len(b.entries)-1].Time)
	})
	for _, s := range steps {
		f.pushes = append(f.pushes, l.push(s))
	}
	more, err := l.bookmarked(ctx, old, moved, closed)
	f.pushes = append(f.pushes, more...)
	return f, err
}

// step is what brought a new head, without changesets when it is an old one.
func (l *looking) step(ctx context.Context, node, branch string, bases []string, stripped bool) (step, error) {
	s := step{key: fmt.Sprintf("%d head %s", l.s.Generation, node), branch: branch}
	entries, more, err := l.Reader.Since(ctx, node, bases)
	if err != nil || stripped && more { // no push is that large: a strip went further back than we remember
		return s, err
	}
	known, err := l.known(ctx, l.Name, nodesOf(entries))
	if err != nil {
		return s, err
	}
	s.entries = slices.DeleteFunc(entries, func(e forge.Entry) bool { return known[e.Node] })
	s.base = base(s.entries)
	return s, nil
}

// begin takes the repository as it is, and of its open heads as many as pushes as the configuration says, the
// newest.
func (l *looking) begin(ctx context.Context, refs forge.Refs, f found) (found, error) {
	f, err := l.adopt(ctx, refs, f)
	if err != nil || l.Backfill == 0 {
		return f, err
	}
	closed, err := l.Reader.Closed(ctx, slices.Sorted(maps.Keys(refs.Heads)))
	if err != nil {
		return f, err
	}
	var list []forge.Entry
	for node, branch := range refs.Heads {
		if closed[node] || !l.branches.MatchString(branch) {
			continue
		}
		e, err := l.Reader.Entry(ctx, node)
		if err != nil {
			return f, err
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b forge.Entry) int { return a.Time.Compare(b.Time) })
	for _, e := range list[max(0, len(list)-l.Backfill):] {
		s := step{key: fmt.Sprintf("%d head %s", f.generation, e.Node), branch: e.Branch, entries: []forge.Entry{e}}
		s.base = base(s.entries)
		if s.files, err = l.Reader.Files(ctx, []string{e.Node}); err != nil {
			return f, err
		}
		f.pushes = append(f.pushes, l.push(s))
	}
	return f, nil
}
