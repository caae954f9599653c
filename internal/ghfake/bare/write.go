package bare

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Put is an entry that a tree gets: a content, an object that is there already, or, with neither, nothing any more.
type Put struct {
	Path, Mode string
	Content    *string
	SHA        string
}

// Tree returns the tree that another becomes with entries; base "" is the empty tree.
func (b Repo) Tree(base string, puts []Put) (string, error) {
	var in bytes.Buffer
	in.WriteString("commit refs/ghfake/tree\nmark :1\ncommitter GitHub <noreply@github.com> 0 +0000\ndata 0\n\n")
	if base != "" {
		fmt.Fprintf(&in, "M 040000 %s \"\"\n", base)
	}
	for _, p := range puts {
		switch {
		case p.Content != nil:
			fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", p.Mode, p.Path, len(*p.Content), *p.Content)
		case p.SHA != "":
			fmt.Fprintf(&in, "M %s %s %s\n", p.Mode, p.SHA, p.Path)
		default:
			fmt.Fprintf(&in, "D %s\n", p.Path)
		}
	}
	commit, err := b.imported(&in)
	if err != nil {
		return "", err
	}
	return b.Line("rev-parse", "--verify", commit+"^{tree}")
}

// CommitTree makes a commit of a tree, as GitHub does for an author.
func (b Repo) CommitTree(tree string, parents []string, name, email, message string, now time.Time) (string, error) {
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit refs/ghfake/new\nmark :1\nauthor %s <%s> %d +0000\ncommitter GitHub <noreply@github.com> %d +0000\ndata %d\n%s\n",
		name, email, now.Unix(), now.Unix(), len(message), message)
	for i, p := range parents {
		word := "merge"
		if i == 0 {
			word = "from"
		}
		fmt.Fprintf(&in, "%s %s\n", word, p)
	}
	fmt.Fprintf(&in, "deleteall\nM 040000 %s \"\"\n", tree)
	return b.imported(&in)
}

// imported gives a stream to git, and returns the commit that it makes.
func (b Repo) imported(in *bytes.Buffer) (string, error) {
	in.WriteString("\nget-mark :1\n")
	sha, err := b.Git(in.Bytes(), "fast-import", "--quiet", "--force")
	return strings.TrimSpace(sha), err
}

// Is reports whether the repository has an object of a kind: blob, tree or commit.
func (b Repo) Is(kind, sha string) bool {
	found, err := b.Line("cat-file", "-t", sha)
	return err == nil && found == kind && !strings.HasPrefix(sha, "-")
}

// Reaches reports whether a commit is, or has among its ancestors, another.
func (b Repo) Reaches(commit, ancestor string) bool {
	_, err := b.Line("merge-base", "--is-ancestor", ancestor, commit)
	return err == nil
}

// Columns is base64 with the line breaks that GitHub puts in.
func Columns(text string) string {
	whole := base64.StdEncoding.EncodeToString([]byte(text))
	var b strings.Builder
	for len(whole) > 0 {
		n := min(60, len(whole))
		b.WriteString(whole[:n] + "\n")
		whole = whole[n:]
	}
	return b.String()
}
