package ghfake

import (
	"net/http"
	"path"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// writable refuses what cannot be written to.
func (c *call) writable() error {
	switch {
	case c.repo.archived:
		return &apiError{Status: http.StatusForbidden, Message: "Repository was archived so is read-only."}
	case c.repo.empty():
		return &apiError{Status: http.StatusConflict, Message: "Git Repository is empty."}
	}
	return nil
}

// empty reports whether nobody has pushed yet.
func (r *Repository) empty() bool {
	refs, err := r.git.Refs("refs/heads/")
	return err == nil && len(refs) == 0
}

func (c *call) createTree() (any, error) {
	base := c.text("base_tree")
	if err := c.writable(); err != nil {
		return nil, err
	}
	if base != "" && !c.repo.git.Is("tree", base) {
		return nil, notFound()
	}
	entries, _ := c.body["tree"].([]any)
	puts := make([]bare.Put, len(entries))
	for i, item := range entries {
		e, _ := item.(obj)
		p := bare.Put{Path: textOf(e, "path"), Mode: textOf(e, "mode"), SHA: textOf(e, "sha")}
		if text, ok := e["content"].(string); ok {
			p.Content = &text
		}
		if p.Path == "" || path.Clean("/"+p.Path) != "/"+p.Path || strings.HasPrefix(p.Path+"/", ".git/") {
			return nil, invalid("tree.path contains a malformed path component")
		}
		if p.SHA != "" && p.Content != nil {
			return nil, invalid("Must supply either tree.sha or tree.content, not both")
		}
		puts[i] = p
	}
	sha, err := c.repo.git.Tree(base, puts)
	if err != nil {
		return nil, invalid("tree.sha is not a valid object: %v", err)
	}
	c.status = http.StatusCreated
	return c.treeJSON(sha, false)
}

func (c *call) createGitCommit() (any, error) {
	if err := c.writable(); err != nil {
		return nil, err
	}
	if !c.repo.git.Is("tree", c.text("tree")) {
		return nil, invalid("Tree SHA does not exist")
	}
	var parents []string
	list, _ := c.body["parents"].([]any)
	for _, p := range list {
		sha, _ := p.(string)
		if !c.repo.git.Is("commit", sha) {
			return nil, invalid("Parent SHA does not exist or is not a commit object")
		}
		parents = append(parents, sha)
	}
	by := c.token.installation.app.bot
	sha, err := c.repo.git.CommitTree(c.text("tree"), parents, by.name(), by.email(), c.text("message"), c.s.Now())
	if err != nil {
		return nil, err
	}
	c.status = http.StatusCreated
	return c.gitCommit(sha)
}

func (c *call) createRef() (any, error) {
	name, sha := c.text("ref"), c.text("sha")
	if err := c.writable(); err != nil {
		return nil, err
	}
	_, err := c.repo.git.Line("check-ref-format", name)
	switch {
	case !strings.HasPrefix(name, "refs/heads/") && !strings.HasPrefix(name, "refs/tags/") || err != nil:
		return nil, invalid("Reference name must start with 'refs/' and have at least one slash")
	case !c.repo.git.Is("commit", sha):
		return nil, invalid("Object does not exist")
	case c.repo.git.Resolve(name) != "":
		return nil, invalid("Reference already exists")
	}
	if err := c.repo.move(c.token.installation.app.bot, name, "", sha, false); err != nil {
		return nil, invalid("Reference update failed") // a branch of the name of a folder of this one
	}
	c.status = http.StatusCreated
	return c.refJSON([2]string{name, sha}), nil
}

func (c *call) updateRef() (any, error) {
	name, sha := "refs/"+c.r.PathValue("ref"), c.text("sha")
	if err := c.writable(); err != nil {
		return nil, err
	}
	before := c.repo.git.Resolve(name)
	force, _ := c.body["force"].(bool)
	switch {
	case before == "":
		return nil, invalid("Reference does not exist")
	case !c.repo.git.Is("commit", sha):
		return nil, invalid("Object does not exist")
	case !force && !c.repo.git.Reaches(sha, before):
		return nil, invalid("Update is not a fast forward")
	}
	err := c.repo.move(c.token.installation.app.bot, name, before, sha, !c.repo.git.Reaches(sha, before))
	return c.refJSON([2]string{name, sha}), err
}

// createPull opens a pull request in the App's name, from a branch of the repository itself.
func (c *call) createPull() (any, error) {
	failed := func(what obj) (any, error) {
		what["resource"] = "PullRequest"
		return nil, &apiError{Status: http.StatusUnprocessableEntity, Message: "Validation Failed", Errors: []any{what}}
	}
	head, base := strings.TrimPrefix(c.text("head"), c.repo.owner.Login+":"), c.text("base")
	at, onto := c.repo.git.Resolve("refs/heads/"+head), c.repo.git.Resolve("refs/heads/"+base)
	if c.repo.archived {
		return nil, c.writable()
	}
	if at == "" || onto == "" {
		return failed(obj{"code": "invalid", "field": map[bool]string{true: "head", false: "base"}[at == ""]})
	}
	for _, p := range c.repo.pulls {
		if p.state == "open" && p.from == c.repo && p.branch == head && p.base == base {
			return failed(obj{"code": "custom", "message": "A pull request already exists for " + c.repo.owner.Login + ":" + head + "."})
		}
	}
	if c.repo.git.Reaches(onto, at) {
		return failed(obj{"code": "custom", "message": "No commits between " + base + " and " + head})
	}
	p, err := c.repo.openPull(c.token.installation.app.bot, c.repo, head, base, c.text("title"), c.text("body"))
	if err != nil {
		return nil, err
	}
	p.draft, _ = c.body["draft"].(bool)
	c.status = http.StatusCreated
	return p.json(), nil
}

// Body returns what the pull request says of itself.
func (p *Pull) Body() string {
	p.repo.server.mu.Lock()
	defer p.repo.server.mu.Unlock()
	return p.body
}
