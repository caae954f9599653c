package hg

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/push"
)

// atPushlog looks at a repository with a pushlog (vcs-integration 2.2, 2.4): what comes after the cursor is
// recorded, a page at a time.
func (l *looking) atPushlog(ctx context.Context) (found, error) {
	if l.s.Generation == 0 || l.s.Pushlog == nil || !*l.s.Pushlog {
		return l.enterPushlog(ctx)
	}
	tag := l.tag()
	var refs *forge.Refs
	if l.bookmarks != nil { // before the pushlog, so that it has the pushes that set them
		now, newTag, changed, err := l.Reader.Refs(ctx, tag)
		if err != nil {
			return found{}, err
		}
		if !changed {
			return as(l.s, newTag, false), nil
		}
		refs, tag = &now, ""
	}
	page, newTag, changed, err := l.Reader.Pushes(ctx, l.s.Cursor, tag)
	if err != nil {
		return found{}, err
	}
	f := as(l.s, newTag, changed)
	if !changed {
		return f, nil
	}
	if page.Last < l.s.Cursor {
		return l.lag(ctx, page, f)
	}
	f.behind = 0
	return l.arrived(ctx, page, refs, f)
}

// enterPushlog begins with a pushlog: after the newest pushes, or for a repository that was followed by
// its heads before with the pushes that these looks did not see.
func (l *looking) enterPushlog(ctx context.Context) (found, error) {
	refs, _, _, err := l.Reader.Refs(ctx, "")
	if err != nil {
		return found{}, err
	}
	end, tag, _, err := l.Reader.Pushes(ctx, asNew, "")
	if err != nil {
		return found{}, err
	}
	yes := true
	f := as(l.s, tag, true)
	f.pushlog = &yes
	if l.s.Generation > 0 {
		l.s.Cursor = max(0, end.Last-50)
		page, _, _, err := l.Reader.Pushes(ctx, l.s.Cursor, "")
		if err != nil {
			return f, err
		}
		f, err = l.arrived(ctx, page, &refs, f)
		f.changed = true
		return f, err
	}
	f.cursor = max(0, end.Last-int64(l.Backfill))
	f.more = f.cursor < end.Last
	return l.adopt(ctx, refs, f)
}

// lag is a pushlog that ends before the cursor. One of several machines that answer may lag behind; when it
// stays so, the repository was made anew.
func (l *looking) lag(ctx context.Context, page forge.Page, f found) (found, error) {
	if f.behind = l.s.Behind + 1; f.behind < lagLooks {
		return f, nil
	}
	l.Log.WarnContext(ctx, "the pushlog of a Mercurial repository begins anew", "repository", l.Name, "cursor", l.s.Cursor, "last", page.Last)
	refs, _, _, err := l.Reader.Refs(ctx, "")
	if err != nil {
		return f, err
	}
	f.behind, f.cursor = 0, max(0, page.Last-int64(l.Backfill))
	f.more = f.cursor < page.Last
	return l.adopt(ctx, refs, f)
}

// arrived makes the pushes of a page.
func (l *looking) arrived(ctx context.Context, page forge.Page, refs *forge.Refs, f found) (found, error) {
	f.cursor, f.more = page.To, page.To < page.Last
	f.changed = f.cursor != l.s.Cursor
	old, moved := forge.Refs{}, map[string]string{}
	if refs != nil && !f.more {
		var err error
		if old, err = l.refs(ctx, l.Name); err != nil {
			return f, err
		}
		moved = l.moved(old, *refs)
		f.refs = refs
		f.changed = f.changed || len(moved) > 0 || len(old.Bookmarks) != len(refs.Bookmarks)
	}
	if err := l.Reader.Fill(ctx, page.Pushes); err != nil {
		return f, err
	}
	var heads []string
	for _, p := range page.Pushes {
		for _, h := range headsOf(p) {
			heads = append(heads, h[len(h)-1].Node)
		}
	}
	seen := map[string]bool{}
	var err error
	if l.s.Pushlog == nil || !*l.s.Pushlog { // it was followed by its heads before
		if seen, err = l.known(ctx, l.Name, heads); err != nil {
			return f, err
		}
	}
	for _, node := range moved {
		heads = append(heads, node)
	}
	closed, err := l.Reader.Closed(ctx, heads)
	if err != nil {
		return f, err
	}
	f.known = append(f.known, heads...)
	for _, p := range page.Pushes {
		for _, changes := range headsOf(p) {
			head := changes[len(changes)-1]
			if seen[head.Node] {
				continue
			}
			s := step{key: fmt.Sprintf("%d pushlog %d %s", f.generation, p.ID, head.Node), branch: head.Branch, closed: closed[head.Node]}
			if name, ok := at(moved, head.Node); ok {
				delete(moved, name)
				s.branch = name
			} else if !l.branches.MatchString(s.branch) {
				continue
			}
			if err := l.take(ctx, &s, p, changes); err != nil {
				return f, err
			}
			f.pushes = append(f.pushes, l.pushed(s, p))
		}
	}
	more, err := l.bookmarked(ctx, old, moved, closed)
	f.pushes = append(f.pushes, more...)
	return f, err
}

// headsOf are the heads of a push, each with the changesets of the push that it builds on, oldest first. A
// head is what no other changeset of the push has for a parent: a push may have several.
func headsOf(p forge.Pushed) [][]forge.PushedOf {
	parent, place := map[string]bool{}, map[string]int{}
	for i, c := range p.Changesets {
		place[c.Node] = i
		for _, node := range c.Parents {
			parent[node] = true
		}
	}
	var list [][]forge.PushedOf
	for i, c := range p.Changesets {
		if parent[c.Node] {
			continue
		}
		within := make([]bool, i+1)
		within[i] = true
		var changes []forge.PushedOf
		for at := i; at >= 0; at-- { // parents come before their children
			if !within[at] {
				continue
			}
			for _, node := range p.Changesets[at].Parents {
				if j, ok := place[node]; ok && j < at {
					within[j] = true
				}
			}
		}
		for at, is := range within {
			if is {
				changes = append(changes, p.Changesets[at])
			}
		}
		list = append(list, changes)
	}
	return list
}

// take fills a step with what a push says of a head's changesets.
func (l *looking) take(ctx context.Context, s *step, p forge.Pushed, changes []forge.PushedOf) error {
	seen := map[string]bool{}
	for _, c := range changes {
		s.entries = append(s.entries, c.Entry)
		for _, name := range c.Files {
			if !seen[name] {
				seen[name] = true
				s.files = append(s.files, name)
			}
		}
	}
	slices.Sort(s.files)
	s.base = base(s.entries)
	if len(p.Changesets) < len(p.Nodes) { // a very large push, of which the last is told
		first, err := l.Reader.Entry(ctx, p.Nodes[0])
		if err != nil {
			return err
		}
		s.base = base([]forge.Entry{first})
	}
	return nil
}

// pushed is the record of a step with what the pushlog knows: who pushed, when, and how it counts.
func (l *looking) pushed(s step, p forge.Pushed) push.Push {
	record := l.push(s)
	record.PushlogID, record.Time = p.ID, unixOrZero(p.Time)
	if p.User != "" {
		name, address := forge.Person(p.User)
		record.Author, record.Email = cmp.Or(name, p.User), address
		if address == "" && !strings.ContainsAny(p.User, "@ ") {
			record.Email = p.User + "@noreply.mozilla.org" // as decisions have it (vcs-integration 2.4)
		}
	}
	return record
}
