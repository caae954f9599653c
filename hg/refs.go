package hg

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Refs are what points into a repository.
type Refs struct {
	Heads     map[string]string // the branch of every head, closed ones too, by changeset
	Bookmarks map[string]string // the changeset of every bookmark
}

// Bounds on what one question names: it stands in the address, of which servers take some thousand bytes.
const (
	maxNodes  = 100
	maxBases  = 150
	maxHeads  = 100_000
	maxStatus = 1000 // changesets whose files are asked for
)

// Refs reads what points into the repository. With the tag of an earlier answer, changed is false when the
// server says that nothing is different since: one request, of which hgweb makes little work. The tag is
// that of one server, and good to ask the next time only (vcs-integration 2.1).
func (r *Repo) Refs(ctx context.Context, tag string) (refs Refs, newTag string, changed bool, err error) {
	// The bookmarks come first: hgweb has a tag for pages, not for commands.
	newTag, changed, err = r.peek(ctx, "/json-bookmarks", tag)
	if err != nil || !changed {
		return Refs{}, newTag, changed, err
	}
	refs, err = r.refs(ctx)
	return refs, newTag, true, err
}

// peek asks for a page that is not read, for its tag. A server without such a page has none.
func (r *Repo) peek(ctx context.Context, path, tag string) (newTag string, changed bool, err error) {
	resp, err := r.ask(ctx, path, tag) //nolint:bodyclose // whole closes it
	if missing(err) {
		return "", true, nil
	}
	if err != nil {
		return "", false, err
	}
	if _, err := r.whole(resp.Body, path, maxDocument); err != nil {
		return "", false, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return tag, false, nil
	}
	return tagOf(resp), true, nil
}

// tagOf is the tag of an answer, if it is good to ask with. That of hgweb is the second in which one of its
// files was written last: while that second is not well over, more may be written with the same tag.
func tagOf(resp *http.Response) string {
	tag := resp.Header.Get("ETag")
	if len(tag) > 200 {
		return ""
	}
	if m := secondTag.FindStringSubmatch(tag); m != nil {
		written, err := strconv.ParseInt(m[1], 10, 64)
		now, bad := http.ParseTime(resp.Header.Get("Date"))
		if err != nil || bad != nil || now.Unix() < written+2 {
			return ""
		}
	}
	return tag
}

var secondTag = regexp.MustCompile(`^W/"([0-9]{1,18})"$`)

// refs asks with commands of the wire protocol, both in one request; a server that does not take them has
// pages that say the same.
func (r *Repo) refs(ctx context.Context) (Refs, error) {
	text, err := r.bytes(ctx, "?cmd=batch&cmds="+url.QueryEscape("branchmap ;listkeys namespace=bookmarks"), maxDocument)
	if missing(err) {
		return r.pages(ctx)
	}
	if err != nil {
		return Refs{}, err
	}
	branches, bookmarks, found := strings.Cut(string(text), ";")
	if !found || strings.Contains(bookmarks, ";") {
		return r.pages(ctx)
	}
	refs := Refs{Heads: map[string]string{}, Bookmarks: map[string]string{}}
	for line := range strings.Lines(unbatched.Replace(branches)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		name, err := url.PathUnescape(words[0])
		if err != nil {
			return Refs{}, r.strange(err, "a branch is called %.100q", words[0])
		}
		for _, node := range words[1:] {
			if !fullNode.MatchString(node) {
				return Refs{}, r.strange(nil, "branch %.100q has the head %.100q", name, node)
			}
			refs.Heads[node] = name
		}
	}
	delete(refs.Heads, nullNode)
	for line := range strings.Lines(unbatched.Replace(bookmarks)) {
		name, node, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if fullNode.MatchString(node) {
			refs.Bookmarks[name] = node
		}
	}
	return refs, r.few(refs)
}

// unbatched undoes how the answers of a batch are escaped.
var unbatched = strings.NewReplacer(":c", ":", ":o", ",", ":s", ";", ":e", "=")

func (r *Repo) few(refs Refs) error {
	if len(refs.Heads) > maxHeads || len(refs.Bookmarks) > maxHeads {
		return fault.New(fault.TooLarge, "%s has more than %d heads or bookmarks", r.url, maxHeads)
	}
	return nil
}

// strange is the error about an answer that no Mercurial server gives.
func (r *Repo) strange(err error, format string, args ...any) error {
	return fault.Wrap(fault.Unavailable, cmp.Or(err, fmt.Errorf(format, args...)), "%s does not answer as a Mercurial server does", r.url)
}

// pages reads refs from pages of hgweb.
func (r *Repo) pages(ctx context.Context) (Refs, error) {
	refs := Refs{Heads: map[string]string{}, Bookmarks: map[string]string{}}
	heads, err := r.query(ctx, "head()", maxLog)
	if err != nil {
		return Refs{}, err
	}
	for _, h := range heads {
		refs.Heads[h.Node] = h.Branch
	}
	var bookmarks []struct{ Bookmark, Node string }
	if err := r.list(ctx, "bookmarks", &bookmarks); err != nil {
		return Refs{}, err
	}
	for _, b := range bookmarks {
		if fullNode.MatchString(b.Node) {
			refs.Bookmarks[b.Bookmark] = b.Node
		}
	}
	return refs, nil
}

// Known says of changesets which of them the repository shows: not those that were stripped, or made
// obsolete.
func (r *Repo) Known(ctx context.Context, nodes []string) (map[string]bool, error) {
	known := make(map[string]bool, len(nodes))
	for some := range slices.Chunk(nodes, maxNodes) {
		text, err := r.bytes(ctx, "?cmd=known&nodes="+strings.Join(some, "+"), 1000)
		if missing(err) {
			if err := r.knownPages(ctx, some, known); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		said := strings.TrimSpace(string(text))
		if len(said) != len(some) {
			return nil, r.strange(nil, "asked of %d changesets, it answers %.200q", len(some), said)
		}
		for i, node := range some {
			known[node] = said[i] == '1'
		}
	}
	return known, nil
}

// knownPages asks a server that takes no commands.
func (r *Repo) knownPages(ctx context.Context, nodes []string, known map[string]bool) error {
	for _, node := range nodes {
		_, err := r.bytes(ctx, "/json-log/"+node+"?revcount=1", maxDocument)
		if err != nil && !missing(err) {
			return err
		}
		known[node] = err == nil
	}
	return nil
}

// maxLog is how many changesets a question is answered with at most.
const maxLog = 1000

// Entry is a changeset in a log.
type Entry struct {
	Node, Branch, Message string
	Author, Email         string
	Time                  time.Time // when it was made
	Parents               []string  // without the null changeset
}

// rawEntry is an Entry as json-log and a full pushlog have it.
type rawEntry struct {
	Node, Branch, Desc, User, Author string
	Date                             []float64
	Parents                          []string
	Files                            []string
}

func (e rawEntry) entry() Entry {
	out := Entry{Node: e.Node, Branch: cmp.Or(e.Branch, "default"), Message: e.Desc}
	out.Author, out.Email = person(cmp.Or(e.User, e.Author))
	if len(e.Date) > 0 {
		out.Time = time.Unix(int64(e.Date[0]), 0).UTC()
	}
	for _, p := range e.Parents {
		if p != nullNode {
			out.Parents = append(out.Parents, p)
		}
	}
	return out
}

// query answers a revset, newest first. hgweb takes what it does not understand for words to look for,
// which is no error: only what it is known to understand may be asked.
func (r *Repo) query(ctx context.Context, revset string, limit int) ([]Entry, error) {
	var page struct{ Entries, Changesets []rawEntry }
	if err := r.json(ctx, fmt.Sprintf("/json-log?rev=%s&revcount=%d", url.QueryEscape(revset), limit), &page); err != nil {
		return nil, fmt.Errorf("hg: log of %.100s: %w", revset, err)
	}
	var list []Entry
	for _, e := range append(page.Entries, page.Changesets...) {
		if !fullNode.MatchString(e.Node) {
			return nil, r.strange(nil, "a changeset is called %.100q", e.Node)
		}
		list = append(list, e.entry())
	}
	return list, nil
}

// Since returns the changesets that a head has and the bases have not, oldest first, of many the newest
// thousand: more is true then. Of many bases the first 150 count. It is empty when the head is an ancestor
// of a base, or one of them is not there.
func (r *Repo) Since(ctx context.Context, head string, bases []string) (list []Entry, more bool, err error) {
	if len(bases) > maxBases {
		bases = bases[:maxBases]
	}
	revset := fmt.Sprintf("only(%s,%s)", head, strings.Join(bases, "+"))
	if len(bases) == 0 {
		revset = "::" + head
	}
	list, err = r.query(ctx, revset, maxLog+1)
	if more = len(list) > maxLog; more {
		list = list[:maxLog]
	}
	slices.Reverse(list)
	return list, more, err
}

// Closed says which of some heads close their branch.
func (r *Repo) Closed(ctx context.Context, nodes []string) (map[string]bool, error) {
	closed := map[string]bool{}
	for some := range slices.Chunk(nodes, maxNodes) {
		list, err := r.query(ctx, "("+strings.Join(some, "+")+") and closed()", maxNodes)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			closed[e.Node] = true
		}
	}
	return closed, nil
}

// Newest returns the changesets that came last, newest first.
func (r *Repo) Newest(ctx context.Context, n int) ([]string, error) {
	list, err := r.query(ctx, fmt.Sprintf("last(all(),%d)", n), n)
	nodes := make([]string, len(list))
	for i, e := range list {
		nodes[i] = e.Node
	}
	return nodes, err
}

// Entry returns one changeset.
func (r *Repo) Entry(ctx context.Context, node string) (Entry, error) {
	if err := checkNode(node); err != nil {
		return Entry{}, err
	}
	list, err := r.query(ctx, node, 1)
	if err != nil || len(list) == 0 {
		return Entry{}, cmp.Or(err, fault.New(fault.NotFound, "%s has no changeset %s", r.url, node))
	}
	return list[0], nil
}

// Files returns all files that some changesets change, each read by itself; of many, the last thousand.
func (r *Repo) Files(ctx context.Context, nodes []string) ([]string, error) {
	if len(nodes) > maxStatus {
		nodes = nodes[len(nodes)-maxStatus:]
	}
	files := make([]map[string]bool, len(nodes))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(maxPerHost)
	for i, node := range nodes {
		g.Go(func() error {
			c, err := r.changeset(within, node)
			if err != nil {
				return fmt.Errorf("hg: files of %s: %w", node, err)
			}
			files[i] = map[string]bool{}
			for _, f := range c.Files {
				files[i][f] = true
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, some := range files {
		maps.Copy(all, some)
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// decodeObject reads a JSON object of a server.
func (r *Repo) decodeObject(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return r.strange(err, "")
	}
	return nil
}
