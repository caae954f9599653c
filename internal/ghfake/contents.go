package ghfake

import (
	"crypto/rand"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// reply is what every answer about a git object needs: the repository's addresses.
func (c *call) api(rest string) string {
	return c.s.APIURL() + "repos/" + c.repo.FullName() + "/" + rest
}

func (c *call) listBranches() (any, error) {
	refs, err := c.repo.git.Refs("refs/heads/")
	if err != nil {
		return nil, err
	}
	return each(page(c, refs), func(r [2]string) any {
		return obj{"name": strings.TrimPrefix(r[0], "refs/heads/"), "commit": obj{"sha": r[1], "url": c.api("commits/" + r[1])}, "protected": false}
	}), nil
}

func (c *call) getBranch() (any, error) {
	name := c.r.PathValue("branch")
	sha := c.repo.git.Resolve("refs/heads/" + name)
	if sha == "" {
		return nil, &apiError{Status: http.StatusNotFound, Message: "Branch not found"}
	}
	commit, err := c.commitJSON(sha)
	return obj{
		"name": name, "commit": commit, "protected": false, "_links": obj{"self": c.api("branches/" + name), "html": c.s.root + "/" + c.repo.FullName() + "/tree/" + name},
		"protection": obj{"enabled": false}, "protection_url": c.api("branches/" + name + "/protection"),
	}, err
}

func (c *call) refJSON(r [2]string) any {
	return obj{"ref": r[0], "node_id": nodeID("Ref", 0), "url": c.api("git/" + r[0]), "object": obj{"sha": r[1], "type": "commit", "url": c.api("git/commits/" + r[1])}}
}

func (c *call) getRef() (any, error) {
	refs, err := c.repo.git.Refs("refs/" + c.r.PathValue("ref"))
	for _, r := range refs {
		if r[0] == "refs/"+c.r.PathValue("ref") {
			return c.refJSON(r), nil
		}
	}
	switch {
	case err != nil:
		return nil, err
	case c.repo.empty():
		return nil, &apiError{Status: http.StatusConflict, Message: "Git Repository is empty."}
	}
	return nil, notFound()
}

func (c *call) matchingRefs() (any, error) {
	refs, err := c.repo.git.Refs("refs/")
	if err != nil {
		return nil, err
	}
	refs = slices.DeleteFunc(refs, func(r [2]string) bool { return !strings.HasPrefix(r[0], "refs/"+c.r.PathValue("ref")) })
	return each(page(c, refs), c.refJSON), nil
}

func (c *call) getGitCommit() (any, error) {
	if c.repo.git.Resolve(c.r.PathValue("sha")) != c.r.PathValue("sha") {
		return nil, notFound()
	}
	return c.gitCommit(c.r.PathValue("sha"))
}

func (c *call) gitCommit(sha string) (any, error) {
	list, err := c.repo.git.Log(1, sha)
	if err != nil {
		return nil, err
	}
	g := list[0]
	o, _ := c.gitJSON(g)["commit"].(obj)
	o["sha"], o["parents"], o["node_id"], o["html_url"] = g.SHA, c.parents(g), nodeID("Commit", 0), c.s.root+"/"+c.repo.FullName()+"/commit/"+g.SHA
	o["verification"] = obj{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}
	return o, nil
}

func (c *call) getTree() (any, error) {
	recursive := c.r.URL.Query().Get("recursive")
	return c.treeJSON(c.r.PathValue("sha"), recursive != "" && recursive != "0" && recursive != "false")
}

func (c *call) treeJSON(sha string, recursive bool) (any, error) {
	list, err := c.repo.git.List(sha, recursive)
	if err != nil {
		return nil, notFound()
	}
	const most = 100_000
	out := obj{"sha": sha, "url": c.api("git/trees/" + sha), "truncated": len(list) > most}
	out["tree"] = each(list[:min(most, len(list))], func(e bare.Entry) any {
		o := obj{"path": e.Path, "mode": e.Mode, "type": e.Kind, "sha": e.SHA, "url": c.api("git/" + e.Kind + "s/" + e.SHA)}
		if e.Kind == "blob" {
			o["size"] = e.Size
		}
		return o
	})
	return out, nil
}

// accepts reports whether the client asks for one of GitHub's own kinds, such as raw or sha.
func (c *call) accepts(kind string) bool {
	a := c.r.Header.Get("Accept")
	return strings.Contains(a, "."+kind) && strings.HasPrefix(a, "application/vnd.github")
}

func (c *call) getBlob() (any, error) {
	sha := c.r.PathValue("sha")
	if kind, err := c.repo.git.Line("cat-file", "-t", sha); err != nil || kind != "blob" {
		return nil, notFound()
	}
	text, err := c.repo.git.Git(nil, "cat-file", "blob", sha)
	if err != nil {
		return nil, err
	}
	if c.accepts("raw") {
		return raw{"application/vnd.github.raw; charset=utf-8", []byte(text)}, nil
	}
	return obj{"sha": sha, "node_id": nodeID("Blob", 0), "size": len(text), "url": c.api("git/blobs/" + sha), "content": bare.Columns(text), "encoding": "base64"}, nil
}

func (c *call) getContents() (any, error) {
	ref := c.r.URL.Query().Get("ref")
	if ref == "" {
		ref = c.repo.branch
	}
	sha := c.repo.git.Resolve(ref)
	if sha == "" {
		return nil, &apiError{Status: http.StatusNotFound, Message: "No commit found for the ref " + ref}
	}
	at := strings.Trim(c.r.PathValue("path"), "/")
	if at != "" {
		list, err := c.repo.git.List(sha, false, at)
		if err != nil || len(list) == 0 {
			return nil, notFound()
		}
		if list[0].Kind == "blob" {
			return c.contentOf(list[0], ref)
		}
		at += "/"
	}
	list, err := c.repo.git.List(sha+":"+at, false)
	if err != nil {
		return nil, notFound()
	}
	return each(list, func(e bare.Entry) any {
		e.Path = path.Join(at, e.Path)
		return c.contentJSON(e, ref)
	}), nil
}

func (c *call) contentJSON(e bare.Entry, ref string) obj {
	kind := map[string]string{"blob": "file", "tree": "dir", "commit": "submodule"}[e.Kind]
	if e.Mode == "120000" {
		kind = "symlink"
	}
	return obj{
		"name": path.Base(e.Path), "path": e.Path, "sha": e.SHA, "size": e.Size, "type": kind, "url": c.api("contents/" + e.Path + "?ref=" + ref),
		"html_url": c.s.root + "/" + c.repo.FullName() + "/blob/" + ref + "/" + e.Path, "git_url": c.api("git/blobs/" + e.SHA), "download_url": nil,
		"_links": obj{"self": c.api("contents/" + e.Path + "?ref=" + ref), "git": c.api("git/blobs/" + e.SHA), "html": c.s.root + "/" + c.repo.FullName() + "/blob/" + ref + "/" + e.Path},
	}
}

func (c *call) contentOf(e bare.Entry, ref string) (any, error) {
	const inline, most = 1 << 20, 100 << 20
	text, err := c.repo.git.Git(nil, "cat-file", "blob", e.SHA)
	switch {
	case err != nil:
		return nil, err
	case c.accepts("raw") && e.Size <= most:
		return raw{"application/vnd.github.raw; charset=utf-8", []byte(text)}, nil
	case e.Size > most:
		return nil, &apiError{Status: http.StatusForbidden, Message: "This API returns blobs up to 100 MB in size."}
	}
	o := c.contentJSON(e, ref)
	o["encoding"], o["content"] = "base64", bare.Columns(text)
	if e.Size > inline {
		o["encoding"], o["content"] = "none", ""
	}
	return o, nil
}

func (c *call) getTarball() (any, error) {
	sha := c.repo.git.Resolve(c.r.PathValue("ref"))
	if sha == "" {
		return nil, notFound()
	}
	ticket := rand.Text()
	c.s.archives[ticket] = archive{c.repo, sha}
	return moved{http.StatusFound, c.s.root + "/codeload/" + c.repo.FullName() + "/legacy.tar.gz/" + sha + "?token=" + ticket}, nil
}

// archive is what a ticket opens.
type archive struct {
	repo *Repository
	sha  string
}

// serveArchive answers where the API leads to for an archive: the ticket in the address is all it asks for.
func (s *Server) serveArchive(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	a, ok := s.archives[r.URL.Query().Get("token")]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	prefix := a.repo.owner.Login + "-" + a.repo.Name + "-" + a.sha[:7] + "/"
	text, err := a.repo.git.Git(nil, "archive", "--format=tar.gz", "--prefix="+prefix, a.sha)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-gzip")
	_, _ = w.Write([]byte(text)) // a client that has gone away
}

func (c *call) parents(g bare.Commit) []any {
	return each(strings.Fields(g.Parents), func(p string) any {
		return obj{"sha": p, "url": c.api("commits/" + p), "html_url": c.s.root + "/" + c.repo.FullName() + "/commit/" + p}
	})
}

// person is the account with an address, or null.
func (c *call) person(email string) any {
	if u := c.s.byEmail(email); u != nil {
		return c.s.userJSON(u)
	}
	return nil
}

// gitJSON is a commit without its files.
func (c *call) gitJSON(g bare.Commit) obj {
	return obj{
		"sha": g.SHA, "node_id": nodeID("Commit", 0), "url": c.api("commits/" + g.SHA), "html_url": c.s.root + "/" + c.repo.FullName() + "/commit/" + g.SHA,
		"commit": obj{
			"author":    obj{"name": g.Name, "email": g.Email, "date": stamp(g.Date)},
			"committer": obj{"name": g.Committer, "email": g.CommitterEmail, "date": stamp(g.Date)},
			"message":   g.Message, "tree": obj{"sha": g.Tree, "url": c.api("git/trees/" + g.Tree)}, "url": c.api("git/commits/" + g.SHA), "comment_count": 0,
		},
		"author": c.person(g.Email), "committer": c.person(g.CommitterEmail), "comments_url": c.api("commits/" + g.SHA + "/comments"), "parents": c.parents(g),
	}
}

func (s *Server) byEmail(email string) *User {
	for _, u := range s.users {
		if u.email() == email {
			return u
		}
	}
	return nil
}

func (c *call) commitJSON(sha string) (obj, error) {
	list, err := c.repo.git.Log(1, sha)
	if err != nil || len(list) == 0 {
		return nil, notFound()
	}
	return c.gitJSON(list[0]), nil
}

func (c *call) getCommit() (any, error) {
	sha := c.repo.git.Resolve(c.r.PathValue("ref"))
	if sha == "" {
		return nil, invalid("No commit found for SHA: %s", c.r.PathValue("ref"))
	}
	if c.accepts("sha") {
		return raw{"application/vnd.github.sha; charset=utf-8", []byte(sha)}, nil
	}
	o, err := c.commitJSON(sha)
	if err != nil {
		return nil, err
	}
	from, _ := c.repo.git.Line("rev-parse", "--verify", "--quiet", sha+"^1") // the first commit has no parent
	files, err := c.repo.git.Diff(from, sha)
	o["files"] = each(page(c, files), c.fileJSON)
	return o, err
}

func (c *call) listCommits() (any, error) {
	ref := c.r.URL.Query().Get("sha")
	if ref == "" {
		ref = c.repo.branch
	}
	sha := c.repo.git.Resolve(ref)
	if sha == "" {
		return nil, notFound()
	}
	list, err := c.repo.git.Log(1000, sha)
	return each(page(c, list), func(g bare.Commit) any { return c.gitJSON(g) }), err
}

func (c *call) fileJSON(ch bare.Changed) any {
	o := obj{
		"sha": ch.SHA, "filename": ch.Name, "status": ch.Status, "additions": 0, "deletions": 0, "changes": 0,
		"contents_url": c.api("contents/" + ch.Name), "blob_url": c.s.root + "/" + c.repo.FullName() + "/blob/" + ch.SHA + "/" + ch.Name,
		"raw_url": c.s.root + "/" + c.repo.FullName() + "/raw/" + ch.SHA + "/" + ch.Name,
	}
	if ch.Before != "" {
		o["previous_filename"] = ch.Before
	}
	return o
}

// compare answers base...head: the commits of head that base lacks, and the files they change; 300 files at most, on
// the first page only.
func (c *call) compare() (any, error) {
	from, to, ok := strings.Cut(c.r.PathValue("range"), "...")
	base, head := c.repo.git.Resolve(from), c.repo.git.Resolve(to)
	if !ok || base == "" || head == "" {
		return nil, notFound()
	}
	middle, err := c.repo.git.Line("merge-base", base, head)
	if err != nil {
		return nil, &apiError{Status: http.StatusNotFound, Message: "No common ancestor between " + from + " and " + to + "."}
	}
	ahead, err := c.repo.git.Log(10_000, base+".."+head)
	if err != nil {
		return nil, err
	}
	behind, err := c.repo.git.Log(10_000, head+".."+base)
	if err != nil {
		return nil, err
	}
	files, err := c.repo.git.Diff(middle, head)
	if err != nil {
		return nil, err
	}
	status := map[[2]bool]string{{false, false}: "identical", {true, false}: "ahead", {false, true}: "behind", {true, true}: "diverged"}
	baseCommit, err := c.commitJSON(base)
	if err != nil {
		return nil, err
	}
	mergeBase, err := c.commitJSON(middle)
	slices.Reverse(ahead) // oldest first
	o := obj{
		"status":   status[[2]bool{len(ahead) > 0, len(behind) > 0}],
		"ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead), "base_commit": baseCommit, "merge_base_commit": mergeBase,
		"commits": each(page(c, ahead), func(g bare.Commit) any { return c.gitJSON(g) }), "files": []any{}, "url": c.api("compare/" + from + "..." + to),
		"html_url": c.s.root + "/" + c.repo.FullName() + "/compare/" + from + "..." + to, "permalink_url": c.s.root + "/" + c.repo.FullName() + "/compare/" + base + "..." + head,
		"diff_url": c.s.root + "/" + c.repo.FullName() + "/compare/" + from + "..." + to + ".diff", "patch_url": c.s.root + "/" + c.repo.FullName() + "/compare/" + from + "..." + to + ".patch",
	}
	if n := c.r.URL.Query().Get("page"); n == "" || n == "1" {
		o["files"] = each(files[:min(300, len(files))], c.fileJSON)
	}
	return o, err
}
